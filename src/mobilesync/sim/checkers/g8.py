"""G8: same message id in the same channel: same oplog id, marked as duplicate, a success.

As long as the store has the first one: it may have ended, or a restore may have gone back to before
it. Concurrent calls with one message id may be answered in any order, but one alone is the first.
"""

import itertools
from collections.abc import Iterator

from mobilesync.sim import history as h
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Call, Ledger


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where G8 is broken."""
    for calls in ledger.by_message_id.values():
        yield from _check_message_id(ledger, calls)
    held: dict[tuple[object, str], int] = {}
    for fact in ledger.history:
        if isinstance(fact, h.Held):
            other = held.setdefault((fact.channel, fact.message_id), fact.id)
            if other != fact.id:
                sentence = f"{fact.channel}: {fact.message_id} is stored as {other} and {fact.id}"
                yield Finding("G8", fact.at_ms, sentence)


def _check_message_id(ledger: Ledger, calls: list[Call]) -> Iterator[Finding]:
    answered = sorted(
        (call for call in calls if call.answered is not None), key=lambda call: call.ended_order
    )
    for one, two in itertools.pairwise(answered):
        assert one.name is not None
        assert two.name is not None
        assert two.answered is not None
        stored = ledger.stored[one.name]
        at_ms = two.answered.at_ms
        if not ledger.is_in(one.name, two.name.epoch) or ledger.may_have_ended(stored, at_ms):
            continue
        if one.name != two.name:
            sentence = f"{stored.message_id} was answered with {one.name}, then with {two.name}"
            yield Finding("G8", at_ms, sentence)
        elif one.ended_order < two.order and not two.answered.duplicate:
            sentence = f"{stored.message_id}, published again, was not answered as a duplicate"
            yield Finding("G8", at_ms, sentence)
    first = min(calls, key=lambda call: call.order)
    if first.answered is not None and first.answered.duplicate and len(calls) == 1:
        sentence = f"{first.asked.message_id} was published once and answered as a duplicate"
        yield Finding("G8", first.answered.at_ms, sentence)
