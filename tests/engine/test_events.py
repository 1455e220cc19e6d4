"""Events: the same fact has the same id however often it is found, and no other has."""

from typing import Any

import msgspec
import pytest

from mobilesync.engine.events import KINDS, SENTENCES, Event, event_of
from mobilesync.engine.happenings import Kind

MOVED = {
    "biz": "CHAT",
    "target": "user:u1",
    "device": "d1",
    "user": "u1",
    "ids": [[1, 3], [5, 5]],
}
ONE = {
    "biz": "CHAT",
    "target": "user:u1",
    "id": 5,
    "message_id": "m",
    "outcome": "processed",
    "device": "d1",
    "received_by": ["d1"],
}
SESSION = {"device": "d1", "user": "u1", "session": "s1"}


def _event(
    kind: Kind = "oplog.delivered",
    data: dict[str, Any] | None = None,
    *,
    app: str = "demo",
    biz: str = "CHAT",
    epoch: int = 7,
    at_ms: int = 1000,
    **changed: Any,
) -> Event:
    told = (MOVED if data is None else data) | changed
    return event_of(kind, app, told, biz=biz, epoch=epoch, at_ms=at_ms)


def test_what_a_business_gets_to_see() -> None:
    event = _event()
    assert msgspec.json.decode(msgspec.json.encode(event)) == {
        "id": event.id,
        "type": "oplog.delivered",
        "app": "demo",
        "at_ms": 1000,
        "biz": "CHAT",
        "data": {
            "target": "user:u1",
            "device": "d1",
            "user": "u1",
            "ids": [[1, 3], [5, 5]],
        },
    }
    online = _event("device.online", SESSION, biz="")
    assert "biz" not in msgspec.to_builtins(online), "it is about no biz"
    assert online.data == SESSION


@pytest.mark.parametrize(
    "kind, data, found_anew",
    [
        ("oplog.delivered", MOVED, {"user": ""}),
        ("oplog.processed", MOVED, {"user": ""}),
        ("oplog.undelivered", ONE, {"received_by": []}),
        ("oplog.outcome", ONE, {"outcome": "recalled", "device": "d2", "received_by": ["d2"]}),
    ],
)
def test_a_fact_that_is_found_again_later_has_its_old_id(
    kind: Kind, data: dict[str, Any], found_anew: dict[str, Any]
) -> None:
    assert _event(kind, data).id == _event(kind, data, at_ms=9999, **found_anew).id


def test_every_other_fact_has_another_id() -> None:
    facts = [
        _event(),
        _event("oplog.processed"),
        _event(app="other"),
        _event(biz="NEWS"),
        _event(epoch=8),
        _event(target="user:u2"),
        _event(device="d2"),
        _event(ids=[[1, 3]]),
        _event(lap=1),
        _event("oplog.undelivered", ONE),
        _event("oplog.outcome", ONE),
        _event("oplog.outcome", ONE, id=6),
        _event("oplog.outcome", ONE, message_id="n"),
        _event("device.online", SESSION, biz=""),
        _event("device.online", SESSION, biz="", at_ms=1001),
        _event("device.online", SESSION, biz="", session="s2"),
        _event("device.offline", SESSION, biz=""),
        _event("device.wake-up", {"target": "user:u1", "devices": []}, biz=""),
        _event("device.wake-up", {"target": "user:u1", "devices": []}, biz="", at_ms=2000),
    ]
    assert len({fact.id for fact in facts}) == len(facts)


def test_names_cannot_be_shifted_into_one_another() -> None:
    shifted = [_event(target='user:1","d'), _event(target="user:1", device='d","d1')]
    assert shifted[0].id != shifted[1].id


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_explained(kind: Kind) -> None:
    assert len(SENTENCES[kind]) > 10
