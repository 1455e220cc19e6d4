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

import msgspec

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import InvalidRequest, OutcomeUnknown, Overloaded, StoreUnavailable
from mobilesync.domain.message_id import whole_message_id
from mobilesync.domain.oplog import Appended, Draft, Oplog
from mobilesync.domain.sync_point import Advance, Head, SyncPoint
from mobilesync.storage.contract import (
    Also,
    BackupReport,
    Document,
    Page,
    StoreStats,
    TrimReport,
)
from mobilesync.storage.disk import Disk, is_about, write_backup
from mobilesync.storage.riders import Riders

QUEUE_BYTES_MAX = 64 * 1024 * 1024
DRAFT_OVERHEAD_BYTES = 200
ADVANCES_MAX = 100_000
ADVANCE_DELAY_S = 0.1


@dataclass
class _Waiting:
    drafts: list[tuple[Draft, int, int]]
    """Each with its id, and the last id of its channel that was durable at the call."""
    documents: Sequence[Document]
    bytes: int
    done: "asyncio.Future[None]"

    def land(self, disk: Disk) -> None:
        """Put it on the disk."""
        for draft, oplog_id, durable in self.drafts:
            disk.append(draft, oplog_id)
            disk.withdraw(draft, oplog_id, durable)
        for document in self.documents:
            disk.keep(document)


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
        self._queued_bytes = 0
        self._waiting: list[_Waiting] = []
        self._riders = Riders(disk, advances_max)
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
        if not drafts:
            return []
        self._check_writable()
        answers: list[Appended] = []
        fresh: list[tuple[Draft, int, int]] = []
        lasts: dict[Channel, int] = {}
        given: dict[tuple[Channel, str], int] = {}
        waits = False
        for draft in drafts:
            channel, key = draft.channel, (draft.channel, draft.message_id)
            waiting = given.get(key) or self._assigned_ids.get(key)
            known = waiting or self.disk.message_ids.get(key)
            if known:
                # It waits for the first one, which may not be durable yet.
                waits = waits or waiting is not None
                answers.append(Appended(known, duplicate=True))
                continue
            head = self.disk.heads.get(channel)
            durable = head.last if head else 0
            last = lasts.get(channel) or self._assigned.get(channel, durable)
            oplog_id = lasts[channel] = last + 1
            given[channel, whole_message_id(draft.message_id, oplog_id)] = oplog_id
            fresh.append((draft, oplog_id, durable))
            answers.append(Appended(oplog_id))
        documents = also(answers) if also is not None else ()
        if fresh or documents or waits:
            size = sum(_size_of(draft) for draft in drafts) + _size_of_documents(documents)
            self._check_writable(size)
            self._assigned.update(lasts)
            self._assigned_ids.update(given)
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
        self._riders.advance(advances)
        self._start_committer(ADVANCE_DELAY_S)

    def note_documents(self, documents: Sequence[Document]) -> None:
        if self._failed or self._closed:
            return
        self._riders.note(documents)
        self._start_committer(ADVANCE_DELAY_S)

    async def points(self, app: str, device: str) -> dict[Channel, SyncPoint]:
        return self._riders.points((app, device))

    async def journal(
        self, channel: Channel, device: str, after: int, count_max: int
    ) -> list[Advance]:
        steps = self.disk.journal.get((channel, device), [])
        return [step for step in steps if is_about(step, after)][:count_max]

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
        size = _size_of_documents(documents)
        self._check_writable(size)
        await self._commit([], documents, size)

    async def document(self, kind: str, key: str) -> bytes | None:
        return self._riders.document((kind, key))

    async def documents(
        self, kind: str, begin: str = "", end: str = "", count_max: int = 0
    ) -> dict[str, bytes]:
        return self._riders.documents(kind, begin, end, count_max)

    async def backup(self, path: Path) -> BackupReport:
        if path.exists():
            raise InvalidRequest("the backup folder exists already", field="path")
        return write_backup(self.disk, path)

    def stats(self) -> StoreStats:
        return StoreStats(self._commits, self._committed, 0.0, self._queued, 0, self._failed)

    async def close(self) -> None:
        self._closed = True
        if self._riders and not self._failed:
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

    def _check_writable(self, size: int = 0) -> None:
        if self._failed or self._closed:
            reason = self._failed or "the store is closed"
            raise StoreUnavailable("the store takes no writes", hint=reason)
        if size and self._queued_bytes and self._queued_bytes + size > self._queue_bytes_max:
            raise Overloaded("the store's queue is full", hint="publish again a little later")

    async def _commit(
        self,
        drafts: list[tuple[Draft, int, int]],
        documents: Sequence[Document],
        size: int,
    ) -> None:
        self._riders.overtake(documents)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(drafts, documents, size, done))
        self._queued_bytes += size
        self._queued += len(drafts)
        self._start_committer()
        await done

    def _start_committer(self, delay_s: float = 0.0) -> None:
        """Have what waits committed; with a delay, only if nothing begins before."""
        loop = asyncio.get_running_loop()
        if delay_s:
            if self._riders and self._committer is None and self._advance_timer is None:
                self._advance_timer = loop.call_later(delay_s, self._start_committer)
            return
        if self._advance_timer is not None:
            self._advance_timer.cancel()
            self._advance_timer = None
        if self._committer is None:
            self._committer = loop.create_task(self._run_committer())

    async def _run_committer(self) -> None:
        try:
            while self._waiting or self._riders:
                group, self._waiting = self._waiting, []
                self._riders.board()
                try:
                    await self._sync()
                except Exception as error:  # noqa: BLE001 - whatever a test lets it raise
                    self._fail(str(error) or type(error).__name__, group)
                    return
                for waiting in group:
                    waiting.land(self.disk)
                self._riders.land()
                self._settle(group)
        finally:
            self._committer = None

    def _settle(self, group: list[_Waiting]) -> None:
        self._commits += 1
        for waiting in group:
            for draft, oplog_id, _ in waiting.drafts:
                place = (draft.channel, whole_message_id(draft.message_id, oplog_id))
                self._assigned_ids.pop(place, None)
                if self._assigned.get(draft.channel) == oplog_id:
                    del self._assigned[draft.channel]
            self._queued_bytes -= waiting.bytes
            self._queued -= len(waiting.drafts)
            self._committed += len(waiting.drafts)
            if not waiting.done.done():
                waiting.done.set_result(None)

    def _fail(self, reason: str, group: list[_Waiting]) -> None:
        self._failed = reason
        for waiting in [*group, *self._waiting]:
            if not waiting.done.done():
                waiting.done.set_exception(OutcomeUnknown("the commit failed", hint=reason))
        self._waiting = []
        self._riders.forget()
        self._queued_bytes = self._queued = 0


def _size_of(draft: Draft) -> int:
    size = len(draft.payload) + DRAFT_OVERHEAD_BYTES
    if draft.conditions is not None or draft.details is not None:
        size += len(msgspec.msgpack.encode((draft.conditions, draft.details)))
    return size


def _size_of_documents(documents: Sequence[Document]) -> int:
    return sum(
        len(each.kind) + len(each.key) + len(each.value or b"") + DRAFT_OVERHEAD_BYTES
        for each in documents
    )
