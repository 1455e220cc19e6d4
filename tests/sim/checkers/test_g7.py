"""G7: within the bound."""

from mobilesync.sim import history as h
from mobilesync.sim.checkers.g7 import check
from mobilesync.sim.checkers.ledger import Ledger


def test_at_the_bound_and_over_it() -> None:
    assert not list(check(Ledger([h.Filled(0, "a queue", 10, 10)])))
    assert len(list(check(Ledger([h.Filled(0, "a queue", 11, 10)])))) == 1
