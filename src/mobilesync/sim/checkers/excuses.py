"""Why a device may have been moved over an oplog: the rules, told anew from what a history shows.

Strategy: a case is an oplog, whoever it may have been judged for, and the span of time in which
that was. A reason excuses when it *may* have held for one of them at some time in the span: what is
not certain is in the service's favour. Three checkers ask: whether a gap has any excuse (G2),
whether an oplog that never came has one (G3), and whether the reason that the journal gives is one
(G9).

Not here: what is withheld, which is no excuse for a gap (withheld.py).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mobilesync.domain.channel import is_user_target
from mobilesync.domain.oplog import WithdrawalReason
from mobilesync.domain.reasons import Reason
from mobilesync.domain.rules import Viewer
from mobilesync.sim.checkers.ledger import Ledger, Stored


@dataclass(frozen=True, slots=True)
class Case:
    """A device was moved over an oplog."""

    ledger: Ledger
    stored: Stored
    viewers: Sequence[Viewer]
    """Everybody that the device may have been judged for."""
    begin_ms: int
    at_ms: int
    epochs: Sequence[int]
    """Those of the store that may have been the current one when it did it."""


def excuse(case: Case) -> Reason | None:
    """A reason that may have held; None when there is none."""
    return next((reason for reason in EXCUSES if may(case, reason)), None)


def may(case: Case, reason: Reason) -> bool:
    """Whether `reason` may have held."""
    test = EXCUSES.get(reason)
    return test is not None and test(case)


def is_in_doubt(case: Case) -> bool:
    """Whether the device may have been moved over the oplog for a reason that a service which has
    lost the ack cannot find out any more: it may be true now only, or then only."""
    return any(may(case, reason) for reason in _DOUBTFUL)


def _is_refused(reason: Reason) -> Callable[[Case], bool]:
    def is_refused(case: Case) -> bool:
        conditions = case.stored.conditions
        return any(
            conditions.refusal(viewer.attributes, viewer.user, viewer.device) is reason
            for viewer in case.viewers
        )

    return is_refused


def _has_ended(case: Case) -> bool:
    return case.ledger.may_have_ended(case.stored, case.at_ms)


def _is_withdrawn(why: WithdrawalReason) -> Callable[[Case], bool]:
    def is_withdrawn(case: Case) -> bool:
        # An offer goes with its origin.
        names = (case.stored.name, case.stored.root)
        withdrawals = (w for name in names for w in case.ledger.withdrawals.get(name, ()))
        return any(each.why is why and each.since_ms <= case.at_ms for each in withdrawals)

    return is_withdrawn


def _is_not_asked(case: Case) -> bool:
    stored = case.stored
    return bool(stored.withdraws) and any(
        not viewer.asks_withdrawals or (bool(stored.by) and stored.by == viewer.device)
        for viewer in case.viewers
    )


def _is_superseded(case: Case) -> bool:
    ledger = case.ledger
    return any(
        newer.since_ms <= case.at_ms
        and _may_see(newer, case.viewers)
        and not was_recalled(ledger, newer, case.begin_ms)
        for epoch in case.epochs
        for newer in ledger.newer_of_key(case.stored, epoch)
    )


def _is_over_threshold(case: Case) -> bool:
    stored, ledger = case.stored, case.ledger
    channel = stored.name.channel
    spells = ledger.rulebook.between(channel, case.begin_ms, case.at_ms)
    thresholds = [rules.repush_threshold for rules in spells if rules.repush_threshold]
    if not thresholds:
        return False
    counts = (
        sum(
            other.name.id > stored.name.id
            and other.since_ms <= case.at_ms
            and _may_see(other, case.viewers)
            for other in ledger.line(channel, epoch)
        )
        for epoch in case.epochs
    )
    return max(counts, default=0) >= min(thresholds)


def _is_elsewhere(case: Case) -> bool:
    ledger, name = case.ledger, case.stored.name
    if not is_user_target(name.channel.target):
        return False
    if not ledger.rulebook.ever(
        name.channel, case.begin_ms, case.at_ms, lambda rules: not rules.multi_device
    ):
        return False
    return any(
        at_ms <= case.at_ms and received >= name.id
        for at_ms, received in ledger.acked.get(name.channel, ())
    )


def _is_offered(case: Case) -> bool:
    return case.stored.origin is not None and not case.stored.by_operator


def _may_see(stored: Stored, viewers: Iterable[Viewer]) -> bool:
    conditions = stored.conditions
    return any(conditions.admits(v.attributes, v.user, v.device) for v in viewers)


def was_recalled(ledger: Ledger, stored: Stored, at_ms: int) -> bool:
    """Whether the oplog was certainly recalled before `at_ms`."""
    withdrawals = ledger.withdrawals.get(stored.name, [])
    return any(
        each.why is WithdrawalReason.RECALLED and each.since_ms < at_ms for each in withdrawals
    )


EXCUSES: dict[Reason, Callable[[Case], bool]] = {
    Reason.OTHER_DEVICE: _is_refused(Reason.OTHER_DEVICE),
    Reason.AUDIENCE: _is_refused(Reason.AUDIENCE),
    Reason.OS: _is_refused(Reason.OS),
    Reason.VERSION: _is_refused(Reason.VERSION),
    Reason.ATTRIBUTES: _is_refused(Reason.ATTRIBUTES),
    Reason.ROLLOUT: _is_refused(Reason.ROLLOUT),
    Reason.EXPIRED: _has_ended,
    Reason.RECALLED: _is_withdrawn(WithdrawalReason.RECALLED),
    Reason.CONSUMED: _is_withdrawn(WithdrawalReason.CONSUMED),
    Reason.NOT_ASKED: _is_not_asked,
    Reason.SUPERSEDED: _is_superseded,
    Reason.OVER_THRESHOLD: _is_over_threshold,
    Reason.ELSEWHERE: _is_elsewhere,
    Reason.OFFERED: _is_offered,
}

_DOUBTFUL = (
    Reason.EXPIRED,
    Reason.SUPERSEDED,
    Reason.OVER_THRESHOLD,
    Reason.ELSEWHERE,
    Reason.OFFERED,
)
