"""The calls of the API that the publishers make: where each goes, and how its answer is read.

Not here: trying again, and what errors mean (exchange.py).
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

import msgspec

from mobilesync.publishing.answers import (
    DryRun,
    Explanation,
    Offered,
    Published,
    Recalled,
    Receipts,
    Replayed,
)
from mobilesync.publishing.errors import InvalidPublication, InvalidRequest
from mobilesync.publishing.publication import Publication, row_of

_Answer = TypeVar("_Answer")


class Effect(Enum):
    """What trying a call again can do."""

    NONE = "it only reads"
    ONCE = "however often it gets through, it is done once"
    EACH = "it is done each time"


@dataclass(frozen=True, slots=True)
class Call(Generic[_Answer]):
    """One call, the same at every try."""

    method: Literal["GET", "POST"]
    path: str
    read: Callable[[bytes], _Answer]
    """Raises ValueError, msgspec.DecodeError for what is no answer."""
    effect: Effect
    content: bytes | None = None
    query: Mapping[str, str | int] = field(default_factory=dict)
    message_ids: tuple[str, ...] = ()
    """Of what is published."""
    invalid: type[InvalidRequest] = InvalidRequest
    """What to raise when the request breaks a rule."""


def publish(
    app: str, publications: Sequence[Publication], entropy: random.Random
) -> Call[list[Published]]:
    """Raises ValueError for an empty batch."""
    if not publications:
        raise ValueError("nothing to publish")
    rows = [row_of(each, entropy) for each in publications]
    ids = tuple(str(row["message_id"]) for row in rows)

    def read(body: bytes) -> list[Published]:
        found = msgspec.json.decode(body, type=list[_Row])
        if len(found) != len(ids):
            raise ValueError("the answer is for another number of oplogs")
        return [_published(row) for row in found]

    content = msgspec.json.encode(rows)
    path = _path(app, "oplogs")
    return Call("POST", path, read, Effect.ONCE, content, {}, ids, InvalidPublication)


def dry_run(app: str, publication: Publication, entropy: random.Random) -> Call[DryRun]:
    row = row_of(publication, entropy)
    if not publication.message_id:
        del row["message_id"]
    content = msgspec.json.encode(row)
    path = _path(app, "oplogs", "dry-run")
    read = _reader(DryRun)
    return Call("POST", path, read, Effect.NONE, content, invalid=InvalidPublication)


def recall(app: str, which: Mapping[str, Any]) -> Call[Recalled]:
    content = msgspec.json.encode(which)
    return Call("POST", _path(app, "recalls"), _reader(Recalled), Effect.ONCE, content)


def offer_again(app: str, which: Mapping[str, Any], device: str) -> Call[Offered]:
    path = _path(app, "devices", device, "offers")
    return Call("POST", path, _reader(Offered), Effect.EACH, msgspec.json.encode(which))


def replay(app: str, biz: str, target: str, device: str, to: int) -> Call[Replayed]:
    path = _path(app, "devices", device, "replays")
    content = msgspec.json.encode({"biz": biz, "target": target, "to": to})
    return Call("POST", path, _reader(Replayed), Effect.ONCE, content)


def explain(app: str, which: Mapping[str, Any], device: str) -> Call[Explanation]:
    query = {**which, "device": device}
    return Call("GET", _path(app, "explain"), _reader(Explanation), Effect.NONE, query=query)


def receipts(app: str, which: Mapping[str, Any], after: str, limit: int) -> Call[Receipts]:
    query = {**which, "after": after, "limit": limit}
    return Call("GET", _path(app, "receipts"), _reader(Receipts), Effect.NONE, query=query)


def which_oplog(
    biz: str, target: str, oplog_id: int | None, message_id: str
) -> dict[str, str | int]:
    """How an oplog is named. Raises ValueError unless it is named in one way."""
    if (oplog_id is None) == (not message_id):
        raise ValueError("exactly one of id and message_id")
    name: dict[str, str | int] = {"biz": biz, "target": target}
    if oplog_id is None:
        return name | {"message_id": message_id}
    return name | {"id": oplog_id}


class _Row(msgspec.Struct):
    id: int
    message_id: str
    code: str


def _published(row: _Row) -> Published:
    duplicate = row.code == "DUPLICATED_BIZ_ID"
    return Published(row.id, row.message_id, duplicate, row.code == "SCHEDULED")


def _reader(form: type[_Answer]) -> Callable[[bytes], _Answer]:
    return msgspec.json.Decoder(form).decode


def _path(app: str, *parts: str) -> str:
    return "/".join(["/v1/apps", *(quote(part, safe="") for part in (app, *parts))])
