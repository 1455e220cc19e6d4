"""What the device holds, durably: sync points and the inbox, in one SQLite file.

Strategy: a pushed oplog becomes an inbox row in the same transaction that moves its channel's sync
point; the row goes when its handler call has finished, in a transaction of its own or in the
handler's. A Reset is a row too, so that its listener is told in the order of the channel and not
forgotten, and so is a withdrawal. Rows are handled in the order of arrival, which between two
resets is the order of ids.

Each public method that writes is one transaction, durable when it returns unless it says
otherwise; it raises StoreUnavailable (nothing was changed, try later) or StoreDamaged. None may be
called while `handling` is open, or it would become part of the handler's transaction.

Not here: what becomes a row (arrivals.py), when handlers run and how often they are retried
(dispatcher.py), the inbox's bound (session.py).

Invariants:
- `received` of a channel and the rows up to it change together or not at all;
- `current_id` is a row's oplog id while the server knows the oplog under it in the point's epoch,
  else NULL: such a row is still handled, but tells nothing about `processed`;
- processed = the id before the lowest current one that is neither handled nor parked; one that is
  withdrawn while its call runs no longer counts either.
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mobilesync.client import arrivals, inbox
from mobilesync.client.database import Database
from mobilesync.client.errors import LinkLost
from mobilesync.client.events import ParkedOplog
from mobilesync.client.inbox import Channel, InboxRow
from mobilesync.client.transaction import Transaction
from mobilesync.protocol.messages import Push, Reset, SyncPoint

_GIVEN_UP = "kind = 0 AND state != 1 AND failures >= ?"
_LOWEST = (
    "SELECT current_id, failures FROM mobilesync_inbox WHERE channel = ? AND current_id NOTNULL"
    " AND state = 0 ORDER BY current_id LIMIT 1"
)
"""What holds back the processed point: neither handled, nor parked, nor withdrawn."""


class PushRefused(LinkLost):
    """A Push that does not continue where the channel is. A new Hello puts it right."""


@dataclass(frozen=True, slots=True)
class _Point:
    channel: int
    epoch: int
    received: int


class LocalStore:
    """One device's store. Subclass it to watch or to break its transactions."""

    def __init__(self, database: str | Path | sqlite3.Connection, *, app: str, device: str) -> None:
        """Open it, or make it. A connection that is passed in stays open after `close`.

        Raises StoreRefused, StoreDamaged, StoreUnavailable.
        """
        self._database = Database(database, app, device)
        try:
            channels = self._database.rows("SELECT * FROM mobilesync_channel")
        except BaseException:
            self.close()
            raise
        self._points = {
            (biz, target): _Point(channel, epoch, received)
            for channel, biz, target, epoch, received in channels
        }

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        self._database.close()

    @property
    def inbox_count(self) -> int:
        """Rows in the inbox, parked ones too."""
        return self._database.count

    @property
    def inbox_bytes(self) -> int:
        """Bytes of their payloads."""
        return self._database.bytes

    # Sync points.

    def points(self, targets: Collection[str]) -> list[SyncPoint]:
        """The sync points of the channels of `targets`."""
        return [self.point(each) for each in self._points if each[1] in targets]

    def holds(self, channel: Channel) -> bool:
        """Whether the channel has a sync point."""
        return channel in self._points

    def point(self, channel: Channel) -> SyncPoint:
        """The sync point of a channel that has one."""
        point = self._points[channel]
        found = self._database.rows(_LOWEST, (point.channel,))
        processed = min(point.received, found[0][0] - 1) if found else point.received
        return SyncPoint(*channel, point.epoch, point.received, processed)

    def has_failed(self, channel: Channel) -> bool:
        """Whether the oplog after the processed point of `channel` has failed, and waits for its
        next call or is in it."""
        found = self._database.rows(_LOWEST, (self._points[channel].channel,))
        return bool(found) and found[0][1] > 0

    def apply(self, pushes: Sequence[Push], epoch: int) -> None:
        """Save what `pushes` bring and move their points, all in one transaction.

        `epoch` is the one that Welcome gave. Raises PushRefused, with nothing saved, when one of
        them does not continue where its channel is.
        """
        points = dict(self._points)
        with self._database.transaction():
            for push in pushes:
                channel = (push.biz, push.target)
                point = points.get(channel) or self._add_channel(channel, epoch)
                _check(push, point, epoch)
                arrivals.save_push(self._database, point.channel, epoch, push)
                points[channel] = self._move(point, epoch, push.upto)
        self._points = points

    def reset(self, reset: Reset) -> None:
        """Move the channel's point to where the server says, and keep the Reset for its listener.

        What was saved but not handled stays, and is still handled.
        """
        channel = (reset.biz, reset.target)
        with self._database.transaction():
            point = self._points.get(channel) or self._add_channel(channel, reset.epoch)
            before = (point.epoch, point.received)
            arrivals.save_reset(self._database, point.channel, before, reset)
            moved = self._move(point, reset.epoch, reset.floor)
        self._points = {**self._points, channel: moved}

    def _add_channel(self, channel: Channel, epoch: int) -> _Point:
        insert = "INSERT INTO mobilesync_channel (biz, target, epoch, received) VALUES (?, ?, ?, 0)"
        return _Point(self._database.insert(insert, (*channel, epoch)), epoch, 0)

    def _move(self, point: _Point, epoch: int, received: int) -> _Point:
        update = "UPDATE mobilesync_channel SET epoch = ?, received = ? WHERE channel = ?"
        self._database.rows(update, (epoch, received, point.channel))
        return replace(point, epoch=epoch, received=received)

    def forget(self, target: str) -> None:
        """Forget the sync points and the inbox of `target`, as if it never had been here."""
        forgotten = [each for each in self._points if each[1] == target]
        with self._database.transaction():
            for channel in forgotten:
                number = self._points[channel].channel
                self._database.delete("channel = ?", number)
                self._database.rows("DELETE FROM mobilesync_channel WHERE channel = ?", (number,))
        self._points = {
            channel: point for channel, point in self._points.items() if channel[1] != target
        }

    # Handling.

    def recover(self, attempts_max: int, now_ms: int) -> list[ParkedOplog]:
        """After opening: calls that were cut off by the end of the process count as failed, so
        that an oplog that brings the app down each time is parked in the end. Answers those."""
        error = "the app ended while the handler ran"
        with self._database.transaction():
            self._database.delete("state = 3")
            self._database.rows(
                "UPDATE mobilesync_inbox SET running = 0, failures = failures + 1, error = ?"
                " WHERE running = 1",
                (error,),
            )
            select = f"{inbox.SELECT} WHERE {_GIVEN_UP} ORDER BY arrival"
            rows = self._database.rows(select, (attempts_max,))
            park = "UPDATE mobilesync_inbox SET state = 1, parked_at_ms = ?"
            self._database.rows(f"{park} WHERE {_GIVEN_UP}", (now_ms, attempts_max))
        return [replace(inbox.parked_of(each), parked_at_ms=now_ms) for each in rows]

    def waiting(self) -> list[Channel]:
        """The channels that have something to handle, the longest waiting first."""
        select = (
            "SELECT biz, target FROM mobilesync_inbox JOIN mobilesync_channel USING (channel)"
            " WHERE state != 1 GROUP BY channel ORDER BY min(arrival)"
        )
        return [(biz, target) for biz, target in self._database.rows(select)]

    def take(self, channel: Channel) -> InboxRow | None:
        """The next row of `channel`, counted as an attempt; None when there is none.

        The count survives the death of the process, but not a power cut: it is not worth a sync.
        """
        point = self._points.get(channel)
        if point is None:
            return None
        first = "SELECT min(arrival) FROM mobilesync_inbox WHERE channel = ? AND state = ?"
        # Two look-ups, for SQLite would sort the whole channel for `state IN (0, 2)`.
        found = [
            self._database.rows(first, (point.channel, state))[0][0]
            for state in (inbox.PENDING, inbox.RETRYING)
        ]
        keys = [each for each in found if each is not None]
        if not keys:
            return None
        with self._database.transaction(synced=False):
            # Withdrawn in the middle of a call, of which none runs now.
            self._database.delete("channel = ? AND state = 3", point.channel)
            begin = "UPDATE mobilesync_inbox SET running = 1, attempts = attempts + 1"
            self._database.rows(f"{begin} WHERE arrival = ?", (min(keys),))
            rows = self._database.rows(f"{inbox.SELECT} WHERE arrival = ?", (min(keys),))
        return inbox.row_of(rows[0])

    def finish(self, keys: Sequence[int]) -> None:
        """The calls for these rows have finished: they will never be made again."""
        with self._database.transaction():
            for key in keys:
                self._database.delete("arrival = ?", key)

    @contextmanager
    def handling(self, key: int) -> Iterator[Transaction]:
        """A transaction for a handler's own statements, which also finishes row `key`.

        Nothing of either happens when the block raises. Nobody else may write meanwhile.
        """
        with self._database.transaction():
            with Transaction(self._database.sql).guarded() as transaction:
                yield transaction
            self._database.delete("arrival = ?", key)

    def fail(self, key: int, error: str, parked_at_ms: int | None) -> None:
        """The call for this row failed; it is parked unless `parked_at_ms` is None."""
        update = "UPDATE mobilesync_inbox SET running = 0, failures = failures + 1, error = ?"
        with self._database.transaction():
            if parked_at_ms is None:
                self._database.rows(f"{update} WHERE arrival = ?", (error, key))
            else:
                update += ", state = 1, parked_at_ms = ?"
                self._database.rows(f"{update} WHERE arrival = ?", (error, parked_at_ms, key))

    def drop_withdrawn(self, key: int) -> bool:
        """Whether row `key` was withdrawn while its call ran, which has failed; then it is gone."""
        withdrawn = "SELECT 1 FROM mobilesync_inbox WHERE arrival = ? AND state = 3"
        if not self._database.rows(withdrawn, (key,)):
            return False
        with self._database.transaction():
            self._database.delete("arrival = ?", key)
        return True

    def release(self) -> None:
        """The app ends in good order: calls that are cut off now do not count as failed."""
        with self._database.transaction(synced=False):
            self._database.rows("UPDATE mobilesync_inbox SET running = 0 WHERE running = 1")

    # Parked oplogs.

    def parked(self, targets: Collection[str]) -> list[ParkedOplog]:
        """The parked oplogs of `targets`, in the order of arrival."""
        rows = self._database.rows(f"{inbox.SELECT} WHERE state = 1 ORDER BY arrival")
        return [each for each in map(inbox.parked_of, rows) if each.oplog.target in targets]

    def parked_count(self) -> int:
        """How many oplogs are parked, of all targets."""
        counted = self._database.rows("SELECT count(*) FROM mobilesync_inbox WHERE state = 1")
        count: int = counted[0][0]
        return count

    def retry(self, keys: Sequence[int]) -> None:
        """Let these parked rows be handled again, with all their attempts."""
        retry = "UPDATE mobilesync_inbox SET state = 2, failures = 0 WHERE state = 1"
        with self._database.transaction():
            self._database.run_many(f"{retry} AND arrival = ?", [(each,) for each in keys])

    def discard(self, keys: Sequence[int]) -> None:
        """Forget these parked rows for good."""
        with self._database.transaction():
            for key in keys:
                self._database.delete("state = 1 AND arrival = ?", key)


def _check(push: Push, point: _Point, epoch: int) -> None:
    what = f"a Push of {push.biz} to {push.target}"
    if point.epoch != epoch:
        raise PushRefused(f"{what} in epoch {epoch}, without a Reset from epoch {point.epoch}")
    if push.after != point.received:
        raise PushRefused(f"{what} after {push.after}, but the device is at {point.received}")
    last = push.after
    for each in push.oplogs:
        if each.id <= last:
            raise PushRefused(f"{what} has id {each.id} behind {last}")
        last = each.id
    if last > push.upto:
        raise PushRefused(f"{what} up to {push.upto} has id {last}")
