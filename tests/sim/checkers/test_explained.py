"""G9 as an operator sees it: explanations that are true, and some that are not."""

from collections.abc import Callable
from typing import Any

import pytest

from mobilesync.domain.reasons import Reason
from mobilesync.protocol.codes import ResetReason
from mobilesync.sim import history as h
from mobilesync.sim.checkers.explained import check
from mobilesync.sim.checkers.ledger import Ledger
from tests.sim.checkers.told import CHAT, D1, Tale


def findings(tale: Tale) -> list[str]:
    return [finding.sentence for finding in check(Ledger(tale.facts))]


def explain(tale: Tale, reason: Reason, oplog_id: int = 1) -> None:
    tale.add(h.Explained(tale.now_ms, D1, CHAT, oplog_id, int(reason), 0, 0))


def tale_of(**more: Any) -> Tale:
    tale = Tale()
    tale.device()
    tale.publish("m1", 1, **more)
    tale.hello(1)
    return tale


def test_what_was_processed() -> None:
    tale = tale_of()
    tale.save(0, 1, 1)
    tale.handle(1, "m1")
    explain(tale, Reason.PROCESSED)
    assert not findings(tale)
    explain(tale, Reason.OS)
    assert len(findings(tale)) == 1


def test_what_was_not() -> None:
    tale = tale_of()
    explain(tale, Reason.PROCESSED)
    assert len(findings(tale)) == 1


def test_what_is_withdrawn_or_withdraws_is_done_without_a_call() -> None:
    tale = tale_of()
    tale.withdraw(2, 1)
    explain(tale, Reason.PROCESSED)
    explain(tale, Reason.PROCESSED, 2)
    assert not findings(tale)


@pytest.mark.parametrize(
    "reason, count", [(Reason.OS, 0), (Reason.VERSION, 1), (Reason.EXPIRED, 1)]
)
def test_a_reason_that_the_rules_give(reason: Reason, count: int) -> None:
    tale = tale_of(os=("android",))
    explain(tale, reason)
    assert len(findings(tale)) == count


@pytest.mark.parametrize(
    "reason, rules",
    [
        (Reason.USER_CHECK, {"user_check": True, "target_kind": "user"}),
        (Reason.NO_USER, {"target_kind": "user"}),
        (Reason.NOT_NEWEST, {"multi_device": False}),
    ],
)
def test_what_waits_for_a_rule(reason: Reason, rules: dict[str, Any]) -> None:
    tale = tale_of()
    explain(tale, reason)
    assert len(findings(tale)) == 1
    tale.rules("CHAT", **rules)
    assert not findings(tale)


@pytest.mark.parametrize("reason", [Reason.OFFLINE, Reason.QUEUED, Reason.SENT, Reason.TRIMMED])
def test_when_all_is_quiet_nothing_is_under_way(reason: Reason) -> None:
    tale = tale_of()
    explain(tale, reason)
    assert len(findings(tale)) == 1


def test_a_device_that_was_rewound_or_installed_anew_may_stand_elsewhere() -> None:
    ways: tuple[Callable[[Tale], None], ...] = (
        lambda tale: tale.reset(1, 0, ResetReason.REWOUND),
        lambda tale: tale.device(),
    )
    for again in ways:
        tale = tale_of()
        tale.save(0, 1, 1)
        tale.handle(1, "m1")
        again(tale)
        tale.add(h.DeviceStarted(tale.now_ms, D1, "android", "1.0"))
        tale.publish("m2", 2, os=("ios",))
        explain(tale, Reason.OS, 2)
        assert not findings(tale)
        explain(tale, Reason.PROCESSED, 1)
        assert not findings(tale)


def test_what_a_hello_leaves_in_doubt_may_be_taken_for_processed() -> None:
    tale = tale_of(key="k")
    tale.publish("m2", 2, key="k")
    at_ms = tale.now_ms
    tale.journal(0, 2, at_ms)
    explain(tale, Reason.PROCESSED)
    assert not findings(tale)
    explain(tale, Reason.PROCESSED, 2)
    assert len(findings(tale)) == 1
    tale = tale_of(key="k")
    tale.publish("m2", 2, key="k")
    tale.journal(0, 2, tale.ack(2))
    explain(tale, Reason.PROCESSED)
    assert len(findings(tale)) == 1, "an ack leaves nothing in doubt"
