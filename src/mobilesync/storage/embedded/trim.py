"""Forgetting oplogs in slices, while the store serves.

Strategy: walk the heads (which are never deleted, so the walk meets no graves), look at the first
oplogs of each channel that has any, and stage what ended. The deletions and the head that tells of
them are in one group, so they happen together or not at all. After each slice others have a turn.

Deleting only marks; the disk is freed when RocksDB rewrites the files. Where much went, it is told
to (`_Freed`); the rest it notices by itself (tables.py).

Invariants:
- a channel is trimmed from its beginning, without gaps;
- steps of the journal go after the oplogs that they are about, so that a crash in between leaves
  a proof too many and none too few.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from mobilesync.domain.channel import Channel
from mobilesync.domain.message_id import made_for
from mobilesync.storage.contract import TrimReport
from mobilesync.storage.embedded import keys, rows
from mobilesync.storage.embedded.commit import Committer
from mobilesync.storage.embedded.heads import Heads
from mobilesync.storage.embedded.options import EmbeddedOptions
from mobilesync.storage.embedded.tables import Tables

_SLICE_ROWS = 500
# Below this, marking one by one is cheaper for later readers than marking a range.
_RANGE_ROWS_MIN = 64
_FREED_SHARE_MIN = 4


class Trimmer:
    """Trims one channel after the other, and goes on where it stopped."""

    def __init__(
        self,
        tables: Tables,
        heads: Heads,
        committer: Committer,
        worker: ThreadPoolExecutor,
        options: EmbeddedOptions,
    ) -> None:
        self._tables = tables
        self._heads = heads
        self._committer = committer
        self._worker = worker
        self._compact_bytes = options.compact_trimmed_bytes
        self._running = asyncio.Lock()
        self._next = b""
        self._looked_at = 0
        self._staged = False
        self._freed_bytes = 0
        self._freed: tuple[bytes, bytes] | None = None

    async def trim(self, now_ms: int, channels_max: int) -> TrimReport:
        """See `Store.trim`."""
        assert channels_max > 0
        async with self._running:
            self._committer.check_writable()
            count = channels = 0
            more = True
            while more and channels < channels_max:
                slice_max = min(_SLICE_ROWS, channels_max - channels)
                found, more = self._channels(slice_max)
                channels += len(found)
                for channel in found:
                    count += await self._trim_channel(channel, now_ms)
                self._next = keys.channel_prefix(found[-1]) + b"\0" if more else b""
                await self._give_way(len(found))
            await self._settle()
            await self._compact_if_worth_it()
            return TrimReport(count, channels, not more)

    async def ended(self) -> None:
        """Wait for the trim that runs; the committer is closed, so it ends soon."""
        async with self._running:
            pass

    def _channels(self, count_max: int) -> tuple[list[Channel], bool]:
        """The next channels, and whether there are more behind them."""
        tables = self._tables
        found: list[Channel] = []
        for key, _ in tables.scan(tables.heads, self._next, b"\xff"):
            if len(found) == count_max:
                return found, True
            found.append(keys.channel_of(key))
        return found, False

    async def _trim_channel(self, channel: Channel, now_ms: int) -> int:
        head = self._heads.of(channel)
        if head is None or head.trimmed == head.last:
            return 0
        count, floor, trimmed, more = 0, head.floor, head.trimmed, True
        while more:
            ended, more = self._ended(channel, trimmed + 1, head.last, now_ms)
            if ended:
                floor = max((row_id for row_id, end in ended if end.expires_by_retention),
                            default=floor)  # fmt: skip
                self._stage(channel, ended, floor)
                trimmed = ended[-1][0]
                count += len(ended)
            await self._give_way(len(ended) + 1)
        if count:
            await self._trim_journal(channel, trimmed)
        return count

    def _ended(
        self, channel: Channel, begin: int, last: int, now_ms: int
    ) -> tuple[list[tuple[int, rows.Ending]], bool]:
        """The oplogs that ended, from the channel's beginning; whether there may be more."""
        tables = self._tables
        prefix = keys.channel_prefix(channel)
        found: list[tuple[int, rows.Ending]] = []
        end = prefix + keys.id_bytes(last + 1)
        for key, data in tables.scan(tables.oplogs, prefix + keys.id_bytes(begin), end):
            ending = rows.decode_ending(data)
            if ending.expires_at_ms > now_ms:
                return found, False
            if len(found) == _SLICE_ROWS:
                return found, True
            found.append((keys.id_of(key), ending))
            self._freed_bytes += len(key) + len(data)
        return found, False

    def _stage(self, channel: Channel, ended: list[tuple[int, rows.Ending]], floor: int) -> None:
        tables = self._tables
        prefix = keys.channel_prefix(channel)
        # Its size is bounded by the slice: it need not be counted against the queue.
        group = self._committer.group(0)
        first, trimmed = ended[0][0], ended[-1][0]
        if len(ended) < _RANGE_ROWS_MIN:
            for oplog_id, _ in ended:
                group.batch.delete(prefix + keys.id_bytes(oplog_id), tables.in_oplogs)
        else:
            begin, end = prefix + keys.id_bytes(first), prefix + keys.id_bytes(trimmed + 1)
            group.batch.delete_range(begin, end, tables.in_oplogs)
        for oplog_id, ending in ended:
            if made_for(ending.message_id) != oplog_id:
                group.batch.delete(prefix + ending.message_id.encode(), tables.in_message_ids)
        for oplog_id, ending in ended:
            if ending.details is not None and ending.details.key:
                key = keys.coalescing_prefix(channel, ending.details.key) + keys.id_bytes(oplog_id)
                group.batch.delete(key, tables.in_keys)
        group.trims[channel] = (floor, trimmed)
        self._staged = True
        end = keys.after_prefix(prefix)
        low, high = self._freed or (prefix, end)
        self._freed = (min(low, prefix), max(high, end))

    async def _trim_journal(self, channel: Channel, trimmed: int) -> None:
        tables = self._tables
        prefix = keys.channel_prefix(channel)
        position, end = prefix, keys.after_prefix(prefix)
        while position:
            # Steps are sorted by device, lap, epoch, id: one kept means that its epoch is done.
            done: list[bytes] = []
            begin, position = position, b""
            for key, _ in tables.scan(tables.journal, begin, end):
                if len(done) == _SLICE_ROWS:
                    position = key
                    break
                step = keys.step_of(key)
                if step.is_about(trimmed):
                    next_epoch = keys.Step(step.lap, step.era + 1, 0, 0, 0)
                    position = keys.step_key(key[: -keys.STEP_BYTES], next_epoch)
                    break
                done.append(key)
            if done:
                group = self._committer.group(0)
                for key in done:
                    group.batch.delete(key, tables.in_journal)
                self._staged = True
            await self._give_way(len(done) + 1)

    async def _give_way(self, looked_at: int) -> None:
        """Let others have a turn after each slice; wait for the commit of what was staged."""
        self._looked_at += looked_at
        if self._looked_at >= _SLICE_ROWS:
            await self._settle()
            await asyncio.sleep(0)

    async def _settle(self) -> None:
        self._looked_at = 0
        if self._staged:
            self._staged = False
            await self._committer.wait()

    async def _compact_if_worth_it(self) -> None:
        tables = self._tables
        figure = "rocksdb.live-sst-files-size"
        stored = tables.oplogs.property_int_value(figure) or 0
        if self._freed is None or self._freed_bytes < self._compact_bytes:
            return
        if self._freed_bytes * _FREED_SHARE_MIN < stored:
            return
        begin, end = self._freed
        self._freed, self._freed_bytes = None, 0
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._worker, _compact, tables, begin, end)


def _compact(tables: Tables, begin: bytes, end: bytes) -> None:
    tables.flush()
    for table in (tables.oplogs, tables.message_ids, tables.keys, tables.journal):
        tables.compact(table, begin, end)
