"""CONSUMED: what one device has processed is withdrawn, and nothing else."""

from typing import Any

from mobilesync.domain.oplog import WithdrawalReason
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import Sent, Skip
from mobilesync.sim import history as h
from mobilesync.sim.checkers.consumed import check
from mobilesync.sim.checkers.ledger import Ledger
from tests.sim.checkers.told import CHAT, D1, D2, Tale

CONSUMED = WithdrawalReason.CONSUMED


def findings(tale: Tale) -> list[str]:
    tale.calm()
    tale.end()
    return [finding.sentence for finding in check(Ledger(tale.facts))]


def tale_of(
    *, acks: bool = True, saves: bool = True, skips: tuple[Skip, ...] = (), **rules: Any
) -> Tale:
    """d1 was pushed m1, and the service knows that it has processed it."""
    tale = Tale()
    tale.rules("CHAT", **{"consumed_by": "one", **rules})
    tale.wait(10)
    tale.device()
    tale.publish("m1", 1)
    tale.hello(1)
    tale.push(0, 1, {1: "m1"})
    if saves:
        tale.save(0, 1, 1)
    at_ms = tale.ack(1) if acks else tale.now_ms
    tale.add(h.KnownPoint(tale.now_ms, D1, CHAT, 1, 1, 1))
    tale.journal(0, 1, at_ms, skips=skips, sends=(Sent(1, at_ms),))
    return tale


def test_what_was_processed_is_withdrawn() -> None:
    tale = tale_of()
    tale.withdraw(2, 1, why=CONSUMED, by="d1")
    assert not findings(tale)


def test_what_was_not() -> None:
    assert len(findings(tale_of())) == 1


def test_only_in_such_a_biz_and_only_if_it_always_was_one() -> None:
    assert not findings(tale_of(consumed_by="each"))
    tale = tale_of()
    tale.rules("CHAT", consumed_by="each")
    assert not findings(tale)


def test_not_what_the_journal_says_was_passed_over() -> None:
    assert not findings(tale_of(skips=(Skip(1, 1, int(Reason.OS)),)))


def test_not_what_a_hello_leaves_in_doubt() -> None:
    assert len(findings(tale_of(acks=False))) == 1
    tale = tale_of(acks=False)
    tale.publish("m2", 2, os=("android",), key="k")
    assert len(findings(tale)) == 1
    tale = Tale()
    tale.rules("CHAT", consumed_by="one")
    tale.wait(10)
    tale.device()
    tale.publish("m1", 1, key="k")
    tale.publish("m2", 2, key="k")
    tale.save(0, 1, 1)
    tale.add(h.KnownPoint(tale.now_ms, D1, CHAT, 1, 1, 1))
    tale.journal(0, 1, 5)
    assert not findings(tale), "it may have been replaced when the device passed it"


def test_not_on_a_device_that_was_rewound() -> None:
    tale = tale_of()
    tale.rewind(0)
    assert not findings(tale)


def test_what_its_device_never_had_is_not_withdrawn() -> None:
    tale = tale_of(saves=False)
    tale.withdraw(2, 1, why=CONSUMED, by="d1")
    assert len(findings(tale)) == 1


def test_what_a_hello_says_is_taken_for_true() -> None:
    tale = tale_of(acks=False, saves=False)
    tale.withdraw(2, 1, why=CONSUMED, by="d1")
    assert not findings(tale)


def test_another_device_is_another() -> None:
    tale = tale_of()
    tale.hello(2, device=D2)
    tale.ack(1, device=D2, wire=2)
    tale.withdraw(2, 1, why=CONSUMED, by="d2")
    assert len(findings(tale)) == 1
