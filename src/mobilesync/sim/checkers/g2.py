"""G2: per channel, ascending ids in publish order, no gap but what must not be seen, no repeat.

Six rules, each for what a history shows:
- ids are given in the order of the calls: answered before asked means a lower id, and so does an
  earlier place in one batch;
- a push and a save leave out no oplog without an excuse (excuses.py);
- a sync point is rewound only if an operator wanted that;
- saves of a channel join: each begins where the one before ended, or where a reset put it;
- a handler is called for oplogs in ascending order;
- and never again for one whose call is finished (marked, or ended without a kill after it).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mobilesync.domain.channel import Channel
from mobilesync.domain.rules import Viewer
from mobilesync.protocol.codes import ResetReason
from mobilesync.sim import history as h
from mobilesync.sim.checkers.excuses import Case, excuse
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import FOREVER_MS, Ledger, OplogName, Stored

_AGAIN = {ResetReason.FUTURE, ResetReason.FOREIGN, ResetReason.REWOUND}
"""After a reset for these reasons, oplogs that a device had may come again."""


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where G2 is broken."""
    yield from _check_publish_order(ledger)
    follower = _Follower(ledger)
    for order, fact in enumerate(ledger.history):
        yield from follower.follow(order, fact)


def _check_publish_order(ledger: Ledger) -> Iterator[Finding]:
    lines: dict[tuple[Channel, int], list[Stored]] = {}
    for name, stored in ledger.stored.items():
        if stored.calls:
            lines.setdefault((name.channel, name.epoch), []).append(stored)
    for line in lines.values():
        line.sort(key=lambda stored: stored.name.id)
        earliest_end = FOREVER_MS
        for stored in reversed(line):
            begun = _asked_order(ledger, stored)
            if begun > earliest_end:
                sentence = f"{stored.name} has a lower id than an oplog answered before its publish"
                yield Finding("G2", stored.since_ms, sentence)
            earliest_end = min(earliest_end, *(call.ended_order for call in stored.calls))
        yield from _check_batches(line)


def _asked_order(ledger: Ledger, stored: Stored) -> int:
    """When, at the earliest, the call began that stored it."""
    for call in stored.calls:
        if call.answered is not None and not call.answered.duplicate:
            return call.order
    return ledger.by_message_id[stored.name.channel, stored.message_id][0].order


def _check_batches(line: list[Stored]) -> Iterator[Finding]:
    last: dict[int, int] = {}
    for stored in line:
        for call in stored.calls:
            batch = call.asked.batch
            if not batch or call.answered is None or call.answered.duplicate:
                continue
            if last.get(batch, -1) > call.order:
                sentence = f"{stored.name} has an id above one that came after it in its batch"
                yield Finding("G2", stored.since_ms, sentence)
            last[batch] = call.order


@dataclass(slots=True)
class _Line:
    """One channel on one install of a device."""

    upto: int | None = None
    epoch: int = 0
    begun: tuple[int, int] | None = None
    """(era, id) of the last oplog whose handler was called, in the epoch of its save."""
    done: dict[OplogName, int] = field(default_factory=dict)
    """How many calls that need no other were made for an oplog."""
    parked: set[OplogName] = field(default_factory=set)
    """Set aside after too many failures: called out of order when they are retried."""
    waiting: set[OplogName] = field(default_factory=set)
    """Saved, and not known to be done."""
    left_over: set[OplogName] = field(default_factory=set)
    """What waited when a reset brought some again: called before those, whatever their ids."""
    copies: int = 1
    """How often an oplog may come: once more after each reset that brings some again."""
    finished: OplogName | None = None
    """Finished, not known to be marked: after a kill it may be called again."""


@dataclass(slots=True)
class _Device:
    lines: dict[Channel, _Line] = field(default_factory=dict)
    marks: bool = False
    """Whether the history says when calls are marked."""

    def line(self, channel: Channel) -> _Line:
        return self.lines.setdefault(channel, _Line())


