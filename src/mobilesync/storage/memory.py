"""The reference store: everything in dictionaries, with the durability of its `sync` argument.

Strategy: appends get their ids at once but become visible only when a group commit has awaited
`sync`: the same order of events as in a store on disk, so that the simulator can kill a server
between any two steps. What `disk` holds is what survives; a new MemoryStore on the same `Disk`
is the store after the crash.

For tests, the simulator, and users' own tests. Nothing survives the process.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import InvalidRequest, OutcomeUnknown, Overloaded, StoreUnavailable
from mobilesync.domain.oplog import Appended, Draft, Oplog
from mobilesync.domain.sync_point import Advance, Head, SyncPoint, advanced, is_step, step_to
from mobilesync.storage.contract import (
    Also,
    BackupReport,
    Document,
    Page,
    StoreStats,
    TrimReport,
)
from mobilesync.storage.disk import Disk, Owner, select, write_backup

QUEUE_BYTES_MAX = 64 * 1024 * 1024
DRAFT_OVERHEAD_BYTES = 200
ADVANCES_MAX = 100_000
ADVANCE_DELAY_S = 0.1


@dataclass
class _Waiting:
    drafts: list[tuple[Draft, int]]
    documents: Sequence[Document]
    bytes: int
    done: "asyncio.Future[None]"


async def _no_sync() -> None:
    return


class MemoryStore:
    """A Store in memory. See `Store` for the contract of each method."""

    def __init__(
        self,
        disk: Disk,
        *,
        sync: Callable[[], Awaitable[None]] = _no_sync,
        queue_bytes_max: int = QUEUE_BYTES_MAX,
        advances_max: int = ADVANCES_MAX,
    ) -> None:
        """`sync` stands for the fsync: what was appended is on the disk when it returns, and the
        store fails for good when it raises."""
        self.disk = disk
        self._sync = sync
        self._queue_bytes_max = queue_bytes_max
        self._advances_max = advances_max
        self._eras = {epoch: era for era, epoch in enumerate(disk.lineage)}
        self._queued_bytes = 0
        self._waiting: list[_Waiting] = []
        self._steps: list[Advance] = []
        self._moved: dict[tuple[Owner, Channel], SyncPoint] = {}
        self._notes: dict[tuple[str, str], bytes | None] = {}
        self._noted: dict[tuple[str, str], bytes | None] = {}
        """Notes that are in flight."""
        self._seen_points: dict[Owner, dict[Channel, SyncPoint]] = {}
        self._assigned: dict[Channel, int] = {}
        self._assigned_ids: dict[tuple[Channel, str], int] = {}
        self._committer: asyncio.Task[None] | None = None
        self._advance_timer: asyncio.TimerHandle | None = None
        self._failed = ""
        self._closed = False
        self._commits = 0
        self._committed = 0
        self._trim_after: Channel | None = None
        self._queued = 0

    @property
    def lineage(self) -> tuple[int, ...]:
        return self.disk.lineage

    async def append(self, drafts: Sequence[Draft], also: Also | None = None) -> list[Appended]:
        self._check_writable()
        if not drafts:
            return []
        size = sum(len(draft.payload) + DRAFT_OVERHEAD_BYTES for draft in drafts)
        self._check_room(size)
        answers: list[Appended] = []
        fresh: list[tuple[Draft, int]] = []
        for draft in drafts:
            key = (draft.channel, draft.message_id)
            known = self._assigned_ids.get(key) or self.disk.message_ids.get(key)
            if known:
                answers.append(Appended(known, duplicate=True))
                continue
            oplog_id = self._last(draft.channel) + 1
            self._assigned[draft.channel] = oplog_id
            self._assigned_ids[key] = oplog_id
            fresh.append((draft, oplog_id))
            answers.append(Appended(oplog_id))
        # Duplicates wait too: the first one may not be durable yet.
        documents = also(answers) if also is not None and fresh else ()
        await self._commit(fresh, documents, size)
        return answers

    async def heads(self, app: str, targets: Sequence[str]) -> dict[Channel, Head]:
        wanted = set(targets)
        return {
            channel: head
            for channel, head in self.disk.heads.items()
            if channel.app == app and channel.target in wanted
        }

    async def read(self, channel: Channel, after: int, count_max: int, bytes_max: int) -> Page:
        assert count_max > 0
        return self.disk.page(channel, after, count_max, bytes_max)

    async def newest_of_key(self, channel: Channel, key: str, count_max: int) -> list[Oplog]:
        return self.disk.newest_of_key(channel, key, count_max)

    async def find(self, channel: Channel, message_id: str) -> int:
        return self.disk.message_ids.get((channel, message_id), 0)

    def advance(self, advances: Sequence[Advance]) -> None:
        if self._failed or self._closed:
            return
        for advance in advances:
            if len(self._steps) >= self._advances_max:
                break
            owner = (advance.channel.app, advance.device)
            points = self._seen(owner)
            old = points.get(advance.channel)
            point = advanced(old, advance, self._eras)
            if point is None:
                continue
            points[advance.channel] = self._moved[owner, advance.channel] = point
            if is_step(old, point):
                self._steps.append(step_to(old, point, advance))
        self._commit_later()

    def note_documents(self, documents: Sequence[Document]) -> None:
        if self._failed or self._closed:
            return
        for each in documents:
            place = (each.kind, each.key)
            if len(self._notes) < self._advances_max or place in self._notes:
                self._notes[place] = each.value
        self._commit_later()

    async def points(self, app: str, device: str) -> dict[Channel, SyncPoint]:
        return dict(self._seen((app, device)))

    async def journal(
        self, channel: Channel, device: str, after: int, count_max: int
    ) -> list[Advance]:
        steps = self.disk.journal.get((channel, device), [])
        return [step for step in steps if max(step.received, step.sent) > after][:count_max]

    async def trim(self, now_ms: int, channels_max: int) -> TrimReport:
        self._check_writable()
        after = self._trim_after
        channels = sorted(
            channel for channel in self.disk.heads if after is None or channel > after
        )
        chosen = channels[:channels_max]
        finished = len(chosen) == len(channels)
        self._trim_after = None if finished else chosen[-1]
        count = sum(self.disk.trim(channel, now_ms) for channel in chosen)
        return TrimReport(count, len(chosen), finished)

    async def put_documents(self, documents: Sequence[Document]) -> None:
        self._check_writable()
        size = sum(len(e.key) + len(e.value or b"") + DRAFT_OVERHEAD_BYTES for e in documents)
        self._check_room(size)
        await self._commit([], documents, size)

    async def document(self, kind: str, key: str) -> bytes | None:
        place = (kind, key)
        for waiting in (self._notes, self._noted):
            if place in waiting:
                return waiting[place]
        return self.disk.documents.get(place)

    async def documents(
        self, kind: str, begin: str = "", end: str = "", count_max: int = 0
    ) -> dict[str, bytes]:
        return select(
            {**self.disk.documents, **self._noted, **self._notes}, kind, begin, end, count_max
        )

    async def backup(self, path: Path) -> BackupReport:
        if path.exists():
            raise InvalidRequest("the backup folder exists already", field="path")
        return write_backup(self.disk, path)

    def stats(self) -> StoreStats:
        return StoreStats(self._commits, self._committed, 0.0, self._queued, 0, self._failed)

    async def close(self) -> None:
        self._closed = True
        if self._rides() and not self._failed and self._committer is None:
            self._start_committer()
        if self._committer is not None:
            await asyncio.gather(self._committer, return_exceptions=True)
        if self._advance_timer is not None:
            self._advance_timer.cancel()

    def kill(self) -> None:
        """End as a killed process does: what `sync` has not confirmed is lost, nobody is told."""
        self._closed = True
        if self._committer is not None:
            self._committer.cancel()
        if self._advance_timer is not None:
            self._advance_timer.cancel()

    def _check_writable(self) -> None:
        if self._failed or self._closed:
            reason = self._failed or "the store is closed"
            raise StoreUnavailable("the store takes no writes", hint=reason)

    def _check_room(self, size: int) -> None:
        if self._queued_bytes + size > self._queue_bytes_max and self._queued_bytes:
            raise Overloaded("the store's queue is full", hint="publish again a little later")

    def _last(self, channel: Channel) -> int:
        head = self.disk.heads.get(channel)
        return self._assigned.get(channel, head.last if head else 0)

    def _seen(self, owner: Owner) -> dict[Channel, SyncPoint]:
        if owner not in self._seen_points:
            self._seen_points[owner] = dict(self.disk.points.get(owner, {}))
        return self._seen_points[owner]

    def _rides(self) -> bool:
        return bool(self._moved or self._notes)

    def _commit_later(self) -> None:
        if self._rides() and self._committer is None and self._advance_timer is None:
            loop = asyncio.get_running_loop()
            self._advance_timer = loop.call_later(ADVANCE_DELAY_S, self._start_committer)

    async def _commit(
        self,
        drafts: list[tuple[Draft, int]],
        documents: Sequence[Document],
        size: int,
    ) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(drafts, documents, size, done))
        self._queued_bytes += size
        self._queued += len(drafts)
        self._start_committer()
        await done

    def _start_committer(self) -> None:
        if self._advance_timer is not None:
            self._advance_timer.cancel()
            self._advance_timer = None
        if self._committer is None:
            self._committer = asyncio.get_running_loop().create_task(self._run_committer())

    async def _run_committer(self) -> None:
        try:
            while self._waiting or self._rides():
                group, self._waiting = self._waiting, []
                moved, self._moved = self._moved, {}
                steps, self._steps = self._steps, []
                self._noted, self._notes = self._notes, {}
                try:
                    await self._sync()
                except Exception as error:  # noqa: BLE001 - whatever a test lets it raise
                    self._fail(str(error) or type(error).__name__, group)
                    return
                self._apply(group, moved, steps)
        finally:
            self._committer = None

    def _apply(
        self,
        group: list[_Waiting],
        moved: dict[tuple[Owner, Channel], SyncPoint],
        steps: list[Advance],
    ) -> None:
        disk = self.disk
        durable: dict[Channel, int] = {}
        for waiting in group:
            for draft, oplog_id in waiting.drafts:
                channel = draft.channel
                head = disk.heads.get(channel)
                # Only what was durable before this commit can be withdrawn by it.
                last = durable.setdefault(channel, head.last if head else 0)
                disk.append(draft, oplog_id)
                disk.withdraw(draft, oplog_id, last)
                self._assigned_ids.pop((channel, draft.message_id), None)
                if self._assigned.get(channel) == oplog_id:
                    del self._assigned[channel]
            for document in waiting.documents:
                disk.keep(document)
            self._queued_bytes -= waiting.bytes
            self._queued -= len(waiting.drafts)
            self._committed += len(waiting.drafts)
        for (owner, channel), point in moved.items():
            disk.points.setdefault(owner, {})[channel] = point
        for step in steps:
            disk.step(step)
        for (kind, key), value in self._noted.items():
            disk.keep(Document(kind, key, value))
        self._noted = {}
        self._commits += 1
        for waiting in group:
            if not waiting.done.done():
                waiting.done.set_result(None)

    def _fail(self, reason: str, group: list[_Waiting]) -> None:
        self._failed = reason
        for waiting in [*group, *self._waiting]:
            if not waiting.done.done():
                waiting.done.set_exception(OutcomeUnknown("the commit failed", hint=reason))
        self._waiting = []
        self._moved, self._steps = {}, []
        self._notes, self._noted = {}, {}
        self._queued_bytes = self._queued = 0
