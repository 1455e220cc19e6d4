"""Sync points and the journal of their steps.

Strategy: a step is judged against the newest point, waiting or stored; what brings nothing new is
dropped at once. The rest waits in memory for the next commit. In the tables a point is replaced,
and a step is added: the journal is the proof of delivery.

Invariants:
- a point moves forward only: in its epoch by ids, across epochs by the store's lineage; unless it
  is put back, which begins a lap;
- at most `waiting_max` points and as many steps wait; beyond it they are dropped, which only
  causes a repeat;
- the journal shows a step once it is durable.
"""

from rocksdict import WriteBatch

from mobilesync.domain.channel import Channel
from mobilesync.domain.sync_point import Advance, SyncPoint, advanced, is_step, step_to
from mobilesync.storage.embedded import keys, rows
from mobilesync.storage.embedded.tables import Tables

_Device = tuple[str, str]

RECENT_MAX = 50_000
"""Points that are kept decoded, at about half a KB each: of devices that ack again and again."""


class _Known:
    """The newest of one device's points in a channel, and where the tables keep it."""

    __slots__ = ("journal_prefix", "key", "point")

    def __init__(self, channel: Channel, device: str, point: SyncPoint | None) -> None:
        self.point = point
        self.key = keys.point_key(channel.app, device, channel)
        self.journal_prefix = keys.journal_prefix(channel, device)


class Points:
    """The sync points of all devices."""

    def __init__(self, tables: Tables, lineage: tuple[int, ...], waiting_max: int) -> None:
        self._tables = tables
        self._lineage = lineage
        self._eras = {epoch: era for era, epoch in enumerate(lineage)}
        self._waiting_max = waiting_max
        self._waiting: list[tuple[Advance, _Known]] = []
        self._moved: dict[_Device, dict[Channel, _Known]] = {}
        self._count = 0
        self._recent: dict[tuple[str, Channel], _Known] = {}
        """The newest of some points, by device and channel, waiting or stored."""
        self._in_flight: set[bytes] = set()
        """Keys of the steps that are written, but not durable yet."""

    def __len__(self) -> int:
        """Points that wait for a commit."""
        return self._count

    def advance(self, advance: Advance) -> None:
        """Take a step, if it is one."""
        if max(len(self._waiting), self._count) >= self._waiting_max:
            return
        channel, device = advance.channel, advance.device
        known = self._recent.get((device, channel)) or self._look_up(channel, device)
        old = known.point
        point = advanced(old, advance, self._eras)
        if point is None:
            return
        known.point = point
        owner = (channel.app, device)
        moved = self._moved.get(owner)
        if moved is None:
            moved = self._moved[owner] = {}
        if channel not in moved:
            self._count += 1
            moved[channel] = known
        if is_step(old, point):
            self._waiting.append((step_to(old, point, advance), known))

    def of_device(self, app: str, device: str) -> dict[Channel, SyncPoint]:
        """All points of a device, with the steps that wait."""
        tables = self._tables
        prefix = keys.device_prefix(app, device)
        found = {
            keys.point_channel(app, key): rows.decode_point(data)
            for key, data in tables.scan(tables.points, prefix, keys.after_prefix(prefix))
        }
        for channel, known in self._moved.get((app, device), {}).items():
            assert known.point is not None, "it has moved"
            found[channel] = known.point
        return found

    def journal(self, channel: Channel, device: str, after: int, count_max: int) -> list[Advance]:
        """Durable steps with a received or sent id above `after`, oldest first."""
        tables = self._tables
        prefix = keys.journal_prefix(channel, device)
        position, end = prefix, keys.after_prefix(prefix)
        steps: list[Advance] = []
        # One round for each lap, and each epoch in it: inside them, the ids only grow.
        while first := next(tables.scan(tables.journal, position, end), None):
            lap, era, *_ = keys.step_of(first[0])
            position = keys.step_key(prefix, keys.Step(lap, era + 1, 0, 0, 0))
            for key, data in tables.scan(
                tables.journal, self._first_above(first[0], after), position
            ):
                step = keys.step_of(key)
                if key in self._in_flight or not step.is_about(after):
                    continue
                if len(steps) == count_max:
                    return steps
                epoch = self._lineage[era]
                steps.append(_read(channel, device, epoch, step, rows.decode_step(data)))
        return steps

    def _first_above(self, first: bytes, after: int) -> bytes:
        """The key, in the lap and epoch of `first`, from which on steps are about ids above
        `after`: a little before those that received one, if it was sent earlier."""
        tables = self._tables
        step = keys.step_of(first)
        place = first[: -keys.STEP_BYTES]
        begin = keys.step_key(place, keys.Step(step.lap, step.era, max(after, 0), 0, 0))
        for key in tables.newest(tables.journal, first, begin):
            if not keys.step_of(key).is_about(after):
                break
            begin = key
        return begin

    def write(self, batch: WriteBatch) -> None:
        """Move all that waits into `batch`, which is written next."""
        tables = self._tables
        put, in_points, in_journal = batch.put, tables.in_points, tables.in_journal
        for moved in self._moved.values():
            for known in moved.values():
                assert known.point is not None, "it has moved"
                put(known.key, rows.encode(known.point), in_points)
        for step, known in self._waiting:
            era = self._eras[step.epoch]
            place = (step.lap, era, step.received, step.processed, step.sent)
            key = keys.step_key(known.journal_prefix, place)
            put(key, rows.encode_step(step), in_journal)
            self._in_flight.add(key)
        self._board()

    def settle(self) -> None:
        """What was written is durable."""
        self._in_flight.clear()

    def forget(self) -> None:
        """Drop what waits."""
        self._recent.clear()
        self._board()

    def _board(self) -> None:
        """What waited does no longer."""
        self._waiting = []
        self._moved = {}
        self._count = 0

    def _look_up(self, channel: Channel, device: str) -> _Known:
        moved = self._moved.get((channel.app, device))
        known = moved.get(channel) if moved is not None else None
        if known is None:
            tables = self._tables
            data = tables.get(tables.points, keys.point_key(channel.app, device, channel))
            known = _Known(channel, device, None if data is None else rows.decode_point(data))
        if len(self._recent) >= RECENT_MAX:
            self._recent.clear()
        self._recent[device, channel] = known
        return known


def _read(channel: Channel, device: str, epoch: int, step: keys.Step, row: rows.StepRow) -> Advance:
    return Advance(
        channel,
        device,
        epoch,
        step.received,
        step.processed,
        row.at_ms,
        step.sent,
        row.sends,
        row.skips,
        lap=step.lap,
        before=row.before,
    )
