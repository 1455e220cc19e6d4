"""What a history says about oplogs: who asked for them, which ids they got, when they may end.

Strategy: read the history once. An oplog is identified by (channel, epoch, id), where the epoch is
the one in which its id was given: after a restore the same id may be given again, to another
oplog. `origin` finds that epoch for an id that was seen under a later one, by walking back over
the restores whose backups already held the id.

Whatever is not certain is in the service's favour: an oplog that may have ended by now has ended.

Invariant: a pure function of the history.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Attributes, Conditions
from mobilesync.sim import history as h

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
    """One oplog that at least one call was answered with."""

    name: OplogName
    message_id: str
    digest: str
    conditions: Conditions
    valid_until_ms: int
    """By its own validity."""
    ends_ms: int
    """By wall clock, the earliest time at which it may be gone."""
    calls: list[Call] = field(default_factory=list)
    answered_ms: int = 0
    """True time of the first answer."""


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
        self._retention_s: dict[tuple[str, str], int] = {}
        self._notices: set[tuple[str, str]] = set()
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
        return stored.ends_ms <= self.latest_wall_ms(stored.answered_ms, at_ms) + 1

    def _read(self, order: int, fact: h.Fact) -> None:
        match fact:
            case h.BizDefined():
                self._retention_s[fact.app, fact.biz] = fact.retention_s
                if not fact.persistent:
                    self._notices.add((fact.app, fact.biz))
            case h.ServerClock():
                self._offsets.append((fact.at_ms, fact.offset_ms))
            case h.ServerStarted() if fact.lineage:
                self._enter(fact.lineage)
            case h.Restored():
                self._enter(fact.lineage)
                self._restores[self.epoch] = _Restore(fact.lineage[-2], dict(fact.heads))
            case h.Asked() if (fact.channel.app, fact.channel.biz) not in self._notices:
                call = Call(fact, order)
                self.calls[fact.call] = call
                self.by_message_id.setdefault((fact.channel, fact.message_id), []).append(call)
            case h.Answered():
                self._answer(order, fact)
            case h.Denied() | h.Unanswered():
                if fact.call in self.calls:
                    self.calls[fact.call].ended_order = order

    def _enter(self, lineage: tuple[int, ...]) -> None:
        for epoch in lineage:
            self.eras.setdefault(epoch, len(self.eras))
        self.epoch = lineage[-1]

    def _answer(self, order: int, fact: h.Answered) -> None:
        call = self.calls.get(fact.call)
        if call is None:
            return
        asked = call.asked
        name = self.origin(asked.channel, self.epoch, fact.id)
        call.ended_order, call.answered, call.name = order, fact, name
        stored = self.stored.get(name)
        if stored is None:
            stored = self.stored[name] = self._stored(name, asked, fact)
        stored.calls.append(call)

    def _stored(self, name: OplogName, asked: h.Asked, answered: h.Answered) -> Stored:
        first = self.by_message_id[asked.channel, asked.message_id][0].asked
        valid_until_ms = asked.valid_until_ms or FOREVER_MS
        retention_s = self._retention_s.get((asked.channel.app, asked.channel.biz))
        ends_ms = valid_until_ms
        if retention_s is not None:
            # The server stamps it at some time between the first ask and this answer.
            earliest_ms = self.earliest_wall_ms(first.at_ms, answered.at_ms)
            ends_ms = min(ends_ms, earliest_ms + retention_s * 1000)
        conditions = Conditions(asked.os, asked.app_version_min, asked.app_version_max)
        return Stored(
            name=name,
            message_id=asked.message_id,
            digest=asked.digest,
            conditions=conditions,
            valid_until_ms=valid_until_ms,
            ends_ms=ends_ms,
            answered_ms=answered.at_ms,
        )


def admits(conditions: Conditions, attributes: Sequence[Attributes]) -> bool:
    """Whether each of `attributes` fulfils `conditions`; True if there are none."""
    return all(conditions.admits(each) for each in attributes)
