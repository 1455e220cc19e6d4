"""Scheduled publishes: kept durably, appended when due.

Strategy: a publish whose validity begins later waits as documents of the store. A ticker calls
`tick` every so often; what is due by the wall clock then is appended in the order of (due time,
order of the puts), and deleted afterwards. So a restart needs nothing, and a jump of the clock
only makes the next tick find more, or less. A crash between the append and the deletion repeats
the append, which the store answers as duplicates, by their message ids: exactly once.

While its biz is offline a scheduled oplog waits on: it is withheld, not lost. Without its biz it
is dropped when it is due, and counted. What the store refuses now is tried again at the next tick.

Not here: what may be published (publisher.py), the documents (scheduled.py), reading them in order
(lanes.py).

Invariants:
- what `put` has answered is in the store, or was appended, cancelled, or dropped with its biz;
- one message id waits at most once in a channel, however many put it at the same time;
- an app has no more than `count_max` that wait.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import structlog
from msgspec import Struct

from mobilesync.domain.channel import Channel
from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import InvalidRequest, OutcomeUnknown, Overloaded, Refused
from mobilesync.domain.oplog import Appended, Draft
from mobilesync.engine.configs import SyncConfigs
from mobilesync.engine.lanes import Lane, Lanes, Row
from mobilesync.engine.metrics import Metrics
from mobilesync.engine.options import SchedulerOptions
from mobilesync.engine.scheduled import (
    BY_ID,
    BY_PLACE,
    END,
    Place,
    Scheduled,
    deletions_of,
    documents_of,
    id_key,
    place_key,
    read_id,
    read_item,
)
from mobilesync.engine.ticker import pause
from mobilesync.protocol.limits import ID_MAX
from mobilesync.storage.contract import Document, Store

log = structlog.get_logger(__name__)

DAY_MS = 24 * 3600 * 1000
AHEAD_MS_MAX = 365 * DAY_MS
FULL_RETRY_S = 60.0
"""Advice to a publisher whose app's schedule is full: room comes when something is due."""
LOOKUPS_IN_A_ROW = 64
"""Look-ups before others have their turn: about 2 ms of them."""
PAGE_COUNT_MAX = 1000
_CURSOR = re.compile(r"([0-9]{1,16})-([0-9]{1,16})")

Append = Callable[[Sequence[Draft]], Awaitable[list[Appended]]]
"""Appends drafts, in order, and wakes who waits for them; durable when it returns. Raises Refused,
OutcomeUnknown."""

Id = tuple[Channel, str]


class Schedule(Struct, frozen=True):
    """A part of what waits in an app, in the order in which it will be appended."""

    items: list[Scheduled]
    after: str
    """Where the next part begins; empty at the end."""


