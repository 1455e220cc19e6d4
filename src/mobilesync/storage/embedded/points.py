"""Sync points and the journal of their steps.

Strategy: a step is judged against the newest point, waiting or stored; what brings nothing new is
dropped at once. The rest waits in memory for the next commit. In the tables a point is replaced,
and a step is added: the journal is the proof of delivery.

Invariants:
- a point moves forward only: in its epoch by ids, across epochs by the store's lineage;
- at most `waiting_max` steps wait; beyond it they are dropped, which only causes a repeat.
"""

from rocksdict import WriteBatch

from mobilesync.domain.channel import Channel
from mobilesync.domain.sync_point import Advance, SyncPoint, advanced, is_step, step_to
from mobilesync.storage.embedded import keys, rows
from mobilesync.storage.embedded.tables import Tables

_Device = tuple[str, str]


class Points:
    """The sync points of all devices."""

    def __init__(self, tables: Tables, lineage: tuple[int, ...], waiting_max: int) -> None:
        self._tables = tables
        self._lineage = lineage
        self._eras = {epoch: era for era, epoch in enumerate(lineage)}
        self._waiting_max = waiting_max
        self._waiting: list[Advance] = []
        self._moved: dict[_Device, dict[Channel, SyncPoint]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Points that wait for a commit."""
        return self._count

    def advance(self, advance: Advance) -> None:
        """Take a step, if it is one."""
        if len(self._waiting) >= self._waiting_max:
            return
        channel, device = advance.channel, advance.device
        old = self._of(channel, device)
        point = advanced(old, advance, self._eras)
        if point is None:
            return
        moved = self._moved.setdefault((channel.app, device), {})
        self._count += channel not in moved
        moved[channel] = point
        if is_step(old, point):
            self._waiting.append(step_to(old, point, advance))

    def of_device(self, app: str, device: str) -> dict[Channel, SyncPoint]:
        """All points of a device, with the steps that wait."""
        tables = self._tables
        prefix = keys.device_prefix(app, device)
        found = {
            keys.point_channel(app, key): rows.decode_point(data)
            for key, data in tables.scan(tables.points, prefix, keys.after_prefix(prefix))
        }
        found.update(self._moved.get((app, device), {}))
        return found

    def journal(self, channel: Channel, device: str, after: int, count_max: int) -> list[Advance]:
        """Written steps with a received or sent id above `after`, oldest first."""
        tables = self._tables
        prefix = keys.journal_prefix(channel, device)
        point = self._of(channel, device)
        steps: list[Advance] = []
        for era, epoch in enumerate(self._lineage):
            for lap in range((point.restarts if point else 0) + 1):
                begin = keys.step_key(prefix, keys.Step(era, lap, max(after, 0), 0, 0))
                end = keys.step_key(prefix, keys.Step(era, lap + 1, 0, 0, 0))
                for key, data in tables.scan(tables.journal, begin, end):
                    step = keys.step_of(key)
                    if max(step.received, step.sent) <= after:
                        continue
                    if len(steps) == count_max:
                        return steps
                    steps.append(_read(channel, device, epoch, step, rows.decode_step(data)))
        return steps

    def write(self, batch: WriteBatch) -> None:
        """Move all that waits into `batch`, which is written next."""
        tables = self._tables
        for (app, device), moved in self._moved.items():
            for channel, point in moved.items():
                key = keys.point_key(app, device, channel)
                batch.put(key, rows.encode(point), tables.in_points)
        for step in self._waiting:
            prefix = keys.journal_prefix(step.channel, step.device)
            place = keys.Step(
                self._eras[step.epoch], step.lap, step.received, step.processed, step.sent
            )
            batch.put(keys.step_key(prefix, place), rows.encode_step(step), tables.in_journal)
        self.forget()

    def forget(self) -> None:
        """Drop what waits."""
        self._waiting = []
        self._moved = {}
        self._count = 0

    def _of(self, channel: Channel, device: str) -> SyncPoint | None:
        moved = self._moved.get((channel.app, device))
        if moved is not None and channel in moved:
            return moved[channel]
        tables = self._tables
        data = tables.get(tables.points, keys.point_key(channel.app, device, channel))
        return None if data is None else rows.decode_point(data)


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
