"""KEYS: a device that has not got an older value of a key yet does not get it any more.

A push brings no oplog whose key has a newer one that was stored a while ago, that the device may
see, and that was not recalled. That a device ends with the newest value is G3's: that one has no
excuse. An offer is judged by its origin's place: it must not come after a newer value.
"""

from collections.abc import Iterator

from mobilesync.engine.feed import NEWER_MAX
from mobilesync.sim import history as h
from mobilesync.sim.checkers.census import Wire
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger, Stored

TURN_MS = 2_000
"""How long what was read before may still be written."""


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where an older value was pushed although the newer one was there."""
    epoch = 0
    for order, fact in enumerate(ledger.history):
        match fact:
            case h.ServerStarted() if fact.lineage:
                epoch = fact.lineage[-1]
            case h.Pushed():
                wire = ledger.census.wires.get(fact.wire)
                if wire is None:
                    continue
                for oplog_id, _ in fact.oplogs:
                    stored = ledger.stored.get(ledger.origin(fact.channel, epoch, oplog_id))
                    if stored is not None and stored.key:
                        yield from _check(ledger, order, fact, wire, stored, epoch)


def _check(
    ledger: Ledger, order: int, fact: h.Pushed, wire: Wire, stored: Stored, epoch: int
) -> Iterator[Finding]:
    newer = list(ledger.newer_of_key(stored, epoch))
    if len(newer) > NEWER_MAX:
        return
    for other in newer:
        is_there = other.since_ms < fact.at_ms - TURN_MS
        may_be_gone = other.name in ledger.recalls or ledger.may_have_ended(other, fact.at_ms)
        if is_there and not may_be_gone and _admits_all(other, order, wire):
            sentence = f"{fact.device} got {stored.name} ({stored.key}), replaced by {other.name}"
            yield Finding("KEYS", fact.at_ms, sentence)
            return


def _admits_all(stored: Stored, order: int, wire: Wire) -> bool:
    """Whether everybody that the wire was judged for may see it."""
    viewers = wire.viewers(order)
    return all(stored.conditions.admits(v.attributes, v.user, v.device) for v in viewers)
