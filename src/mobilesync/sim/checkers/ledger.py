"""What a history says about oplogs: who asked for them, which ids they got, when they may end.

Strategy: read the history once. An oplog is identified by (channel, epoch, id), where the epoch is
the one in which its id was given: after a restore the same id may be given again, to another
oplog. `origin` finds that epoch for an id that was seen under a later one, by walking back over
the restores whose backups already held the id.

Whatever is not certain is in the service's favour: an oplog that may have ended by now has ended.

Invariant: a pure function of the history.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Conditions
from mobilesync.domain.oplog import Details, Origin, Withdrawal, WithdrawalReason
from mobilesync.domain.rules import Viewer
from mobilesync.sim import history as h
from mobilesync.sim.checkers.census import Census
from mobilesync.sim.checkers.rulebook import Rulebook

FOREVER_MS = 2**62
UNKNOWN_EPOCH = 0


class OplogName(NamedTuple):
    """Which oplog: ids are unique within the epoch that gave them."""

    channel: Channel
    epoch: int
    id: int

    def __str__(self) -> str:
        app, biz, target = self.channel
        return f"{app}/{biz}/{target} {self.epoch}.{self.id}"


@dataclass(slots=True)
class Call:
    """One item of one publish attempt, and what came of it."""

    asked: h.Asked
    order: int
    """Its place in the history."""
    ended_order: int = FOREVER_MS
    answered: h.Answered | None = None
    name: OplogName | None = None
    """The oplog it was answered with."""


@dataclass(slots=True)
class Stored:
    """One oplog that is known to have been stored."""

    name: OplogName
    message_id: str
    digest: str
    conditions: Conditions
    valid_until_ms: int
    """By its own validity."""
    ends_ms: int
    """By wall clock, the earliest time at which it may be gone."""
    key: str = ""
    origin: OplogName | None = None
    """What it offers again."""
    by_operator: bool = False
    """Whether an operator wanted it offered."""
    withdraws: tuple[OplogName, ...] = ()
    why: WithdrawalReason | None = None
    """Of the withdrawal."""
    by: str = ""
    """The device that has processed what is withdrawn."""
    calls: list[Call] = field(default_factory=list)
    """Those that were answered with it."""
    since_ms: int = 0
    """True time from which on it was certainly durable."""
    asked_ms: int = 0
    """True time before which it certainly was not stored."""

    @property
    def root(self) -> OplogName:
        """What a device gets when it gets this."""
        return self.origin or self.name


class LiveAck(NamedTuple):
    """An ack that reached the server on a living wire."""

    at_ms: int
    base: int
    """What the wire's Hello or Bind said: what is above it was pushed on this wire."""
    received: int
    processed: int
    epoch: int
    wire: int


class _Restore(NamedTuple):
    parent: int
    heads: dict[Channel, int]


