"""What the SDK needs of a connection: five verbs that TLS, a test or the simulator can offer."""

import asyncio
from typing import Protocol, runtime_checkable

LINGER_S = 1.0
"""How long a closing client waits for its last bytes to leave."""


class Stream(Protocol):
    """A connected, secured byte stream."""

    async def read(self) -> bytes:
        """Some bytes as soon as there are any; b"" at the end. Raises OSError when it is lost."""

    def write(self, data: bytes) -> None:
        """Send `data` in time. Never blocks; raises OSError or nothing when the link is lost."""

    async def drain(self) -> None:
        """Return once the write buffer is low. Raises OSError when the link is lost."""

    def close(self) -> None:
        """End it after what was written. Idempotent."""

    def abort(self) -> None:
        """End it now: a read that waits returns b"" or raises OSError. Idempotent."""


@runtime_checkable
class Lingering(Protocol):
    """A stream whose last bytes need time to leave, as TLS on TCP; what has none is no such."""

    async def wait_closed(self) -> None:
        """After `close`: return once everything has left. May raise OSError."""


async def linger(stream: Stream) -> None:
    """After `close`: give the last bytes time to leave, but not more than `LINGER_S`."""
    if not isinstance(stream, Lingering):
        return
    try:
        async with asyncio.timeout(LINGER_S):
            await stream.wait_closed()
    except OSError:
        stream.abort()
