"""SCHEDULED: what is valid from later on is stored when that time has come, not before or never.

By the server's own clock, which may jump: only what it showed certainly, or possibly, is held
against it. What was answered as scheduled is lost with a restore that goes back to before it, waits
on while its biz takes no publishes, and may have ended before a server came to store it.
"""

from collections.abc import Iterator

from mobilesync.domain.channel import Channel
from mobilesync.sim import history as h
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger

COMMIT_MS = 60_000
"""How long what was found due may take to become durable, while the clock may be put back."""
PATIENCE_MS = 60_000
"""How long a service that nothing disturbs may take to store what is due."""

_Id = tuple[Channel, str]


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where something came too early, or not at all."""
    yield from _check_early(ledger)
    if any(isinstance(fact, h.HeldAll) for fact in ledger.history):
        yield from _check_lost(ledger)


def _check_early(ledger: Ledger) -> Iterator[Finding]:
    for fact in ledger.history:
        if not isinstance(fact, h.Stored):
            continue
        calls = ledger.by_message_id.get((fact.channel, fact.message_id), ())
        due_ms = min((call.asked.valid_from_ms for call in calls), default=0)
        shown_ms = ledger.latest_wall_ms(fact.at_ms - COMMIT_MS, fact.at_ms)
        if due_ms > shown_ms:
            sentence = f"{fact.channel} {fact.id} ({fact.message_id}) was stored before it was due"
            yield Finding("SCHEDULED", fact.at_ms, sentence)


def _check_lost(ledger: Ledger) -> Iterator[Finding]:
    seen: set[_Id] = set()
    scheduled: dict[_Id, h.Answered] = {}
    for fact in ledger.history:
        match fact:
            case h.Stored() | h.Held():
                seen.add((fact.channel, fact.message_id))
            case h.Answered() if not fact.id and fact.call in ledger.calls:
                asked = ledger.calls[fact.call].asked
                if asked.valid_from_ms:
                    scheduled.setdefault((asked.channel, asked.message_id), fact)
    for place, answered in scheduled.items():
        asked = ledger.calls[answered.call].asked
        if place not in seen and _must_be_there(ledger, asked, answered):
            sentence = f"{asked.channel} {asked.message_id} was scheduled, and is nowhere"
            yield Finding("SCHEDULED", answered.at_ms, sentence)


def _must_be_there(ledger: Ledger, asked: h.Asked, answered: h.Answered) -> bool:
    end_ms = ledger.end_ms
    begin_ms = answered.at_ms
    spells = ledger.rulebook.between(asked.channel, begin_ms, end_ms)
    retention_ms = min(rules.retention_s for rules in spells) * 1000
    ends_ms = min(asked.valid_until_ms or 2**63, asked.valid_from_ms + retention_ms)
    return (
        asked.valid_from_ms < ledger.earliest_wall_ms(end_ms - PATIENCE_MS, end_ms)
        and ends_ms > ledger.latest_wall_ms(begin_ms, end_ms)
        and all(rules.status == "online" and rules.persistent for rules in spells)
        and not any(restored_ms >= begin_ms for restored_ms in ledger.restored_ms)
    )
