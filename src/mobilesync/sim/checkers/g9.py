"""G9: for every oplog and device the service can say: received, processed, when, or why not.

In the end the service knows how far each device is: sync points move with acks, which may be lost
with a link or a server; Hello says them again. And of every id up to there, its journal has the
last word: either the device was given the oplog, or it was moved over it, for a reason that the
rules give (excuses.py).

A word that comes with an ack is exact: what it says was given was pushed on that wire, at the time
that it says, and what it says was passed over was not saved. A word that comes with a Hello, which
makes up for acks that were lost, can only be as good as what the rules say afterwards.

Points of users that no longer belong to the device are not looked at.
"""

from collections.abc import Iterator

from mobilesync.domain.channel import EVERYONE, Channel, device_target, user_target
from mobilesync.domain.reasons import Reason
from mobilesync.sim import history as h
from mobilesync.sim.checkers.excuses import excuse, may
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.journals import Journals, Word
from mobilesync.sim.checkers.ledger import Ledger, OplogName, Stored

TURN_MS = 2_000
"""How long after it is stamped a push may be written."""


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where the service does not know, or knows what is not true."""
    yield from _check_points(ledger)
    if any(isinstance(fact, h.Headed) for fact in ledger.history):
        yield from _Words(ledger).check()


def _check_points(ledger: Ledger) -> Iterator[Finding]:
    known = {
        (fact.device, fact.channel): (fact.epoch, fact.received, fact.processed)
        for fact in ledger.history
        if isinstance(fact, h.KnownPoint)
    }
    users = {fact.device: fact.user for fact in ledger.history if isinstance(fact, h.LoggedIn)}
    for fact in ledger.history:
        if not isinstance(fact, h.OwnPoint):
            continue
        name = fact.device.partition("/")[2]
        targets = {EVERYONE, device_target(name), user_target(users.get(fact.device, ""))}
        own = (fact.epoch, fact.received, fact.processed)
        service = known.get((fact.device, fact.channel))
        # Nothing received is nothing to prove: a service may forget a channel that it never had.
        if fact.received and fact.channel.target in targets and service != own:
            sentence = f"{fact.device} is at {own} in {fact.channel}, the service knows {service}"
            yield Finding("G9", fact.at_ms, sentence)


class _Words:
    """Holds the journals against what devices and wires did."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._journals = Journals(ledger)
        self._trimmed: dict[Channel, int] = {}
        self._points: list[h.KnownPoint] = []
        self._saved: set[tuple[str, OplogName]] = set()
        """What devices have saved, in all their lives."""
        self._left: dict[tuple[int, OplogName], list[int]] = {}
        """When an oplog left on a wire."""
        epoch = 0
        for fact in ledger.history:
            match fact:
                case h.ServerStarted() if fact.lineage:
                    epoch = fact.lineage[-1]
                case h.Headed():
                    self._trimmed[fact.channel] = fact.trimmed
                case h.KnownPoint() if fact.device in ledger.census.installs:
                    self._points.append(fact)
                case h.Saved():
                    names = (ledger.origin(fact.channel, fact.epoch, each) for each in fact.ids)
                    self._saved.update((fact.device, name) for name in names)
                case h.Pushed():
                    for oplog_id, _ in fact.oplogs:
                        name = ledger.origin(fact.channel, epoch, oplog_id)
                        self._left.setdefault((fact.wire, name), []).append(fact.at_ms)

    def check(self) -> Iterator[Finding]:
        ledger = self._ledger
        for point in self._points:
            if point.epoch != ledger.epoch:
                continue
            words = self._journals.words(point.device, point.channel)
            trimmed = self._trimmed.get(point.channel, 0)
            for oplog_id in range(trimmed + 1, point.received + 1):
                name = ledger.origin(point.channel, point.epoch, oplog_id)
                stored = ledger.stored.get(name)
                wrong = ""
                if oplog_id not in words:
                    wrong = f"the journal says nothing of {name} on {point.device}"
                elif stored is not None:
                    wrong = self._wrong(point.device, stored, words[oplog_id])
                if wrong:
                    yield Finding("G9", point.at_ms, wrong)

    def _wrong(self, device: str, stored: Stored, word: Word) -> str:
        """What is not true of `word`; empty when all is."""
        name, ack = stored.name, word.ack
        left = self._left.get((ack.wire, name), []) if ack is not None else []
        case = self._journals.case(device, stored, word)
        if word.reason:
            reason = Reason(word.reason)
            if not may(case, reason):
                return f"{device} was not moved over {name} because of {reason.name}"
            return f"{device} got {name}, which the journal says it was moved over" if left else ""
        if ack is None:
            is_known = (device, name) in self._saved or excuse(case) is not None
            return "" if is_known else f"{device} never got {name}, and nothing says why"
        if not left:
            return f"{device} did not get {name}, which the journal says it did"
        is_true = self._is_true(word, name, left)
        return "" if is_true else f"{name} left for {device} at another time than the journal says"

    def _is_true(self, word: Word, name: OplogName, left: list[int]) -> bool:
        """Whether the journal tells when the oplog left."""
        ledger = self._ledger
        told = next((sent.at_ms for sent in word.step.sends if sent.upto >= name.id), 0)
        return any(
            ledger.earliest_wall_ms(at_ms - TURN_MS, at_ms)
            <= told
            <= ledger.latest_wall_ms(at_ms - TURN_MS, at_ms)
            for at_ms in left
        )
