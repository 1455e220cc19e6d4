"""An oplog that is to be appended later, and the two documents in which it waits.

Strategy: one document holds all of it, under its place in its lane (app, biz): by due time, and
among equals in the order of the puts. So what is due is the beginning of a lane, and a lane that
must wait is not even read. The other document finds that place by channel and message id. Both are
kept and deleted in one commit.

Not here: when what is appended (scheduler.py), reading lanes (lanes.py).
"""

from typing import NamedTuple

import msgspec
from msgspec import Struct

from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Draft
from mobilesync.protocol.limits import ID_MAX
from mobilesync.storage.contract import Document

BY_PLACE = "scheduled"
BY_ID = "scheduled_id"
_DIGITS = len(str(ID_MAX))
"""Numbers in keys have as many, so that their text is in the order of their values."""
_AFTER_TARGET = "\x1f"
"""No name holds a control character, so no two pairs of target and message id share a key."""


class Scheduled(Struct, frozen=True):
    """A draft that is complete for its append at `due_ms`."""

    due_ms: int
    """Since 1970 UTC."""
    draft: Draft


class Place(NamedTuple):
    """Where a scheduled oplog waits: what is due first comes first, then what was put first."""

    due_ms: int
    order: int
    """Unique in the whole store."""


END = Place(ID_MAX, ID_MAX)
"""Behind all places."""


def place_key(app: str, biz: str, place: Place) -> str:
    """Where the document with all of it is kept. Neither name holds a slash."""
    return f"{app}/{biz}/{place.due_ms:0{_DIGITS}}/{place.order:0{_DIGITS}}"


def id_key(channel: Channel, message_id: str) -> str:
    """Where its place is kept. Only biz and app come before their slash; the target may hold
    some."""
    return f"{channel.app}/{channel.biz}/{channel.target}{_AFTER_TARGET}{message_id}"


def documents_of(item: Scheduled, place: Place) -> tuple[Document, Document]:
    """What keeps `item` at `place`."""
    draft = item.draft
    channel = draft.channel
    text = f"{place.due_ms}/{place.order}".encode()
    return (
        Document(BY_PLACE, place_key(channel.app, channel.biz, place), _encode(draft)),
        Document(BY_ID, id_key(channel, draft.message_id), text),
    )


def deletions_of(item: Scheduled, place: Place) -> tuple[Document, Document]:
    """What forgets `item` at `place`."""
    channel = item.draft.channel
    return (
        Document(BY_PLACE, place_key(channel.app, channel.biz, place), None),
        Document(BY_ID, id_key(channel, item.draft.message_id), None),
    )


def read_item(key: str, value: bytes) -> tuple[Place, Scheduled]:
    """What `documents_of` has kept by place."""
    _, _, due_ms, order = key.split("/")
    place = Place(int(due_ms), int(order))
    return place, Scheduled(place.due_ms, _decode(value))


def read_id(key: str, value: bytes) -> tuple[str, str, Place]:
    """App, biz and place of what `documents_of` has kept by id."""
    app, biz, _ = key.split("/", 2)
    due_ms, order = value.split(b"/")
    return app, biz, Place(int(due_ms), int(order))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Draft).decode
