"""G3: it reaches everybody it is for, in time."""

from mobilesync.sim import history as h
from mobilesync.sim.checkers.g3 import TURN_MS, check
from mobilesync.sim.checkers.ledger import Ledger
from tests.sim.checkers.told import ALL, CHAT, D1, D2, Tale


def findings(tale: Tale) -> list[str]:
    return [finding.sentence for finding in check(Ledger(tale.facts))]


def test_it_reached_the_one_it_is_for() -> None:
    tale = Tale()
    tale.device(D1, user="ann")
    tale.device(D2, user="bob")
    tale.publish("m1", 1)
    tale.calm()
    tale.handle(1, "m1")
    tale.end()
    assert not findings(tale)


def test_it_reached_nobody() -> None:
    tale = Tale()
    tale.device(D1, user="ann")
    tale.device(D2, user="ann")
    tale.publish("m1", 1)
    tale.calm()
    tale.handle(1, "m1", device=D2)
    tale.end()
    assert len(findings(tale)) == 1
    assert D1 in findings(tale)[0]


def test_before_the_calm_nothing_is_owed() -> None:
    tale = Tale()
    tale.device()
    tale.publish("m1", 1)
    tale.end()
    assert not findings(tale)


def test_what_was_published_too_late_to_judge() -> None:
    tale = Tale()
    tale.device()
    tale.calm()
    tale.wait(5000)
    tale.publish("m1", 1)
    tale.add(h.Ended(tale.now_ms))
    assert not findings(tale)


def test_not_eligible() -> None:
    tale = Tale()
    tale.device(D1, user="ann", os="ios")
    tale.publish("m1", 1, os=("android",))
    tale.publish("m2", 2, valid_ms=100)
    tale.publish("m3", 3, CHAT._replace(target="user:bob"))
    tale.publish("m4", 4, CHAT._replace(app="bank"))
    tale.calm()
    tale.end()
    assert not findings(tale)


def test_a_reinstalled_device_is_owed_it_again() -> None:
    tale = Tale()
    tale.device()
    tale.publish("m1", 1, ALL)
    tale.handle(1, "m1", channel=ALL)
    tale.device()
    tale.calm()
    tale.end()
    assert len(findings(tale)) == 1


def test_what_a_restore_took_is_not_owed() -> None:
    tale = Tale()
    tale.device()
    tale.publish("m1", 1)
    tale.restore((1, 2), {})
    tale.calm()
    tale.end()
    assert not findings(tale)


def test_parked_is_reached() -> None:
    tale = Tale()
    tale.device()
    tale.publish("m1", 1)
    tale.calm()
    tale.add(h.Parked(tale.now_ms, D1, CHAT, 1, "m1"))
    tale.end()
    assert not findings(tale)


def test_a_push_after_the_end() -> None:
    tale = Tale()
    tale.wire()
    tale.publish("m1", 1, valid_ms=100)
    tale.push(0, 1, {1: "m1"})
    tale.wait(200)
    tale.push(0, 1, {1: "m1"})
    assert not findings(tale), "read before its end, written after it"
    tale.wait(TURN_MS)
    tale.push(0, 1, {1: "m1"})
    assert len(findings(tale)) == 1