class Scheduler:
    """Keeps scheduled oplogs of all apps until they are due."""

    def __init__(
        self,
        store: Store,
        configs: SyncConfigs,
        append: Append,
        *,
        clock: Clock,
        options: SchedulerOptions | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._store = store
        self._configs = configs
        self._append = append
        self._clock = clock
        self.options = options or SchedulerOptions()
        self._lanes = Lanes(store)
        self._order = 0
        self._putting: dict[Id, asyncio.Task[list[bool]]] = {}
        """What is on its way into the store; bounded by the store's queue."""
        self._moving = asyncio.Lock()
        """Held from a read of what waits to its deletion, so that nothing is both cancelled and
        appended."""
        self._is_refused = False
        self.appended = 0
        self.dropped = 0
        if metrics is not None:
            self._add_metrics(metrics)

    async def load(self) -> None:
        """Learn what waits in the store. Call before anything else."""
        self._order = await self._lanes.load()

    async def stop(self) -> None:
        """Give up puts that nobody waits for any more: they are in the store, or not."""
        puts = set(self._putting.values())
        for task in puts:
            task.cancel()
        await asyncio.gather(*puts, return_exceptions=True)

    @property
    def waiting(self) -> int:
        """Scheduled oplogs of all apps."""
        return sum(lane.count for lane in self._lanes)

    @property
    def late_s(self) -> float:
        """How long what is due longest has been waiting, but for bizzes that are offline."""
        now_ms = self._clock.wall_ms()
        due = [lane.begin.due_ms for lane in self._due_lanes(now_ms)]
        return (now_ms - min(due)) / 1000 if due else 0.0

    async def put(self, items: Sequence[Scheduled]) -> list[bool]:
        """Schedule all of `items`, or none. Durable when it returns; cancelling does not undo it.

        Answers for each whether its message id was already scheduled in its channel: then the
        first one stays as it is (G8). Whether it was already appended is the caller's to find out;
        if it was, the append at due time is a duplicate and has no effect.

        Raises InvalidRequest for a due time out of range, Overloaded when the app has too many,
        and what `put_documents` raises.
        """
        self._check_times(items)
        if not items:
            return []
        ids = [_id_of(item) for item in items]
        # Those who put the same at the same time wait for each other, and find it in the store.
        while others := {self._putting[each] for each in ids if each in self._putting}:
            await asyncio.wait(others)
        begin, self._order = self._order, self._order + len(items)
        places = [Place(item.due_ms, begin + number) for number, item in enumerate(items)]
        task = asyncio.get_running_loop().create_task(self._put(items, places))
        self._putting.update(dict.fromkeys(ids, task))
        task.add_done_callback(lambda _: self._put_done(ids))
        return await asyncio.shield(task)

    async def tick(self) -> None:
        """Append what is due now."""
        await self.run_due(self._clock.wall_ms())

    async def run_due(self, now_ms: int) -> int:
        """Append what is due by `now_ms`, batch by batch, until all is or the store refuses;
        answers how many were taken."""
        count = 0
        for _ in range(self.options.batches_max):
            try:
                async with self._moving:
                    taken = await self._run_batch(now_ms)
            except (Refused, OutcomeUnknown) as error:
                if not self._is_refused:
                    log.warning("scheduled_refused", code=error.code, reason=error.message)
                self._is_refused = True
                return count
            if not taken:
                return count
            self._is_refused = False
            count += taken
            await pause(0)
        return count

    async def page(
        self, app: str, after: str = "", limit: int = 100, *, biz: str = "", bytes_max: int = ID_MAX
    ) -> Schedule:
        """What waits in `app`, or in one biz of it, from where another answer's `after` says.

        Raises InvalidRequest when `after` is from no such answer.
        """
        assert 0 < limit <= PAGE_COUNT_MAX
        place = _read_cursor(after) if after else Place(0, -1)
        lanes = [lane for lane in self._lanes.of_app(app) if biz in ("", lane.biz)]
        rows = await self._lanes.after(lanes, place, limit, bytes_max)
        if not rows:
            return Schedule([], "")
        last = rows[-1].place
        more = await self._lanes.after(lanes, last, 1, bytes_max)
        return Schedule([row.item for row in rows], f"{last.due_ms}-{last.order}" if more else "")

    async def find(self, channel: Channel, message_id: str) -> Scheduled | None:
        """What waits in `channel` under `message_id`."""
        found = await self._find((channel, message_id))
        return found[1] if found else None

    async def cancel(self, channel: Channel, message_id: str) -> bool:
        """Have it never appended. Durable when it returns; False when it does not wait, for
        instance because it was due and appended."""
        async with self._moving:
            found = await self._find((channel, message_id))
            if found is None:
                return False
            place, item = found
            await self._store.put_documents(deletions_of(item, place))
            self._lanes.less(self._lanes.of(channel.app, channel.biz), 1)
            return True

    # Steps -------------------------------------------------------------------------------

    def _check_times(self, items: Sequence[Scheduled]) -> None:
        last_ms = self._clock.wall_ms() + AHEAD_MS_MAX
        for item in items:
            if not 0 <= item.due_ms <= last_ms:
                hint = f"milliseconds since 1970, at most {AHEAD_MS_MAX // DAY_MS} days ahead"
                raise InvalidRequest("too far ahead", field="valid_from_ms", hint=hint)

    async def _put(self, items: Sequence[Scheduled], places: Sequence[Place]) -> list[bool]:
        known: set[Id] = set()
        answers: list[bool] = []
        fresh: list[tuple[Scheduled, Place]] = []
        for number, (item, place) in enumerate(zip(items, places, strict=True), 1):
            each = _id_of(item)
            is_known = each in known or await self._place(each) is not None
            known.add(each)
            answers.append(is_known)
            if not is_known:
                fresh.append((item, place))
            if number % LOOKUPS_IN_A_ROW == 0:
                await pause(0)
        lanes = self._reserve([item for item, _ in fresh])
        documents: list[Document] = []
        for item, place in fresh:
            documents.extend(documents_of(item, place))
        try:
            if documents:
                await self._store.put_documents(documents)
        except BaseException:
            for lane, count in Counter(lanes).items():
                self._lanes.less(lane, count)
            raise
        for lane, (_, place) in zip(lanes, fresh, strict=True):
            lane.put(place)
        return answers

    def _put_done(self, ids: Sequence[Id]) -> None:
        for each in ids:
            self._putting.pop(each, None)

    def _reserve(self, items: Sequence[Scheduled]) -> list[Lane]:
        """Count `items` in, before they are stored, or raise Overloaded; answers their lanes."""
        count_max = self.options.count_max
        for app, count in Counter(item.draft.channel.app for item in items).items():
            if sum(lane.count for lane in self._lanes.of_app(app)) + count > count_max:
                hint = f"at most {count_max} of an app; cancel some, or wait until some are due"
                raise Overloaded("too many scheduled oplogs", retry_after_s=FULL_RETRY_S, hint=hint)
        lanes: list[Lane] = []
        for item in items:
            lane = self._lanes.of(item.draft.channel.app, item.draft.channel.biz)
            lane.count += 1
            lanes.append(lane)
        return lanes

    async def _place(self, each: Id) -> Place | None:
        key = id_key(*each)
        value = await self._store.document(BY_ID, key)
        return read_id(key, value)[2] if value is not None else None

    async def _find(self, each: Id) -> tuple[Place, Scheduled] | None:
        place = await self._place(each)
        if place is None:
            return None
        key = place_key(each[0].app, each[0].biz, place)
        value = await self._store.document(BY_PLACE, key)
        # It may have been appended between the two reads.
        return read_item(key, value) if value is not None else None

    def _due_lanes(self, now_ms: int) -> list[Lane]:
        due = [lane for lane in self._lanes if lane.begin.due_ms <= now_ms]
        return [lane for lane in due if not self._is_offline(lane)]

    def _is_offline(self, lane: Lane) -> bool:
        config = self._configs.find(lane.app, lane.biz)
        return config is not None and config.status == "offline"

    async def _run_batch(self, now_ms: int) -> int:
        lanes = self._due_lanes(now_ms)
        if not lanes:
            return 0
        options = self.options
        due = await self._lanes.due(lanes, now_ms, options.batch_count, options.batch_bytes)
        if due.rows:
            kept = self._kept(due.rows)
            if kept:
                await self._append([row.item.draft for row in kept])
            deletions: list[Document] = []
            for row in due.rows:
                deletions.extend(deletions_of(row.item, row.place))
            await self._store.put_documents(deletions)
            self.appended += len(kept)
            self.dropped += len(due.rows) - len(kept)
        self._lanes.taken(due)
        return len(due.rows)

    def _kept(self, rows: Sequence[Row]) -> list[Row]:
        """Those whose biz still exists."""
        # A dictionary and not a set, for its order: a simulated run must replay.
        lanes = dict.fromkeys(row.lane for row in rows)
        gone = [lane for lane in lanes if self._configs.find(lane.app, lane.biz) is None]
        for lane in gone:
            log.warning("scheduled_dropped", app=lane.app, biz=lane.biz, reason="no such biz")
        return [row for row in rows if row.lane not in gone]

    def _add_metrics(self, metrics: Metrics) -> None:
        metrics.gauge(
            "mobilesync_scheduled_waiting", "scheduled oplogs", lambda: float(self.waiting)
        )
        metrics.gauge(
            "mobilesync_scheduled_late_seconds",
            "how long a scheduled oplog has been due, whose biz is online",
            lambda: self.late_s,
        )
        metrics.counter(
            "mobilesync_scheduled_appended_total",
            "scheduled oplogs that were appended when due",
            lambda: float(self.appended),
        )
        metrics.counter(
            "mobilesync_scheduled_dropped_total",
            "scheduled oplogs whose biz was gone when they were due",
            lambda: float(self.dropped),
        )


def _id_of(item: Scheduled) -> Id:
    return item.draft.channel, item.draft.message_id


def _read_cursor(text: str) -> Place:
    match = _CURSOR.fullmatch(text)
    place = Place(int(match[1]), int(match[2])) if match else END
    if not match or place >= END:
        raise InvalidRequest("not a place", field="after", hint="the `after` of an answer")
    return place
