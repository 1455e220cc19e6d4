"""What the journals say at the end of a history: the last word on each oplog and device.

A word that came with an ack is *exact* for what was pushed on the ack's wire. A word that came with
a Hello makes up for acks that were lost, and says less.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mobilesync.domain.channel import Channel
from mobilesync.sim import history as h
from mobilesync.sim.checkers.excuses import Case
from mobilesync.sim.checkers.ledger import Ledger, LiveAck, Stored


@dataclass(frozen=True, slots=True)
class Word:
    """What the journal says last of one oplog and one device."""

    step: h.Journaled
    ack: LiveAck | None
    """With which it came, if that is exact."""
    reason: int
    """For which the device was moved over it; 0: it was given."""


class Journals:
    """All of a history's."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._steps: dict[tuple[str, Channel], list[h.Journaled]] = {}
        self._words: dict[tuple[str, Channel], dict[int, Word]] = {}
        for fact in ledger.history:
            if isinstance(fact, h.Journaled):
                self._steps.setdefault((fact.device, fact.channel), []).append(fact)

    def words(self, device: str, channel: Channel) -> Mapping[int, Word]:
        """By oplog id."""
        key = (device, channel)
        if key not in self._words:
            words = self._words[key] = {}
            for step in self._steps.get(key, ()):
                ack = self._ack_of(step)
                reasons = dict.fromkeys(range(step.before + 1, step.received + 1), 0)
                for skip in step.skips:
                    reasons.update(dict.fromkeys(range(skip.first, skip.last + 1), skip.reason))
                for oplog_id, reason in reasons.items():
                    is_exact = ack is not None and ack.base < oplog_id
                    words[oplog_id] = Word(step, ack if is_exact else None, reason)
        return self._words[key]

    def case(self, device: str, stored: Stored, word: Word) -> Case:
        """Whom the device may have been judged for, and when."""
        ledger, ack = self._ledger, word.ack
        wire = ledger.census.wires.get(ack.wire) if ack is not None else None
        if ack is not None and wire is not None:
            viewers = wire.viewers(wire.spells[-1].order) if wire.spells else []
            return Case(ledger, stored, viewers, wire.hello_ms, ack.at_ms, [ack.epoch])
        installs = ledger.census.installs[device]
        viewers = [viewer for install in installs for viewer in install.viewers()]
        return Case(ledger, stored, viewers, 0, ledger.end_ms, ledger.epochs_of(stored))

    def _ack_of(self, step: h.Journaled) -> LiveAck | None:
        ledger = self._ledger
        acks = [
            ack
            for ack in ledger.live_acks.get((step.device, step.channel), ())
            if (ack.epoch, ack.received) == (step.epoch, step.received)
            and ledger.wall_ms(ack.at_ms) == step.wall_ms
        ]
        # A clock that was put back shows the same time twice.
        return acks[0] if len(acks) == 1 else None
