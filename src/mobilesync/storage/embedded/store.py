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
from mobilesync.storage.embedded.commit import Committer, Group, put_document
from mobilesync.storage.embedded.folder import FolderLock, Marker
from mobilesync.storage.embedded.heads import Heads
from mobilesync.storage.embedded.ids import Ids
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
        self._committer = Committer(
            tables,
            self._heads,
            self._points,
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
        ids = self._ids
        prefixes: dict[Channel, bytes] = {}
        lasts: dict[Channel, int] = {}
        message_keys: list[bytes] = []
        for draft in drafts:
            channel = draft.channel
            prefix = prefixes.get(channel)
            if prefix is None:
                prefix = prefixes[channel] = keys.channel_prefix(channel)
                lasts[channel] = ids.last(channel)
            message_keys.append(prefix + draft.message_id.encode())
        # A channel without an id has no message id either: that look is spared.
        known = [
            ids.known(key) if lasts[draft.channel] else 0
            for draft, key in zip(drafts, message_keys, strict=True)
        ]
        if all(known) and not any(ids.is_waiting(key) for key in message_keys):
            return [Appended(oplog_id, duplicate=True) for oplog_id in known]
        size = sum(len(draft.payload) for draft in drafts) + DRAFT_OVERHEAD_BYTES * len(drafts)
        group = self._committer.group(size)
        answers: list[Appended] = []
        given: dict[bytes, int] = {}
        for draft, key, found in zip(drafts, message_keys, known, strict=True):
            if found or key in given:
                answers.append(Appended(found or given[key], duplicate=True))
                continue
            channel = draft.channel
            oplog_id = lasts[channel] = lasts[channel] + 1
            self._stage(group, draft, prefixes[channel], key, oplog_id)
            ids.give(group, channel, key, oplog_id)
            given[key] = oplog_id
            answers.append(Appended(oplog_id))
        group.drafts += len(given)
        if also is not None:
            self._put(group, also(answers))
        await self._committer.wait()
        return answers

    def _stage(
        self, group: Group, draft: Draft, prefix: bytes, message_key: bytes, oplog_id: int
    ) -> None:
        tables = self._tables
        data = keys.id_bytes(oplog_id)
        put = group.batch.put
        put(prefix + data, rows.encode_oplog(draft), tables.in_oplogs)
        put(message_key, data, tables.in_message_ids)
        details = draft.details
        if details is None:
            return
        if details.key:
            put(keys.coalescing_prefix(draft.channel, details.key) + data, b"", tables.in_keys)
        if details.withdraws is not None:
            self._withdrawals.stage(group, draft, oplog_id)

    def _settled(self, group: Group) -> None:
        self._ids.settle(group)
        self._withdrawals.settle(group)

    async def heads(self, app: str, targets: Sequence[str]) -> dict[Channel, Head]:
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
        oplogs: list[Oplog] = []
        size = 0
        if after < head.last:
            for key, data in tables.scan(tables.oplogs, begin, end):
                if len(oplogs) == count_max:
                    return Page(oplogs, oplogs[-1].id, head.floor)
                oplog = rows.decode_oplog(keys.id_of(key), data)
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
            oplog_id = keys.id_of(each)
            data = tables.get(tables.oplogs, prefix + keys.id_bytes(oplog_id))
            if data is not None:
                found.append(rows.decode_oplog(oplog_id, data))
            if len(found) == count_max:
                break
        return found

    async def find(self, channel: Channel, message_id: str) -> int:
        head = self._heads.of(channel)
        found = self._ids.known(keys.channel_prefix(channel) + message_id.encode())
        return found if head is not None and head.trimmed < found <= head.last else 0

    def advance(self, advances: Sequence[Advance]) -> None:
        if self._committer.failed or self._closing is not None:
            return
        for advance in advances:
            self._points.advance(advance)
        self._committer.commit_points_later()

    async def points(self, app: str, device: str) -> dict[Channel, SyncPoint]:
        return self._points.of_device(app, device)

    async def journal(
        self, channel: Channel, device: str, after: int, count_max: int
    ) -> list[Advance]:
        return self._points.journal(channel, device, after, count_max)

    async def trim(self, now_ms: int, channels_max: int) -> TrimReport:
        return await self._trimmer.trim(now_ms, channels_max)

    async def put_documents(self, documents: Sequence[Document]) -> None:
        size = sum(len(each.key) + len(each.value or b"") for each in documents)
        group = self._committer.group(size + DRAFT_OVERHEAD_BYTES * len(documents))
        self._put(group, documents)
        await self._committer.wait()

    def _put(self, group: Group, documents: Sequence[Document]) -> None:
        for each in documents:
            key = keys.document_key(each.kind, each.key)
            put_document(group.batch, self._tables, key, each.value)
            group.documents[key] = each.value

    def note_documents(self, documents: Sequence[Document]) -> None:
        self._committer.note(
            (keys.document_key(each.kind, each.key), each.value) for each in documents
        )

    async def document(self, kind: str, key: str) -> bytes | None:
        place = keys.document_key(kind, key)
        # Of what is being written the old value counts, of what is noted the new one.
        for waiting in (self._committer.notes, self._committer.hidden_documents()):
            if place in waiting:
                return waiting[place]
        return self._tables.get(self._tables.documents, place)

    async def documents(
        self, kind: str, begin: str = "", end: str = "", count_max: int = 0
    ) -> dict[str, bytes]:
        prefix = keys.kind_prefix(kind)
        low = prefix + begin.encode()
        high = prefix + end.encode() if end else keys.after_prefix(prefix)
        other = {**self._committer.hidden_documents(), **self._committer.notes}
        other = {key: value for key, value in other.items() if low <= key < high}
        found: dict[bytes, bytes | None] = {}
        tables = self._tables
        for key, value in tables.scan(tables.documents, low, high):
            found[key] = value
            if count_max and len(found) == count_max + len(other):
                break
        found.update(other)
        kept = [(key, value) for key, value in sorted(found.items()) if value is not None]
        return {key[len(prefix) :].decode(): value for key, value in kept[: count_max or len(kept)]}

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
