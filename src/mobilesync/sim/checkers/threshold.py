"""THRESHOLD: of the backlog, a device that connects gets only the newest N.

What was stored before the Hello (for the user's channels: before the Hello or Bind) is certainly in
the backlog that the session found. That it gets the *newest* N, and no fewer, is G2's: whatever
else was left out has no excuse.
"""

from collections.abc import Iterator

from mobilesync.domain.channel import Channel, is_user_target
from mobilesync.sim import history as h
from mobilesync.sim.checkers.census import Spell, Wire
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger, OplogName


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where more of a backlog was pushed than the threshold lets through."""
    counts: dict[tuple[int, Channel, int], set[OplogName]] = {}
    epoch = 0
    for order, fact in enumerate(ledger.history):
        match fact:
            case h.ServerStarted() if fact.lineage:
                epoch = fact.lineage[-1]
            case h.Pushed():
                wire = ledger.census.wires.get(fact.wire)
                spell = _found_by(wire, order, fact.channel) if wire is not None else None
                if spell is None:
                    continue
                key = (fact.wire, fact.channel, spell.order)
                seen = counts.setdefault(key, set())
                for oplog_id, _ in fact.oplogs:
                    name = ledger.origin(fact.channel, epoch, oplog_id)
                    stored = ledger.stored.get(name)
                    if stored is not None and stored.since_ms < spell.asked_ms:
                        seen.add(name)
                yield from _check(ledger, fact, spell, len(seen))


def _found_by(wire: Wire, order: int, channel: Channel) -> Spell | None:
    """The login that found the channel's backlog."""
    if is_user_target(channel.target):
        return wire.spell(order)
    return wire.spells[0] if wire.spells else None


def _check(ledger: Ledger, fact: h.Pushed, spell: Spell, count: int) -> Iterator[Finding]:
    spells = ledger.rulebook.between(fact.channel, spell.asked_ms, fact.at_ms)
    thresholds = [rules.repush_threshold for rules in spells]
    if all(thresholds) and count > max(thresholds):
        sentence = f"{fact.device} got {count} oplogs of the backlog of {fact.channel}"
        yield Finding("THRESHOLD", fact.at_ms, f"{sentence}: at most {max(thresholds)}")
