"""G1: no acknowledged publish is ever lost.

What was answered is held at the end, under its id, once, with its payload; except for what had
ended by then, or was answered after the backup that a restore went back to. And no id is answered
to two different oplogs of one epoch.
"""

import itertools
from collections.abc import Iterator

from mobilesync.domain.channel import Channel
from mobilesync.engine.offers import RESERVED
from mobilesync.sim import history as h
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where G1 is broken."""
    yield from _check_answers(ledger)
    if any(isinstance(fact, h.HeldAll) for fact in ledger.history):
        yield from _check_held(ledger)


def _check_answers(ledger: Ledger) -> Iterator[Finding]:
    for stored in ledger.stored.values():
        for call in stored.calls:
            if call.asked.message_id != stored.message_id:
                sentence = (
                    f"{stored.name} was answered for message id {stored.message_id}"
                    f" and for {call.asked.message_id}"
                )
                yield Finding("G1", call.asked.at_ms, sentence)


def _check_held(ledger: Ledger) -> Iterator[Finding]:
    held = {(fact.channel, fact.id): fact for fact in ledger.history if isinstance(fact, h.Held)}
    yield from _check_dense(ledger, sorted(held))
    digests = {
        (call.asked.channel, call.asked.message_id, call.asked.digest)
        for call in ledger.calls.values()
    }
    for fact in held.values():
        # What the service appends itself has names that no publisher may use.
        if fact.message_id.startswith(RESERVED):
            continue
        if (fact.channel, fact.message_id, fact.digest) not in digests:
            sentence = f"{fact.channel} {fact.id} is held, but nobody published it so"
            yield Finding("G1", fact.at_ms, sentence)
    for name, stored in ledger.stored.items():
        if not ledger.is_in(name, ledger.epoch) or ledger.may_have_ended(stored, ledger.end_ms):
            continue
        here = held.get((name.channel, name.id))
        if here is None:
            sentence = f"{name} ({stored.message_id}) was answered and is gone"
            yield Finding("G1", stored.answered_ms, sentence)
        elif here.message_id != stored.message_id or here.digest != stored.digest:
            sentence = f"{name} was answered for {stored.message_id}, but holds {here.message_id}"
            yield Finding("G1", stored.answered_ms, sentence)


def _check_dense(ledger: Ledger, held: list[tuple[Channel, int]]) -> Iterator[Finding]:
    for (channel, one), (other, two) in itertools.pairwise(held):
        if channel == other and two != one + 1:
            sentence = f"{channel} holds {one} and then {two}"
            yield Finding("G1", ledger.end_ms, sentence)
