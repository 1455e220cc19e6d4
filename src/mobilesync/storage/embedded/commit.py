"""Group commit: what waits, what is in flight, and who is told.

Strategy: appends, documents and trims go straight into the batch of the newest *group*. While one
group is in flight (written, its sync running in the writer's thread) the next one fills; when the
disk answers, that one is written. When nothing is in flight, a commit begins at the end of the
loop's turn, so that everything of one turn shares it; but under load, when the last one began less
than a *window* ago, it waits for the rest of that time or until it is large: each costs as much as
a few oplogs do, and would otherwise hold only a few. Sync points and notes ride along.

Invariants:
- one group is in flight at a time, so that what a power cut can tear is the log's last group;
- nobody is told before the sync has returned;
- after a write or a sync has failed, nothing is written any more.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import OutcomeUnknown, Overloaded, StoreUnavailable
from mobilesync.domain.sync_point import Head, next_head
from mobilesync.storage.embedded import keys, rows
from mobilesync.storage.embedded.documents import Documents
from mobilesync.storage.embedded.group import Group
from mobilesync.storage.embedded.heads import Heads
from mobilesync.storage.embedded.options import EmbeddedOptions
from mobilesync.storage.embedded.points import Points
from mobilesync.storage.embedded.tables import Tables
from mobilesync.storage.embedded.writer import Writer

log = structlog.get_logger(__name__)

LARGE_DRAFTS = 128
"""So many oplogs need not wait for more."""
_STALL_CHECK_S = 0.01


class Committer:
    """Owns the groups. `settled` is called with each group that has become durable."""

    def __init__(
        self,
        tables: Tables,
        heads: Heads,
        points: Points,
        documents: Documents,
        *,
        epoch: int,
        options: EmbeddedOptions,
        sync: Callable[[], None],
        settled: Callable[[Group], None],
    ) -> None:
        self._tables = tables
        self._heads = heads
        self._points = points
        self._documents = documents
        self._epoch = epoch
        self._options = options
        self._settled = settled
        self._loop = asyncio.get_running_loop()
        self._writer = Writer(sync, self._loop) if options.durability == "fsync" else None
        self._queue: deque[Group] = deque()
        self._in_flight: Group | None = None
        self._window_s = options.commit_window_s
        self._begun_s = self._loop.time() - self._window_s
        self._is_overdue = False
        """Whether a commit was to begin while another was in flight."""
        self._timer: asyncio.TimerHandle | None = None
        self._begin_soon: asyncio.Handle | None = None
        """The end of this turn, or of the window."""
        self._waits_for_window = False
        self._ended: asyncio.Future[None] | None = None
        self._queued_bytes = 0
        self.failed = ""
        self.commits = 0
        self.committed = 0
        self.commit_s = 0.0

    @property
    def queued(self) -> int:
        """Drafts that are not durable yet."""
        if self.failed:
            return 0
        in_flight = self._in_flight.drafts if self._in_flight else 0
        return in_flight + sum(group.drafts for group in self._queue)

    def check_writable(self) -> None:
        """Raises StoreUnavailable once the store has failed or is closing."""
        if self.failed or self._ended is not None:
            reason = self.failed or "the store is closed"
            raise StoreUnavailable("the store takes no writes", hint=reason)

    def group(self, size: int) -> Group:
        """The group that takes `size` bytes more. Raises StoreUnavailable, Overloaded.

        Fill it and `wait` for it in the same turn of the loop.
        """
        self.check_writable()
        if (
            size
            and self._queued_bytes
            and self._queued_bytes + size > self._options.queue_bytes_max
        ):
            raise Overloaded("the store's queue is full", hint="publish again a little later")
        if not self._queue or self._queue[-1].bytes >= self._options.group_bytes_max:
            self._queue.append(Group(self._tables.batch()))
        group = self._queue[-1]
        group.bytes += size
        self._queued_bytes += size
        return group

    def wait(self) -> "asyncio.Future[None]":
        """Done when all that was put into a group until now is durable; fails with
        OutcomeUnknown."""
        done: asyncio.Future[None] = self._loop.create_future()
        if self.failed:
            done.set_exception(OutcomeUnknown("the commit failed", hint=self.failed))
            return done
        group = self._queue[-1] if self._queue else self._in_flight
        if group is None:
            done.set_result(None)
            return done
        group.waiters.append(done)
        if self._in_flight is None:
            self._begin_in_time(group)
        return done

    def _begin_in_time(self, group: Group) -> None:
        """Begin at the end of the turn, or of the window. Nothing is in flight."""
        is_large = group.drafts >= LARGE_DRAFTS
        if self._begin_soon is not None:
            if not (is_large and self._waits_for_window):
                return
            self._begin_soon.cancel()
        rest_s = 0.0 if is_large else self._begun_s + self._window_s - self._loop.time()
        self._waits_for_window = rest_s > 0
        if self._waits_for_window:
            self._begin_soon = self._loop.call_later(rest_s, self._begin)
        else:
            self._begin_soon = self._loop.call_soon(self._begin)

    def trimmed_to(self, channel: Channel) -> int:
        """The highest id of `channel` that a waiting trim is about to take; 0 for none."""
        waiting = [*self._queue, self._in_flight] if self._in_flight else self._queue
        return max((g.trims[channel][1] for g in waiting if channel in g.trims), default=0)

    def commit_later(self) -> None:
        """See to it that what rides along is committed, within the delay if nothing else is."""
        if self._timer is None and self._rides:
            self._timer = self._loop.call_later(self._options.advance_delay_s, self._begin)

    def fail(self, error: Exception) -> None:
        """Take no more writes: tell all who wait that the outcome is unknown."""
        if self.failed:
            return
        self.failed = str(error) or type(error).__name__
        # Whoever is refused from now on is told less: here is where an operator looks.
        log.error("store_failed", reason=self.failed)
        waiting = [self._in_flight, *self._queue] if self._in_flight else [*self._queue]
        self._queue.clear()
        self._queued_bytes = 0
        self._points.forget()
        self._documents.forget()
        for group in waiting:
            for done in group.waiters:
                if not done.done():
                    done.set_exception(OutcomeUnknown("the commit failed", hint=self.failed))
        self._end_if_idle()

    async def close(self) -> None:
        """Commit what waits, then stop the writer. Idempotent."""
        if self._ended is None:
            self._ended = self._loop.create_future()
            self._begin()
            self._end_if_idle()
        await asyncio.shield(self._ended)
        if self._writer is not None:
            self._writer.stop()
            self._writer = None

    @property
    def _rides(self) -> bool:
        return bool(len(self._points) or len(self._documents))

    def _begin(self) -> None:
        """Write the oldest group, if nothing is in flight, and ask for its sync."""
        if self._begin_soon is not None:
            self._begin_soon.cancel()
            self._begin_soon = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._in_flight is not None or self.failed:
            self._is_overdue = True
            return
        if not self._queue and not self._rides:
            return
        if self._tables.stalled():
            self._timer = self._loop.call_later(_STALL_CHECK_S, self._begin)
            return
        group = self._queue.popleft() if self._queue else Group(self._tables.batch())
        self._in_flight = group
        self._is_overdue = False
        self._begun_s = self._loop.time()
        try:
            self._complete(group)
            self._tables.write(group.batch)
        except Exception as error:  # noqa: BLE001 - rocksdict raises nothing narrower
            self.fail(error)
            return
        if self._writer is None:
            self._finished(None)
        else:
            self._writer.request(self._finished)

    def _complete(self, group: Group) -> None:
        """Add what is known only now: heads, and what rides along."""
        tables = self._tables
        for channel in {**group.lasts, **group.trims}:
            durable = self._heads.of(channel)
            head = durable
            if channel in group.lasts:
                head = next_head(durable, self._epoch, group.lasts[channel])
            assert head is not None
            if channel in group.trims:
                floor, trimmed = group.trims[channel]
                head = Head(head.last, head.epoch, floor, trimmed, head.forks)
                if durable is not None:
                    # Shown at once: the oplogs are already gone from the table.
                    durable = Head(durable.last, durable.epoch, floor, trimmed, durable.forks)
            group.batch.put(keys.channel_prefix(channel), rows.encode(head), tables.in_heads)
            group.heads[channel] = head
            self._heads.write(channel, durable)
        self._documents.begin(group)
        self._points.write(group.batch)

    def _finished(self, error: Exception | None) -> None:
        group = self._in_flight
        if group is None or self.failed:
            return
        if error is not None:
            self.fail(error)
            return
        self._in_flight = None
        self._queued_bytes -= group.bytes
        self._heads.settle(group.heads)
        self._points.settle()
        self._documents.settle(group)
        self._settled(group)
        self.commits += 1
        self.committed += group.drafts
        self.commit_s += self._loop.time() - self._begun_s
        for done in group.waiters:
            if not done.done():
                done.set_result(None)
        if self._is_overdue or len(self._queue) > 1:
            self._begin()
        elif self._queue:
            self._begin_in_time(self._queue[0])
        else:
            self.commit_later()
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        ended = self._ended
        if ended is None or ended.done():
            return
        if self.failed:
            ended.set_result(None)
        elif self._in_flight is None:
            if self._queue or self._rides:
                self._begin()
            else:
                ended.set_result(None)
