"""THRESHOLD: of a backlog, the newest so many."""

from mobilesync.sim import history as h
from mobilesync.sim.checkers.ledger import Ledger
from mobilesync.sim.checkers.threshold import check
from tests.sim.checkers.told import CHAT, D1, Tale


def findings(tale: Tale) -> list[str]:
    return [finding.sentence for finding in check(Ledger(tale.facts))]


def tale_of(threshold: int, count: int = 3) -> Tale:
    tale = Tale()
    tale.rules("CHAT", repush_threshold=threshold)
    for number in range(1, count + 1):
        tale.publish(f"m{number}", number)
    tale.hello(1)
    return tale


def test_as_many_as_it_says() -> None:
    tale = tale_of(2)
    tale.push(0, 3, {2: "m2", 3: "m3"})
    assert not findings(tale)


def test_one_more_in_one_push_or_in_two() -> None:
    tale = tale_of(2)
    tale.push(0, 3, {1: "m1", 2: "m2", 3: "m3"})
    assert len(findings(tale)) == 1
    tale = tale_of(2)
    tale.push(0, 2, {1: "m1", 2: "m2"})
    assert not findings(tale)
    tale.push(2, 3, {3: "m3"})
    assert len(findings(tale)) == 1


def test_what_comes_while_it_is_connected_is_no_backlog() -> None:
    tale = tale_of(1, count=1)
    for number in (2, 3):
        tale.publish(f"m{number}", number)
    tale.push(0, 3, {1: "m1", 2: "m2", 3: "m3"})
    assert not findings(tale)


def test_each_login_finds_a_backlog_of_its_own() -> None:
    tale = tale_of(1, count=1)
    tale.push(0, 1, {1: "m1"})
    tale.publish("m2", 2)
    tale.add(h.SaidUser(tale.now_ms, 1, D1, "ann"))
    tale.add(h.Welcomed(tale.now_ms, 1, D1, "ann"))
    tale.push(1, 2, {2: "m2"})
    assert not findings(tale)


def test_without_one_or_while_it_changes_all_may_come() -> None:
    tale = tale_of(0)
    tale.push(0, 3, {1: "m1", 2: "m2", 3: "m3"})
    assert not findings(tale)
    tale = tale_of(1)
    tale.rules("CHAT", repush_threshold=3)
    tale.push(0, 3, {1: "m1", 2: "m2", 3: "m3"}, channel=CHAT)
    assert not findings(tale)
