"""Which protocol version a conversation speaks (spec §4.1).

Strategy: the client says the lowest and the highest version it speaks, the server picks the
highest that both speak and names it in Welcome. So a server may learn new versions without
breaking an old SDK, and drops an old one only when it raises its own minimum.

Hello itself is outside versions: its fields up to `token` mean the same for ever, and Close too,
so that even two sides without a common version can tell each other so.
"""

from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.errors import ProtocolFault
from mobilesync.protocol.limits import VERSION_MAX, VERSION_MIN


def negotiate(
    version_min: int,
    version_max: int,
    *,
    spoken_min: int = VERSION_MIN,
    spoken_max: int = VERSION_MAX,
) -> int:
    """The highest version that both a client's range and the server's `spoken` range hold.

    Raises ProtocolFault UNSUPPORTED_VERSION when there is none, also for a range upside down.
    The detail says what the server speaks, so that a log tells which side is old.
    """
    assert 1 <= spoken_min <= spoken_max
    version = min(version_max, spoken_max)
    if version_min > version_max or version < max(version_min, spoken_min):
        detail = (
            f"the client speaks {version_min} to {version_max}, "
            f"the server {spoken_min} to {spoken_max}"
        )
        raise ProtocolFault(CloseCode.UNSUPPORTED_VERSION, detail)
    return version


def accept(version: int, version_min: int, version_max: int) -> int:
    """`version`, which a Welcome named, if the client offered it in Hello.

    Raises ProtocolFault UNSUPPORTED_VERSION otherwise: the server did not keep §4.1.
    """
    if not version_min <= version <= version_max:
        detail = f"the server chose {version}, the client offered {version_min} to {version_max}"
        raise ProtocolFault(CloseCode.UNSUPPORTED_VERSION, detail)
    return version
