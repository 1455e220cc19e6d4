"""G1: no acknowledged publish is ever lost.

What was answered, or is known to have been durable, is held at the end, under its id, once, with
its payload; except for what had ended by then, or came after the backup that a restore went back
to, and for the payload of what was recalled. And no id is answered to two oplogs of one epoch.
"""

import itertools
from collections.abc import Iterator

from mobilesync.domain.channel import Channel
from mobilesync.domain.message_id import RESERVED
from mobilesync.domain.oplog import WithdrawalReason
from mobilesync.sim import history as h
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger, Stored
from mobilesync.sim.chronicle import digest_of

EMPTY = digest_of(b"")
RECALLED = WithdrawalReason.RECALLED


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
    asked = {(channel, message_id) for channel, message_id in ledger.by_message_id}
    for fact in held.values():
        # What the service appends itself has names that no publisher may use.
        is_own = fact.message_id.startswith(RESERVED)
        if not is_own and (fact.channel, fact.message_id) not in asked:
            sentence = f"{fact.channel} {fact.id} is held, but nobody published it so"
            yield Finding("G1", fact.at_ms, sentence)
    for name, stored in ledger.stored.items():
        if not ledger.is_in(name, ledger.epoch) or ledger.may_have_ended(stored, ledger.end_ms):
            continue
        here = held.get((name.channel, name.id))
        if here is None:
            sentence = f"{name} ({stored.message_id}) was stored and is gone"
            yield Finding("G1", stored.since_ms, sentence)
        elif here.message_id != stored.message_id:
            sentence = f"{name} was stored for {stored.message_id}, but holds {here.message_id}"
            yield Finding("G1", stored.since_ms, sentence)
        elif here.digest != _digest(ledger, stored, here):
            sentence = f"{name} ({stored.message_id}) does not hold its payload"
            yield Finding("G1", stored.since_ms, sentence)


def _digest(ledger: Ledger, stored: Stored, here: h.Held) -> str:
    """Of the payload that must be held: of an offer its origin's, of a recalled oplog none."""
    withdrawn = here.details.withdrawn if here.details is not None else None
    if stored.withdraws or (withdrawn is not None and withdrawn.reason is RECALLED):
        return EMPTY
    root = ledger.stored.get(stored.root)
    return root.digest if root is not None else stored.digest


def _check_dense(ledger: Ledger, held: list[tuple[Channel, int]]) -> Iterator[Finding]:
    for (channel, one), (other, two) in itertools.pairwise(held):
        if channel == other and two != one + 1:
            sentence = f"{channel} holds {one} and then {two}"
            yield Finding("G1", ledger.end_ms, sentence)
