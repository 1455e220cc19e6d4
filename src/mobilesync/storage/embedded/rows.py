"""How values become bytes and back: MessagePack, fields by position.

A newer version may add fields at the end with defaults; anything else needs a new format version
(folder.py). Ids that stand in the key are not repeated in the value.
"""

import msgspec
from msgspec import Struct

from mobilesync.domain.conditions import Conditions
from mobilesync.domain.oplog import Details, Draft, Oplog
from mobilesync.domain.sync_point import Advance, Head, Sent, Skip, SyncPoint


class _Row(Struct, frozen=True, array_like=True, gc=False):
    expires_at_ms: int
    expires_by_retention: bool
    message_id: str
    details: Details | None
    published_at_ms: int
    conditions: Conditions | None
    payload: bytes


class Ending(Struct, frozen=True, array_like=True, gc=False):
    """The first fields of an oplog's row, which is all that a trim needs of it."""

    expires_at_ms: int
    expires_by_retention: bool
    message_id: str
    details: Details | None


class StepRow(Struct, frozen=True, array_like=True, gc=False):
    """What a step says besides where the point was after it (keys.Step)."""

    at_ms: int
    before: int
    sends: tuple[Sent, ...] = ()
    skips: tuple[Skip, ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_decode_row = msgspec.msgpack.Decoder(_Row).decode
decode_ending = msgspec.msgpack.Decoder(Ending).decode
decode_head = msgspec.msgpack.Decoder(Head).decode
decode_point = msgspec.msgpack.Decoder(SyncPoint).decode
decode_step = msgspec.msgpack.Decoder(StepRow).decode


def encode_oplog(oplog: Draft | Oplog, message_id: str = "") -> bytes:
    """The row of an oplog, or of the one that a draft becomes; its id is in the key. `message_id`
    is the whole one, for a draft that has but the beginning."""
    return _encode(
        (
            oplog.expires_at_ms,
            oplog.expires_by_retention,
            message_id or oplog.message_id,
            oplog.details,
            oplog.published_at_ms,
            oplog.conditions,
            oplog.payload,
        )
    )


def decode_oplog(oplog_id: int, data: bytes) -> Oplog:
    """The oplog of a row."""
    row = _decode_row(data)
    return Oplog(
        oplog_id,
        row.payload,
        row.message_id,
        row.published_at_ms,
        row.expires_at_ms,
        row.expires_by_retention,
        row.conditions,
        row.details,
    )


def encode_step(advance: Advance) -> bytes:
    """The row of a step."""
    start = (advance.at_ms, advance.before)
    if advance.skips:
        return _encode((*start, advance.sends, advance.skips))
    return _encode((*start, advance.sends) if advance.sends else start)


def encode(value: Head | SyncPoint) -> bytes:
    """Any other value."""
    return _encode(value)