class Ledger:
    """A history with an index."""

    def __init__(self, history: Sequence[h.Fact]) -> None:
        self.history = history
        self.calls: dict[int, Call] = {}
        self.stored: dict[OplogName, Stored] = {}
        self.by_message_id: dict[tuple[Channel, str], list[Call]] = {}
        self.epoch = UNKNOWN_EPOCH
        """The last one."""
        self.eras: dict[int, int] = {}
        """The place of each epoch in the order of their beginnings; their numbers say nothing."""
        self.end_ms = history[-1].at_ms if history else 0
        self._restores: dict[int, _Restore] = {}
        self.started_ms: list[int] = []
        """When a server began to serve."""
        self.restored_ms: list[int] = []
        """When the store was replaced by a backup."""
        self.recalls: dict[OplogName, int] = {}
        """When the recall of an oplog was asked for first."""
        self.withdrawals: dict[OplogName, list[Stored]] = {}
        """By what they withdraw."""
        self.acked: dict[Channel, list[tuple[int, int]]] = {}
        """(when, received) of every ack that reached the server, and of what Hellos said."""
        self.live_acks: dict[tuple[str, Channel], list[LiveAck]] = {}
        """By device."""
        self._bases: dict[tuple[int, Channel], int] = {}
        self.rulebook = Rulebook(history)
        self.census = Census(history)
        self._lines: dict[tuple[Channel, int], list[Stored]] = {}
        self._offsets: list[tuple[int, int]] = [(0, 0)]
        for order, fact in enumerate(history):
            self._read(order, fact)

    def origin(self, channel: Channel, epoch: int, oplog_id: int) -> OplogName:
        """The oplog that has `oplog_id` in a store whose current epoch is `epoch`."""
        while epoch in self._restores:
            restore = self._restores[epoch]
            if oplog_id > restore.heads.get(channel, 0):
                break
            epoch = restore.parent
        return OplogName(channel, epoch, oplog_id)

    def is_in(self, name: OplogName, epoch: int) -> bool:
        """Whether a store of `epoch` still has the oplog, as far as restores are concerned."""
        return self.origin(name.channel, epoch, name.id) == name

    def epochs_of(self, stored: Stored) -> list[int]:
        """The epochs in which the store has, or had, the oplog."""
        return [epoch for epoch in self.eras if self.is_in(stored.name, epoch)]

    def wall_ms(self, true_ms: int) -> int:
        """What the server's clock showed."""
        place = bisect_right(self._offsets, true_ms, key=lambda entry: entry[0]) - 1
        return true_ms + self._offsets[max(0, place)][1]

    def earliest_wall_ms(self, begin_ms: int, end_ms: int) -> int:
        """The least that the server's clock showed between two true times."""
        jumps = (at + offset for at, offset in self._offsets if begin_ms < at <= end_ms)
        return min(self.wall_ms(begin_ms), *jumps, self.wall_ms(end_ms))

    def latest_wall_ms(self, begin_ms: int, end_ms: int) -> int:
        """The most that the server's clock showed between two true times."""
        latest = self.wall_ms(end_ms)
        for place, (at_ms, offset_ms) in enumerate(self._offsets):
            later = place + 1 < len(self._offsets)
            until_ms = min(self._offsets[place + 1][0], end_ms) if later else end_ms
            if at_ms <= end_ms and until_ms >= begin_ms:
                latest = max(latest, until_ms + offset_ms)
        return latest

    def may_have_ended(self, stored: Stored, at_ms: int) -> bool:
        """Whether by the server's clock the oplog may be gone at the true time `at_ms`."""
        return stored.ends_ms <= self.latest_wall_ms(stored.since_ms, at_ms) + 1

    def was_acked(self, device: str, name: OplogName, until_ms: int) -> bool:
        """Whether the device has acked the oplog on the wire that brought it, or passed it over,
        and the server that took the ack has lived until `until_ms`."""
        begin_ms = max((at_ms for at_ms in self.started_ms if at_ms <= until_ms), default=0)
        return any(
            ack.base < name.id <= ack.received
            and begin_ms <= ack.at_ms <= until_ms
            and self.origin(name.channel, ack.epoch, name.id) == name
            for ack in self.live_acks.get((device, name.channel), ())
        )

    def line(self, channel: Channel, epoch: int) -> list[Stored]:
        """What a store whose current epoch is `epoch` has, or had, in the channel; by id. Call
        only when the whole history was read."""
        key = (channel, epoch)
        if key not in self._lines:
            mine = (s for name, s in self.stored.items() if name.channel == channel)
            line = [stored for stored in mine if self.is_in(stored.name, epoch)]
            self._lines[key] = sorted(line, key=lambda stored: stored.name.id)
        return self._lines[key]

    def newer_of_key(self, stored: Stored, epoch: int) -> Iterator[Stored]:
        """What replaces `stored`, for whom it is, in a store whose current epoch is `epoch`."""
        if stored.key:
            root = stored.root
            for other in self.line(root.channel, epoch):
                if other.name.id > root.id and other.key == stored.key:
                    yield other

    def _read(self, order: int, fact: h.Fact) -> None:
        match fact:
            case h.ServerClock():
                self._offsets.append((fact.at_ms, fact.offset_ms))
            case h.ServerStarted() if fact.lineage:
                self._enter(fact.lineage)
                self.started_ms.append(fact.at_ms)
            case h.Restored():
                self._enter(fact.lineage)
                self._restores[self.epoch] = _Restore(fact.lineage[-2], dict(fact.heads))
                self.restored_ms.append(fact.at_ms)
            case h.Asked():
                call = Call(fact, order)
                self.calls[fact.call] = call
                self.by_message_id.setdefault((fact.channel, fact.message_id), []).append(call)
            case h.Answered():
                self._answer(order, fact)
            case h.Denied() | h.Unanswered():
                if fact.call in self.calls:
                    self.calls[fact.call].ended_order = order
            case h.Stored():
                self._store(fact)
            case _:
                self._read_said(fact)

    def _read_said(self, fact: h.Fact) -> None:
        match fact:
            case h.SaidAck():
                self._note_acked(fact.at_ms, fact.channel, fact.received)
                base = self._bases.get((fact.wire, fact.channel), 0)
                acked = (fact.at_ms, base, fact.received, fact.processed, self.epoch)
                line = self.live_acks.setdefault((fact.device, fact.channel), [])
                line.append(LiveAck(*acked, fact.wire))
            case h.SaidHello() | h.SaidUser():
                for channel, _, received in fact.points:
                    self._note_acked(fact.at_ms, channel, received)
                    self._bases[fact.wire, channel] = received
            case h.RecallAsked():
                name = self.origin(fact.channel, self.epoch, fact.id)
                self.recalls.setdefault(name, fact.at_ms)

    def _enter(self, lineage: tuple[int, ...]) -> None:
        for epoch in lineage:
            self.eras.setdefault(epoch, len(self.eras))
        self.epoch = lineage[-1]

    def _answer(self, order: int, fact: h.Answered) -> None:
        call = self.calls.get(fact.call)
        if call is None:
            return
        call.ended_order = order
        if not fact.id:
            # A notice is not stored.
            return
        name = self.origin(call.asked.channel, self.epoch, fact.id)
        call.answered, call.name = fact, name
        stored = self.stored.get(name)
        if stored is None:
            stored = self.stored[name] = self._published(name, call.asked, fact.at_ms)
        stored.calls.append(call)

    def _note_acked(self, at_ms: int, channel: Channel, received: int) -> None:
        self.acked.setdefault(channel, []).append((at_ms, received))

    def _store(self, fact: h.Stored) -> None:
        name = OplogName(fact.channel, self.epoch, fact.id)
        calls = self.by_message_id.get((fact.channel, fact.message_id))
        if calls:
            self.stored[name] = self._published(name, calls[0].asked, fact.at_ms)
            return
        details = fact.details or Details()
        stored = Stored(name, fact.message_id, fact.digest, Conditions(), FOREVER_MS, FOREVER_MS)
        stored.since_ms = stored.asked_ms = fact.at_ms
        stored.key = details.key
        if details.origin is not None:
            self._note_offer(stored, fact, details.origin)
        if details.withdraws is not None:
            self._note_withdrawal(stored, details.withdraws)
        self.stored[name] = stored

    def _note_offer(self, stored: Stored, fact: h.Stored, origin: Origin) -> None:
        channel = Channel(fact.channel.app, fact.channel.biz, origin.target)
        stored.origin = self.origin(channel, self.epoch, origin.id)
        stored.by_operator = origin.by_operator
        stored.conditions = fact.conditions or Conditions()
        root = self.stored.get(stored.origin)
        if root is not None:
            stored.valid_until_ms, stored.ends_ms = root.valid_until_ms, root.ends_ms

    def _note_withdrawal(self, stored: Stored, withdraws: Withdrawal) -> None:
        channel = stored.name.channel
        stored.ends_ms = self._retention_end_ms(channel, stored.since_ms, stored.since_ms)
        stored.why, stored.by = withdraws.reason, withdraws.by
        ids = (each for first, last in withdraws.ids for each in range(first, last + 1))
        stored.withdraws = tuple(self.origin(channel, self.epoch, each) for each in ids)
        for name in stored.withdraws:
            self.withdrawals.setdefault(name, []).append(stored)

    def _published(self, name: OplogName, asked: h.Asked, at_ms: int) -> Stored:
        channel = asked.channel
        first = self.by_message_id[channel, asked.message_id][0].asked
        valid_until_ms = asked.valid_until_ms or FOREVER_MS
        # The server stamps it at some time between the first ask and now.
        ends_ms = min(valid_until_ms, self._retention_end_ms(channel, first.at_ms, at_ms))
        return Stored(
            name=name,
            message_id=asked.message_id,
            digest=asked.digest,
            conditions=asked.conditions,
            valid_until_ms=valid_until_ms,
            ends_ms=ends_ms,
            key=asked.key,
            since_ms=at_ms,
            asked_ms=first.at_ms,
        )

    def _retention_end_ms(self, channel: Channel, begin_ms: int, end_ms: int) -> int:
        """The earliest end of what was stamped between the two."""
        spells = self.rulebook.between(channel, begin_ms, end_ms)
        retention_s = min(rules.retention_s for rules in spells)
        return self.earliest_wall_ms(begin_ms, end_ms) + retention_s * 1000


def admits(conditions: Conditions, viewers: Iterable[Viewer]) -> bool:
    """Whether each of `viewers` fulfils `conditions`; True if there are none."""
    return all(conditions.admits(v.attributes, v.user, v.device) for v in viewers)
