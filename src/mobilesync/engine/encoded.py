"""An oplog and its form on the wire, which is made once, whoever gets it.

Not here: who keeps it (tail.py), and who wants it (feed.py).
"""

from msgspec import Struct

from mobilesync.domain.oplog import Oplog
from mobilesync.protocol.codec import encode_oplog, encode_plain_oplog
from mobilesync.protocol.messages import IdRange, Origin, PushedOplog, Withdrawal


class Encoded(Struct, gc=False):
    """One oplog and its form on the wire."""

    oplog: Oplog
    wire: bytes = b""
    """Empty until it is wanted (`encode`)."""


def encoded(oplog: Oplog) -> Encoded:
    """`oplog` with its form on the wire."""
    return Encoded(oplog, wire_of(oplog))


def wire_of(oplog: Oplog) -> bytes:
    """`oplog` as it stands inside a Push."""
    details = oplog.details
    if details is None:
        return encode_plain_oplog(oplog.id, oplog.published_at_ms, oplog.payload, oplog.message_id)
    origin, withdraws = details.origin, details.withdraws
    return encode_oplog(
        PushedOplog(
            oplog.id,
            oplog.published_at_ms,
            oplog.payload,
            oplog.message_id,
            key=details.key,
            origin=Origin(origin.target, origin.id) if origin else None,
            withdraws=Withdrawal([IdRange(*each) for each in withdraws.ids], int(withdraws.reason))
            if withdraws
            else None,
        )
    )
