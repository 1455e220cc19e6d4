"""One checker for each guarantee and each rule, over a history alone: simulated and real ones."""

from collections.abc import Sequence

from mobilesync.sim.checkers import (
    conduct,
    consumed,
    explained,
    g1,
    g2,
    g3,
    g4,
    g5,
    g6,
    g7,
    g8,
    g9,
    keys,
    one_point,
    operator,
    scheduled,
    threshold,
    withdrawn,
    withheld,
)
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger
from mobilesync.sim.history import Fact

CHECKERS = (
    g1.check,
    g2.check,
    g3.check,
    g4.check,
    g5.check,
    g6.check,
    g7.check,
    g8.check,
    g9.check,
    explained.check,
    withheld.check,
    one_point.check,
    consumed.check,
    withdrawn.check,
    threshold.check,
    keys.check,
    operator.check,
    scheduled.check,
    conduct.check,
)


def check_all(history: Sequence[Fact]) -> list[Finding]:
    """Everything promised that `history` breaks, oldest first."""
    ledger = Ledger(history)
    findings = [finding for check in CHECKERS for finding in check(ledger)]
    return sorted(findings, key=lambda finding: finding.at_ms)
