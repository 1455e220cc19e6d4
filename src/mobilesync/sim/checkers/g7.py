"""G7: every queue and buffer keeps within its bound."""

from collections.abc import Iterator

from mobilesync.sim import history as h
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where G7 is broken."""
    for fact in ledger.history:
        if isinstance(fact, h.Filled) and fact.value > fact.bound:
            sentence = f"{fact.name} held {fact.value}, the bound is {fact.bound}"
            yield Finding("G7", fact.at_ms, sentence)
