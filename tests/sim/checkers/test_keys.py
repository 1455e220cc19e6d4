"""KEYS: an older value is not pushed when the newer one is there."""

from typing import Any

from mobilesync.domain.channel import Channel
from mobilesync.engine.feed import NEWER_MAX
from mobilesync.sim.checkers.keys import TURN_MS, check
from mobilesync.sim.checkers.ledger import Ledger
from tests.sim.checkers.told import D1, Tale

OWN = Channel("shop", "CHAT", "device:d1")


def findings(tale: Tale) -> list[str]:
    return [finding.sentence for finding in check(Ledger(tale.facts))]


def tale_of(*, wait_ms: int = TURN_MS + 10, **newer: Any) -> Tale:
    tale = Tale()
    tale.publish("m1", 1, key="k")
    tale.publish("m2", 2, **{"key": "k", **newer})
    tale.wait(wait_ms)
    tale.hello(1)
    return tale


def test_the_newest_alone() -> None:
    tale = tale_of()
    tale.push(0, 2, {2: "m2"})
    assert not findings(tale)


def test_the_older_one_too() -> None:
    tale = tale_of()
    tale.push(0, 2, {1: "m1", 2: "m2"})
    assert len(findings(tale)) == 1


def test_what_was_read_before_the_newer_came_still_leaves() -> None:
    tale = tale_of(wait_ms=0)
    tale.push(0, 1, {1: "m1"})
    assert not findings(tale)


def test_a_newer_one_of_another_key_or_for_others_or_that_has_ended_replaces_nothing() -> None:
    for newer in ({"key": "other"}, {"os": ("android",)}, {"valid_ms": 100}):
        tale = tale_of(**newer)
        tale.push(0, 1, {1: "m1"})
        assert not findings(tale), newer


def test_nor_does_one_that_may_have_been_recalled() -> None:
    tale = tale_of()
    tale.recall(2, 3)
    tale.push(0, 1, {1: "m1"})
    assert not findings(tale)


def test_of_very_many_nobody_looks_at_all() -> None:
    tale = tale_of()
    for number in range(3, NEWER_MAX + 4):
        tale.publish(f"m{number}", number, key="k")
    tale.push(0, 1, {1: "m1"})
    assert not findings(tale)


def test_an_offer_comes_not_after_a_newer_value_at_its_origin() -> None:
    tale = Tale()
    tale.publish("m1", 1, key="k", app_version_min="2.0")
    message_id = tale.offer(1, OWN, ("user:ann", 1))
    tale.publish("m2", 2, key="k")
    tale.wait(TURN_MS + 10)
    tale.hello(1, device=D1)
    tale.push(0, 1, {1: message_id}, channel=OWN)
    ledger = Ledger(tale.facts)
    for stored in ledger.stored.values():
        stored.key = "k"
    assert len(list(check(ledger))) == 1
