"""The open database: seven tables in one RocksDB, with one log and atomic batches over all of them.

Strategy: this file is the only one that knows what rocksdict does and how it fails. It raises
plain exceptions told apart by text; everything else here speaks of StoreUnavailable. Ranges are
read with `iter` and checked with `status()`: rocksdict's `items()` takes a damaged block for the
end of the data.

Not here: what is in the tables (keys.py, rows.py), and when the disk is waited for (writer.py).
"""

from collections.abc import Iterator
from pathlib import Path

from rocksdict import (
    AccessType,
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    Checkpoint,
    DBCompressionType,
    DBRecoveryMode,
    Env,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

from mobilesync.domain.errors import StoreUnavailable
from mobilesync.storage.embedded.options import MIB, EmbeddedOptions

NAMES = ("heads", "oplogs", "message_ids", "keys", "points", "journal", "documents")
_BLOOM_BITS = 10
_METADATA_BLOCK_BYTES = 4096
_OPEN_FILES_MAX = 4096
_GRAVES_WINDOW = 4096
# Stalled writes would hold the event loop: RocksDB's own slow-down is off, a full stop is asked
# for before each write (`stalled`), and two memtables may wait while one is written out.
_MEMTABLES_MAX = 3
_LEVEL0_FILES_STOP = 64


class Tables:
    """The seven tables. Every method but `sync`, `flush`, `compact` and `checkpoint` is short."""

    def __init__(
        self,
        path: Path,
        options: EmbeddedOptions,
        *,
        create: bool = False,
        read_only: bool = False,
        recovery: DBRecoveryMode | None = None,
    ) -> None:
        """Raises an Exception with RocksDB's text; folder and store make sense of it."""
        cache = Cache(options.block_cache_bytes)
        families = {name: _table_options(options, cache) for name in NAMES}
        access = AccessType.read_only(False) if read_only else AccessType.read_write()
        database = _database_options(options, create=create, recovery=recovery)
        self._database = Rdict(str(path), database, families, access)
        self.path = path
        opened = {name: self._database.get_column_family(name) for name in NAMES}
        self._opened = opened
        self.heads = opened["heads"]
        self.oplogs = opened["oplogs"]
        self.message_ids = opened["message_ids"]
        self.keys = opened["keys"]
        self.points = opened["points"]
        self.journal = opened["journal"]
        self.documents = opened["documents"]
        handle = self._database.get_column_family_handle
        self.in_heads = handle("heads")
        self.in_oplogs = handle("oplogs")
        self.in_message_ids = handle("message_ids")
        self.in_keys = handle("keys")
        self.in_points = handle("points")
        self.in_journal = handle("journal")
        self.in_documents = handle("documents")
        self._unsynced = WriteOptions()
        self._unsynced.sync = False

    def batch(self) -> WriteBatch:
        """An empty batch; fill it by `put(key, value, tables.in_…)`."""
        return WriteBatch(raw_mode=True)

    def write(self, batch: WriteBatch) -> None:
        """Give the batch to the operating system, all or nothing. Durable after `sync`.

        Raises an Exception; then the database takes no more writes.
        """
        self._database.write(batch, self._unsynced)

    def sync(self) -> None:
        """Wait until the disk has everything written before. For a thread: blocks, but releases
        the interpreter lock, which `write` with sync would hold all the while."""
        self._database.flush_wal(True)

    def get(self, table: Rdict, key: bytes) -> bytes | None:
        """The value of `key`. Raises StoreUnavailable when the disk cannot say."""
        try:
            value: bytes | None = table.get(key)
        except Exception as error:
            raise unreadable(error) from error
        return value

    def scan(self, table: Rdict, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from `begin` to before `end`. Raises StoreUnavailable, never stops
        short. Take little at a time, or hold up the event loop."""
        bounds = ReadOptions()
        bounds.set_iterate_upper_bound(end)
        try:
            rows = table.iter(bounds)
            rows.seek(begin)
            while rows.valid():
                yield rows.key(), rows.value()
                rows.next()
            rows.status()
        except Exception as error:
            raise unreadable(error) from error

    def newest(self, table: Rdict, begin: bytes, end: bytes) -> Iterator[bytes]:
        """Keys from before `end` down to `begin`. Raises StoreUnavailable, as `scan`."""
        # No lower bound is set: rocksdict 0.3.29 takes it for the upper one.
        bounds = ReadOptions()
        bounds.set_iterate_upper_bound(end)
        try:
            rows = table.iter(bounds)
            rows.seek_to_last()
            while rows.valid() and (key := rows.key()) >= begin:
                yield key
                rows.prev()
            rows.status()
        except Exception as error:
            raise unreadable(error) from error

    def last_write(self) -> int:
        """RocksDB's count of writes so far."""
        return self._database.latest_sequence_number()

    def stalled(self) -> bool:
        """Whether a write would wait for the disk to catch up."""
        return bool(self._database.property_int_value("rocksdb.is-write-stopped"))

    def flush(self) -> None:
        """Write out what only the log and memory hold."""
        for table in self._opened.values():
            table.flush()

    def compact(self, table: Rdict, begin: bytes, end: bytes) -> None:
        """Rewrite the range without what was deleted. Long; for a thread."""
        table.compact_range(begin, end)

    def checkpoint(self, path: Path) -> None:
        """A consistent copy of the database in `path`, on the same disk, by hard links."""
        Checkpoint(self._database).create_checkpoint(str(path))

    def disk_bytes(self) -> int:
        """What tables and log take on the disk."""
        figure = "rocksdb.live-sst-files-size"
        files = sum(table.property_int_value(figure) or 0 for table in self._opened.values())
        logs = 0
        for entry in self.path.glob("*.log"):
            # A log may be removed while we look.
            try:
                logs += entry.stat().st_size
            except FileNotFoundError:
                continue
        return files + logs

    def close(self) -> None:
        """Close for good. Everything derived goes first: each keeps the database's lock.

        Reading goes on to raise StoreUnavailable; there is nothing to write into any more.
        """
        opened = [*self._opened.values(), self._database]
        self._opened = {}
        for name in NAMES:
            delattr(self, f"in_{name}")
        failures = [failure for each in opened if (failure := _close(each)) is not None]
        if failures:
            raise failures[0]


def _close(database: Rdict) -> Exception | None:
    try:
        database.close()
    except Exception as error:  # noqa: BLE001 - rocksdict raises nothing narrower
        # After a failed write, closing complains about that write, but does close.
        return None if "Writer has previous error" in str(error) else error
    return None


def unreadable(error: Exception) -> StoreUnavailable:
    """What rocksdict raises while reading, in our words."""
    return StoreUnavailable("the store cannot be read", hint=str(error))


def _database_options(
    options: EmbeddedOptions, *, create: bool, recovery: DBRecoveryMode | None
) -> Options:
    database = Options(raw_mode=True)
    database.create_if_missing(create)
    database.create_missing_column_families(create)
    database.set_paranoid_checks(True)
    database.set_max_total_wal_size(options.wal_bytes_max)
    database.set_max_open_files(_OPEN_FILES_MAX)
    database.set_keep_log_file_num(4)
    database.set_max_log_file_size(4 * MIB)
    database.set_stats_dump_period_sec(0)
    # Writing files out may take as long as it needs; whoever waits for an answer may not.
    background = Env()
    background.lower_thread_pool_cpu_priority()
    background.lower_high_priority_thread_pool_cpu_priority()
    database.set_env(background)
    database.set_wal_recovery_mode(recovery or DBRecoveryMode.tolerate_corrupted_tail_records())
    return database


def _table_options(options: EmbeddedOptions, cache: Cache) -> Options:
    blocks = BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_bloom_filter(_BLOOM_BITS, False)
    # In parts: the whole filter of a large file is larger than one of the shards that the cache is
    # made of, and would be read anew for each look at a message id.
    blocks.set_index_type(BlockBasedIndexType.two_level_index_search())
    blocks.set_partition_filters(True)
    blocks.set_metadata_block_size(_METADATA_BLOCK_BYTES)
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_pin_top_level_index_and_filter(True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table = Options(raw_mode=True)
    table.set_block_based_table_factory(blocks)
    table.set_compression_type(DBCompressionType.lz4())
    table.set_write_buffer_size(options.memtable_bytes)
    table.set_max_write_buffer_number(_MEMTABLES_MAX)
    # Files full of graves are rewritten without waiting for their turn.
    table.add_compact_on_deletion_collector_factory(_GRAVES_WINDOW, _GRAVES_WINDOW // 2, 0.5)
    table.set_level_zero_slowdown_writes_trigger(_LEVEL0_FILES_STOP)
    table.set_level_zero_stop_writes_trigger(_LEVEL0_FILES_STOP)
    return table