class _Follower:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._devices: dict[str, _Device] = {}
        self._epoch = ledger.epoch
        self._rewinds: set[tuple[str, Channel]] = set()
        self._marks = any(isinstance(fact, h.Marked) for fact in ledger.history)

    def follow(self, order: int, fact: h.Fact) -> Iterator[Finding]:
        match fact:
            case h.ServerStarted() if fact.lineage:
                self._epoch = fact.lineage[-1]
            case h.Installed():
                self._devices[fact.device] = _Device()
            case h.DeviceKilled():
                self._kill(fact)
            case h.Pushed():
                yield from self._push(order, fact)
            case h.Saved():
                yield from self._save(order, fact)
            case h.RewindAsked():
                self._rewinds.add((fact.device, fact.channel))
            case h.WasReset():
                yield from self._reset(fact)
            case h.HandlerBegan():
                yield from self._begin(fact)
            case h.Parked():
                line = self._device(fact.device).line(fact.channel)
                line.parked.add(self._name(fact))
            case h.HandlerFinished() | h.Marked():
                self._finish(fact)

    def _device(self, device: str) -> _Device:
        return self._devices.setdefault(device, _Device())

    def _kill(self, fact: h.DeviceKilled) -> None:
        for line in self._device(fact.device).lines.values():
            if not self._marks and line.finished is not None:
                # Killed after the end, perhaps before the mark: only the last one can be.
                line.done[line.finished] -= 1
            line.finished = None

    def _push(self, order: int, fact: h.Pushed) -> Iterator[Finding]:
        ids = [oplog_id for oplog_id, _ in fact.oplogs]
        wire = self._ledger.census.wires.get(fact.wire)
        viewers = wire.viewers(order) if wire is not None else []
        begin_ms = wire.hello_ms if wire is not None else 0
        yield from self._check_whole(fact, self._epoch, set(ids), viewers, begin_ms)
        yield from _check_ascending(fact, ids)

    def _save(self, order: int, fact: h.Saved) -> Iterator[Finding]:
        device = self._device(fact.device)
        line = device.line(fact.channel)
        if line.upto is not None and (fact.after, fact.epoch) != (line.upto, line.epoch):
            at, to = f"{fact.epoch}.{fact.after}", f"{line.epoch}.{line.upto}"
            sentence = f"{fact.device} saved {fact.channel} after {at}, but had come to {to}"
            yield Finding("G2", fact.at_ms, sentence)
        line.upto, line.epoch = fact.upto, fact.epoch
        names = (self._ledger.origin(fact.channel, fact.epoch, each) for each in fact.ids)
        line.waiting.update(names)
        install = self._ledger.census.install(fact.device, order)
        viewers = install.viewers() if install is not None else []
        begin_ms = install.at_ms if install is not None else 0
        yield from self._check_whole(fact, fact.epoch, set(fact.ids), viewers, begin_ms)
        yield from _check_ascending(fact, list(fact.ids))

    def _reset(self, fact: h.WasReset) -> Iterator[Finding]:
        line = self._device(fact.device).line(fact.channel)
        if fact.reason == ResetReason.REWOUND and not self._is_wanted(fact):
            sentence = f"{fact.device} was rewound in {fact.channel}, which nobody wanted"
            yield Finding("G2", fact.at_ms, sentence)
        line.upto, line.epoch = fact.floor, fact.epoch
        if fact.reason in _AGAIN:
            # What was saved before it is still handled, so both copies may be called.
            line.copies += 1
            line.begun = None
            line.left_over |= line.waiting

    def _is_wanted(self, fact: h.WasReset) -> bool:
        return (fact.device, fact.channel) in self._rewinds

    def _check_whole(
        self,
        fact: h.Pushed | h.Saved,
        epoch: int,
        ids: set[int],
        viewers: Sequence[Viewer],
        begin_ms: int,
    ) -> Iterator[Finding]:
        ledger = self._ledger
        for oplog_id in range(fact.after + 1, fact.upto + 1):
            if oplog_id in ids:
                continue
            stored = ledger.stored.get(ledger.origin(fact.channel, epoch, oplog_id))
            if stored is None:
                continue
            if excuse(Case(ledger, stored, viewers, begin_ms, fact.at_ms, [epoch])) is None:
                kind = type(fact).__name__
                at = f"({fact.after}, {fact.upto}]"
                sentence = f"{kind} to {fact.device} {at} leaves out {stored.name}"
                yield Finding("G2", fact.at_ms, sentence)

    def _begin(self, fact: h.HandlerBegan) -> Iterator[Finding]:
        line = self._device(fact.device).line(fact.channel)
        name = self._name(fact)
        if line.done.get(name, 0) >= line.copies:
            sentence = f"{fact.device}: the finished call for {name} was repeated"
            yield Finding("G2", fact.at_ms, sentence)
        # What was saved in an older epoch is handled before.
        rank = (self._ledger.eras.get(fact.epoch, 0), fact.id)
        if name in line.parked or name in line.left_over:
            return
        if line.begun is not None and rank < line.begun:
            sentence = f"{fact.device}: handler called for {name} after {line.begun}"
            yield Finding("G2", fact.at_ms, sentence)
        else:
            line.begun = rank

    def _finish(self, fact: h.HandlerFinished | h.Marked) -> None:
        line = self._device(fact.device).line(fact.channel)
        name = line.finished = self._name(fact)
        # Without marks in the history, the end of the call is all that one can see.
        if isinstance(fact, h.Marked) or not self._marks:
            line.done[name] = line.done.get(name, 0) + 1
            line.waiting.discard(name)
            line.left_over.discard(name)

    def _name(self, fact: h.HandlerBegan | h.HandlerFinished | h.Parked | h.Marked) -> OplogName:
        epoch = fact.epoch or self._epoch
        return self._ledger.origin(fact.channel, epoch, fact.id)


def _check_ascending(fact: h.Pushed | h.Saved, ids: list[int]) -> Iterator[Finding]:
    whole = [fact.after, *ids]
    is_ascending = all(one < two for one, two in zip(whole, ids, strict=False))
    if not is_ascending or fact.upto < whole[-1]:
        kind = type(fact).__name__
        sentence = f"{kind} to {fact.device}: {ids} is not ascending in ({fact.after}, {fact.upto}]"
        yield Finding("G2", fact.at_ms, sentence)
