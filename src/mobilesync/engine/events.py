"""Events: what has happened, as a business hears of it.

Strategy: an event is a small fact with an id. The ids of facts about oplogs are made from what they
are about, not from chance or time: a fact that is found anew, because the first finding was lost in
a crash, has the same id, and so has an event that is sent again. Whoever keeps the ids they have
seen takes each fact once. What concerns devices may happen again just so, so its time counts too.

Not here: what happens (happenings.py), who wants which events (webhooks.py), keeping and sending
them (outbox.py, delivery.py).

Invariants:
- no event carries a payload;
- two facts have two ids: what makes an id is written down unambiguously.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, get_args

import msgspec
from msgspec import Struct

from mobilesync.engine.happenings import Kind

KINDS: tuple[Kind, ...] = get_args(Kind)
SENTENCES: dict[Kind, str] = {
    "oplog.delivered": "a device has saved oplogs",
    "oplog.processed": "the app's handler on a device is done with oplogs",
    "oplog.undelivered": "an oplog's validity ended before any device got it",
    "oplog.outcome": "what became of an oplog whose publish named this webhook as its callback",
    "device.online": "a device has logged in",
    "device.offline": "a device's session has ended",
    "device.wake-up": "something waits for a target of which no device is connected",
}
assert set(SENTENCES) == set(KINDS), "every kind needs its sentence"

TEST, GAP = "test", "gap"
"""What a webhook gets besides its kinds: an operator's test, and word that events are missing."""

_MOVED = ("target", "device", "lap", "ids")
_ONE = ("target", "id", "message_id")
_ABOUT: dict[str, tuple[str, ...]] = {
    "oplog.delivered": _MOVED,
    "oplog.processed": _MOVED,
    "oplog.undelivered": _ONE,
    # An oplog has one outcome, whatever another finding of it would say besides.
    "oplog.outcome": _ONE,
}
"""The members that tell a fact about oplogs from any other of its kind."""


class Event(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One thing that has happened, as it is sent."""

    id: str
    """The same however often it is sent, or found: whoever has seen it has dealt with it."""
    type: str
    """One of KINDS, or TEST or GAP."""
    app: str
    at_ms: int
    biz: str = ""
    """Empty for what is about no single biz."""
    data: dict[str, Any]


def event_of(
    kind: Kind, app: str, data: Mapping[str, Any], *, biz: str, epoch: int, at_ms: int
) -> Event:
    """What has happened, as an event. `epoch` is the store's: in another, ids of oplogs mean
    others."""
    told = {name: value for name, value in data.items() if name != "biz"}
    about = _ABOUT.get(kind)
    once = (at_ms, told) if about is None else (epoch, [told.get(name) for name in about])
    event_id = make_id(kind, app, biz, *once)
    return Event(id=event_id, type=kind, app=app, at_ms=at_ms, biz=biz, data=told)


def make_id(*once: object) -> str:
    """An id made from what can be written as JSON."""
    return blake2b(msgspec.json.encode(once), digest_size=16).hexdigest()
