"""The reference store: everything in dictionaries, with the durability of its `sync` argument.

Strategy: appends get their ids at once but become visible only when a group commit has awaited
`sync`: the same order of events as in a store on disk, so that the simulator can kill a server
between any two steps. What `disk` holds is what survives; a new MemoryStore on the same `Disk`
is the store after the crash.

For tests, the simulator, and users' own tests. Nothing survives the process.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import msgspec

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import InvalidRequest, OutcomeUnknown, Overloaded, StoreUnavailable
from mobilesync.domain.oplog import Appended, Draft, Oplog, oplog_of
from mobilesync.domain.sync_point import Advance, Head, SyncPoint, next_head
from mobilesync.storage.contract import BackupReport, Page, StoreStats, TrimReport

QUEUE_BYTES_MAX = 64 * 1024 * 1024
DRAFT_OVERHEAD_BYTES = 200
ADVANCES_MAX = 100_000
ADVANCE_DELAY_S = 0.1
_BACKUP = "memory.msgpack"


@dataclass
class Disk:
    """What would survive a power cut."""

    lineage: tuple[int, ...]
    oplogs: dict[Channel, list[Oplog]] = field(default_factory=dict)
    heads: dict[Channel, Head] = field(default_factory=dict)
    message_ids: dict[tuple[Channel, str], int] = field(default_factory=dict)
    points: dict[tuple[str, str], dict[Channel, SyncPoint]] = field(default_factory=dict)
    journal: dict[tuple[Channel, str], list[Advance]] = field(default_factory=dict)
    documents: dict[tuple[str, str], bytes] = field(default_factory=dict)


@dataclass
class _Waiting:
    drafts: list[tuple[Draft, int]]
    documents: list[tuple[str, str, bytes | None]]
    answers: list[Appended]
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
        self._advances: list[Advance] = []
        self._assigned: dict[Channel, int] = {}
        self._assigned_ids: dict[tuple[Channel, str], int] = {}
        self._seen_points: dict[tuple[str, str], dict[Channel, SyncPoint]] = {}
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

    async def append(self, drafts: Sequence[Draft]) -> list[Appended]:
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
        await self._commit(fresh, [], answers, size)
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
        stored = self.disk.oplogs.get(channel, [])
        head = self.disk.heads.get(channel)
        last, floor = (head.last, head.floor) if head else (0, 0)
        begin = bisect_right(stored, after, key=lambda oplog: oplog.id)
        oplogs: list[Oplog] = []
        size = 0
        for oplog in stored[begin : begin + count_max]:
            if oplogs and size + len(oplog.payload) > bytes_max:
                return Page(oplogs, oplogs[-1].id, floor)
            oplogs.append(oplog)
            size += len(oplog.payload)
        cut = begin + len(oplogs) < len(stored)
        return Page(oplogs, oplogs[-1].id if cut else max(last, after), floor)

    def advance(self, advances: Sequence[Advance]) -> None:
        if self._failed or self._closed:
            return
        for advance in advances:
            if len(self._advances) >= self._advances_max:
                break
            points = self._seen(advance.channel.app, advance.device)
            step = _moved(points.get(advance.channel), advance, self._eras)
            if step is not None:
                points[advance.channel] = SyncPoint(step.epoch, step.received, step.processed)
                self._advances.append(step)
        if self._advances and self._committer is None and self._advance_timer is None:
            loop = asyncio.get_running_loop()
            self._advance_timer = loop.call_later(ADVANCE_DELAY_S, self._start_committer)

    async def points(self, app: str, device: str) -> dict[Channel, SyncPoint]:
        return dict(self._seen(app, device))

    async def journal(
        self, channel: Channel, device: str, after: int, count_max: int
    ) -> list[Advance]:
        steps = self.disk.journal.get((channel, device), [])
        return [step for step in steps if step.received > after][:count_max]

    async def trim(self, now_ms: int, channels_max: int) -> TrimReport:
        self._check_writable()
        after = self._trim_after
        channels = sorted(
            channel for channel in self.disk.heads if after is None or channel > after
        )
        chosen = channels[:channels_max]
        finished = len(chosen) == len(channels)
        self._trim_after = None if finished else chosen[-1]
        count = sum(self._trim_channel(channel, now_ms) for channel in chosen)
        return TrimReport(count, len(chosen), finished)

    async def put_document(self, kind: str, key: str, value: bytes | None) -> None:
        self._check_writable()
        size = len(key) + len(value or b"") + DRAFT_OVERHEAD_BYTES
        self._check_room(size)
        await self._commit([], [(kind, key, value)], [], size)

    async def documents(self, kind: str) -> dict[str, bytes]:
        return {key: value for (k, key), value in self.disk.documents.items() if k == kind}

    async def backup(self, path: Path) -> BackupReport:
        if path.exists():
            raise InvalidRequest("the backup folder exists already", field="path")
        path.mkdir(parents=True)
        file = path / _BACKUP
        file.write_bytes(msgspec.msgpack.encode(_rows(self.disk)))
        return BackupReport(path, file.stat().st_size, self.lineage[-1])

    def stats(self) -> StoreStats:
        return StoreStats(self._commits, self._committed, 0.0, self._queued, 0, self._failed)

    async def close(self) -> None:
        self._closed = True
        if self._advances and not self._failed and self._committer is None:
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

    def _seen(self, app: str, device: str) -> dict[Channel, SyncPoint]:
        owner = (app, device)
        if owner not in self._seen_points:
            self._seen_points[owner] = dict(self.disk.points.get(owner, {}))
        return self._seen_points[owner]

    async def _commit(
        self,
        drafts: list[tuple[Draft, int]],
        documents: list[tuple[str, str, bytes | None]],
        answers: list[Appended],
        size: int,
    ) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(drafts, documents, answers, size, done))
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
            while self._waiting or self._advances:
                group, self._waiting = self._waiting, []
                advances, self._advances = self._advances, []
                try:
                    await self._sync()
                except Exception as error:  # noqa: BLE001 - whatever a test lets it raise
                    self._fail(str(error) or type(error).__name__, group)
                    return
                self._apply(group, advances)
        finally:
            self._committer = None

    def _apply(self, group: list[_Waiting], advances: list[Advance]) -> None:
        epoch = self.lineage[-1]
        disk = self.disk
        for waiting in group:
            for draft, oplog_id in waiting.drafts:
                channel = draft.channel
                disk.heads[channel] = next_head(disk.heads.get(channel), epoch, oplog_id)
                disk.oplogs.setdefault(channel, []).append(oplog_of(draft, oplog_id))
                key = (channel, draft.message_id)
                disk.message_ids[key] = oplog_id
                self._assigned_ids.pop(key, None)
                if self._assigned.get(channel) == oplog_id:
                    del self._assigned[channel]
            for kind, name, value in waiting.documents:
                if value is None:
                    disk.documents.pop((kind, name), None)
                else:
                    disk.documents[kind, name] = value
            self._queued_bytes -= waiting.bytes
            self._queued -= len(waiting.drafts)
            self._committed += len(waiting.drafts)
        for advance in advances:
            point = SyncPoint(advance.epoch, advance.received, advance.processed)
            owner = (advance.channel.app, advance.device)
            disk.points.setdefault(owner, {})[advance.channel] = point
            disk.journal.setdefault((advance.channel, advance.device), []).append(advance)
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
        self._advances = []
        self._queued_bytes = self._queued = 0

    def _trim_channel(self, channel: Channel, now_ms: int) -> int:
        stored = self.disk.oplogs.get(channel, [])
        count = 0
        head = self.disk.heads[channel]
        floor = head.floor
        for oplog in stored:
            if oplog.expires_at_ms > now_ms:
                break
            count += 1
            if oplog.expires_by_retention:
                floor = oplog.id
            self.disk.message_ids.pop((channel, oplog.message_id), None)
        if count:
            trimmed = stored[count - 1].id
            self.disk.heads[channel] = Head(head.last, head.epoch, floor, trimmed, head.forks)
            del stored[:count]
            if not stored:
                del self.disk.oplogs[channel]
            for key, steps in self.disk.journal.items():
                if key[0] == channel:
                    steps[:] = [step for step in steps if step.received > trimmed]
        return count


def _moved(old: SyncPoint | None, advance: Advance, eras: Mapping[int, int]) -> Advance | None:
    """The step that `advance` is from `old`, or None when it brings nothing new."""
    if advance.epoch not in eras:
        return None
    if old is None or eras[old.epoch] < eras[advance.epoch]:
        return advance
    received = max(advance.received, old.received)
    processed = max(advance.processed, old.processed)
    if old.epoch != advance.epoch or (received, processed) == (old.received, old.processed):
        return None
    return msgspec.structs.replace(advance, received=received, processed=processed)


def _rows(disk: Disk) -> list[object]:
    return [
        disk.lineage,
        list(disk.oplogs.items()),
        list(disk.heads.items()),
        list(disk.message_ids.items()),
        [(owner, list(points.items())) for owner, points in disk.points.items()],
        list(disk.journal.items()),
        list(disk.documents.items()),
    ]


class _Rows(msgspec.Struct, array_like=True):
    lineage: tuple[int, ...]
    oplogs: list[tuple[Channel, list[Oplog]]]
    heads: list[tuple[Channel, Head]]
    message_ids: list[tuple[tuple[Channel, str], int]]
    points: list[tuple[tuple[str, str], list[tuple[Channel, SyncPoint]]]]
    journal: list[tuple[tuple[Channel, str], list[Advance]]]
    documents: list[tuple[tuple[str, str], bytes]]


def restore_memory(backup: Path, *, random: Random) -> Disk:
    """A disk with what `backup` holds, and a new epoch."""
    rows = msgspec.msgpack.decode((backup / _BACKUP).read_bytes(), type=_Rows)
    return Disk(
        (*rows.lineage, random.getrandbits(48)),
        dict(rows.oplogs),
        dict(rows.heads),
        dict(rows.message_ids),
        {owner: dict(points) for owner, points in rows.points},
        dict(rows.journal),
        dict(rows.documents),
    )
