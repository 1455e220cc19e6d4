"""How values become bytes and back: MessagePack, fields by position.

A newer version may add fields at the end with defaults; anything else needs a new format version
(folder.py). Ids that stand in the key are not repeated in the value.
"""

import msgspec
from msgspec import Struct

from mobilesync.domain.conditions import Conditions
from mobilesync.domain.oplog import Draft, Oplog
from mobilesync.domain.sync_point import Head, SyncPoint


class _Row(Struct, frozen=True, array_like=True, gc=False):
    expires_at_ms: int
    expires_by_retention: bool
    message_id: str
    published_at_ms: int
    conditions: Conditions | None
    payload: bytes


class Ending(Struct, frozen=True, array_like=True, gc=False):
    """The first fields of an oplog's row, which is all that a trim needs of it."""

    expires_at_ms: int
    expires_by_retention: bool
    message_id: str


_encode = msgspec.msgpack.Encoder().encode
_decode_row = msgspec.msgpack.Decoder(_Row).decode
decode_ending = msgspec.msgpack.Decoder(Ending).decode
decode_head = msgspec.msgpack.Decoder(Head).decode
decode_point = msgspec.msgpack.Decoder(SyncPoint).decode
decode_at_ms = msgspec.msgpack.Decoder(int).decode


def encode_draft(draft: Draft) -> bytes:
    """The row of the oplog that `draft` becomes; its id is in the key."""
    return _encode(
        (
            draft.expires_at_ms,
            draft.expires_by_retention,
            draft.message_id,
            draft.published_at_ms,
            draft.conditions,
            draft.payload,
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
    )


def encode(value: Head | SyncPoint | int) -> bytes:
    """Any other value."""
    return _encode(value)
