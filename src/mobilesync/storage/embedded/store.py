"""The embedded store: the contract's methods over the parts in this folder.

Strategy: everything happens on the event loop but waiting for the disk (writer.py) and long work
on files (backup, compaction, opening), which has a thread of its own. Reads are short and inline;
ids are given in the turn of the call, and nothing is awaited between looking a message id up and
giving its id.

Not here: what is forgotten when (trim.py), and the folder's checks (folder.py).
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mobilesync.domain.channel import Channel
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
from mobilesync.storage.embedded import keys, rows
from mobilesync.storage.embedded.backup import write_backup
from mobilesync.storage.embedded.commit import Committer
from mobilesync.storage.embedded.documents import Documents, changes_of, size_of
from mobilesync.storage.embedded.folder import FolderLock, Marker
from mobilesync.storage.embedded.group import Group
from mobilesync.storage.embedded.heads import Heads
from mobilesync.storage.embedded.ids import Ids, Plan
from mobilesync.storage.embedded.options import EmbeddedOptions
from mobilesync.storage.embedded.points import Points
from mobilesync.storage.embedded.tables import Tables
from mobilesync.storage.embedded.trim import Trimmer
from mobilesync.storage.embedded.withdrawals import Withdrawals

DRAFT_OVERHEAD_BYTES = 200
SyncHook = Callable[[Callable[[], None]], None]


class EmbeddedStore:
    """A Store in a data folder. See `Store` for the contract of each method.

    Made by `open_embedded`.
    """

    def __init__(
        self,
        tables: Tables,
        marker: Marker,
        lock: FolderLock,
        worker: ThreadPoolExecutor,
        options: EmbeddedOptions,
        sync: SyncHook | None = None,
    ) -> None:
        self._tables = tables
        self._marker = marker
        self._lock = lock
        self._worker = worker
        self._heads = Heads(tables, options.cached_targets_max, options.cached_channels_max)
        self._ids = Ids(tables, self._heads)
        self._points = Points(tables, marker.lineage, options.advances_max)
        self._documents = Documents(tables, options.advances_max)
        self._committer = Committer(
            tables,
            self._heads,
            self._points,
            self._documents,
            epoch=marker.lineage[-1],
            options=options,
            sync=tables.sync if sync is None else lambda: sync(tables.sync),
            settled=self._settled,
        )
        self._withdrawals = Withdrawals(tables, self._heads, self._committer)
        self._trimmer = Trimmer(tables, self._heads, self._committer, worker, options)
        self._closing: asyncio.Task[None] | None = None

    @property
    def lineage(self) -> tuple[int, ...]:
        return self._marker.lineage

    async def append(self, drafts: Sequence[Draft], also: Also | None = None) -> list[Appended]:
        if not drafts:
            return []
        self._committer.check_writable()
        # All that can fail comes before anything is put into the group.
        plan = self._ids.plan(drafts)
        oplog_rows = [
            rows.encode_oplog(draft, "" if key else whole_message_id(draft.message_id, oplog_id))
            for (draft, oplog_id), key in zip(plan.fresh, plan.message_keys, strict=True)
        ]
        detailed = [each for each in plan.fresh if each[0].details is not None]
        coalescing_keys = [key for each in detailed if (key := _coalescing_key(*each))]
        rewrites = self._withdrawals.plan(detailed)
        changes = changes_of(also(plan.answers)) if also is not None else []
        if not plan.fresh and not changes and not plan.waits:
            return plan.answers
        size = sum(map(len, oplog_rows)) + DRAFT_OVERHEAD_BYTES * len(drafts)
        size += size_of(changes) + sum(rewrite.queue_bytes for rewrite in rewrites.values())
        group = self._committer.group(size)
        self._stage(group, plan, oplog_rows, coalescing_keys)
        group.drafts += len(plan.fresh)
        self._withdrawals.stage(group, rewrites)
        self._documents.put(group, changes)
        await self._committer.wait()
        return plan.answers

    def _stage(
        self, group: Group, plan: Plan, oplog_rows: list[bytes], coalescing_keys: list[bytes]
    ) -> None:
        # Apart from `append`, whose frame lives on in its traceback when the commit fails: these
        # handles would keep the database locked after it is closed.
        in_oplogs, in_message_ids = self._tables.in_oplogs, self._tables.in_message_ids
        put, give = group.batch.put, self._ids.give
        for (draft, oplog_id), prefix, message_key, row in zip(
            plan.fresh, plan.prefixes, plan.message_keys, oplog_rows, strict=True
        ):
            place = keys.id_bytes(oplog_id)
            put(prefix + place, row, in_oplogs)
            if message_key:
                put(message_key, place, in_message_ids)
            give(group, draft.channel, message_key, oplog_id)
        for key in coalescing_keys:
            put(key, b"", self._tables.in_keys)

    def _settled(self, group: Group) -> None:
        self._ids.settle(group)
        self._withdrawals.settle(group)

    async def heads(self, app: str, targets: Sequence[str]) -> dict[Channel, Head]:
        if len(targets) == 1:
            return dict(self._heads.of_target(app, targets[0]))
        found: dict[Channel, Head] = {}
        for target in targets:
            found.update(self._heads.of_target(app, target))
        return found

    async def read(self, channel: Channel, after: int, count_max: int, bytes_max: int) -> Page:
        assert count_max > 0
        head = self._heads.of(channel)
        if head is None:
            return Page([], after)
        tables = self._tables
        prefix = keys.channel_prefix(channel)
        begin = prefix + keys.id_bytes(max(after, head.trimmed) + 1)
        end = prefix + keys.id_bytes(head.last + 1)
        durable = self._withdrawals.durable
        oplogs: list[Oplog] = []
        size = 0
        if after < head.last:
            for key, data in tables.scan(tables.oplogs, begin, end):
                if len(oplogs) == count_max:
                    return Page(oplogs, oplogs[-1].id, head.floor)
                oplog = durable.get(key) or rows.decode_oplog(keys.id_of(key), data)
                size += len(oplog.payload)
                if oplogs and size > bytes_max:
                    return Page(oplogs, oplogs[-1].id, head.floor)
                oplogs.append(oplog)
        return Page(oplogs, max(head.last, after), head.floor)

    async def newest_of_key(self, channel: Channel, key: str, count_max: int) -> list[Oplog]:
        head = self._heads.of(channel)
        if head is None:
            return []
        tables = self._tables
        prefix = keys.channel_prefix(channel)
        place = keys.coalescing_prefix(channel, key)
        begin, end = place + keys.id_bytes(head.trimmed + 1), place + keys.id_bytes(head.last + 1)
        found: list[Oplog] = []
        for each in tables.newest(tables.keys, begin, end):
            if len(found) == count_max:
                break
            row = prefix + each[-keys.ID_BYTES :]
            data = tables.get(tables.oplogs, row)
            if data is not None:
                oplog = self._withdrawals.durable.get(row)
                found.append(oplog or rows.decode_oplog(keys.id_of(each), data))
        return found

    async def find(self, channel: Channel, message_id: str) -> int:
        head = self._heads.of(channel)
        if head is None:
            return 0
        found = self._ids.known(keys.channel_prefix(channel) + message_id.encode())
        return found if head.trimmed < found <= head.last else 0

    def advance(self, advances: Sequence[Advance]) -> None:
        if self._committer.failed or self._closing is not None:
            return
        for advance in advances:
            self._points.advance(advance)
        self._committer.commit_later()

    async def points(self, app: str, device: str) -> dict[Channel, SyncPoint]:
        return self._points.of_device(app, device)

    async def journal(
        self, channel: Channel, device: str, after: int, count_max: int
    ) -> list[Advance]:
        return self._points.journal(channel, device, after, count_max)

    async def trim(self, now_ms: int, channels_max: int) -> TrimReport:
        return await self._trimmer.trim(now_ms, channels_max)

    async def put_documents(self, documents: Sequence[Document]) -> None:
        changes = changes_of(documents)
        self._documents.put(self._committer.group(size_of(changes)), changes)
        await self._committer.wait()

    def note_documents(self, documents: Sequence[Document]) -> None:
        if self._committer.failed or self._closing is not None:
            return
        self._documents.note(changes_of(documents))
        self._committer.commit_later()

    async def document(self, kind: str, key: str) -> bytes | None:
        return self._documents.get(kind, key)

    async def documents(
        self, kind: str, begin: str = "", end: str = "", count_max: int = 0
    ) -> dict[str, bytes]:
        return self._documents.select(kind, begin, end, count_max)

    async def backup(
        self, path: Path, progress: Callable[[int, int], None] | None = None
    ) -> BackupReport:
        """`progress` is called in another thread with bytes copied so far and in all."""
        self._committer.check_writable()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._worker, write_backup, self._tables, self._marker, path, progress
        )

    def stats(self) -> StoreStats:
        committer = self._committer
        return StoreStats(
            committer.commits,
            committer.committed,
            committer.commit_s,
            committer.queued,
            self._tables.disk_bytes(),
            committer.failed,
        )

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await self._committer.close()
        await self._trimmer.ended()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._worker, self._close_tables)
        self._worker.shutdown()

    def _close_tables(self) -> None:
        try:
            if not self._committer.failed:
                # Leaves an empty log behind: the next opening has nothing to replay.
                self._tables.flush()
        except Exception:  # noqa: BLE001, S110 - a disk that is full by now: the log has it all
            pass
        finally:
            try:
                self._tables.close()
            finally:
                self._lock.release()


def _coalescing_key(draft: Draft, oplog_id: int) -> bytes:
    """Where the store notes that the oplog is one of its key; empty if it has none."""
    key = draft.details.key if draft.details is not None else ""
    return keys.coalescing_prefix(draft.channel, key) + keys.id_bytes(oplog_id) if key else b""
