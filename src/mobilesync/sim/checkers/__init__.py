"""One checker for each guarantee, over a history alone: the simulator's and real processes'."""

from collections.abc import Sequence

from mobilesync.sim.checkers import conduct, g1, g2, g3, g4, g6, g7, g8, g9
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger
from mobilesync.sim.history import Fact

CHECKERS = (
    g1.check,
    g2.check,
    g3.check,
    g4.check,
    g6.check,
    g7.check,
    g8.check,
    g9.check,
    conduct.check,
)


def check_all(history: Sequence[Fact]) -> list[Finding]:
    """Every guarantee that `history` breaks, oldest first."""
    ledger = Ledger(history)
    findings = [finding for check in CHECKERS for finding in check(ledger)]
    return sorted(findings, key=lambda finding: finding.at_ms)
