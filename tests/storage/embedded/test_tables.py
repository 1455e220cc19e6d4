"""The open database: ranges, batches, and errors that are told."""

from pathlib import Path

import pytest

from mobilesync.domain.errors import StoreUnavailable
from mobilesync.storage.embedded.options import EmbeddedOptions
from mobilesync.storage.embedded.tables import NAMES, Tables


def fill(tables: Tables, count: int, size: int = 100) -> None:
    batch = tables.batch()
    for number in range(count):
        batch.put(b"k%06d" % number, b"v" * size, tables.in_oplogs)
    tables.write(batch)
    tables.sync()


def keys_of(tables: Tables, begin: bytes, end: bytes) -> list[bytes]:
    return [key for key, _ in tables.scan(tables.oplogs, begin, end)]


def test_scan_is_from_begin_to_before_end(tables: Tables) -> None:
    fill(tables, 10)
    assert keys_of(tables, b"k000003", b"k000006") == [b"k000003", b"k000004", b"k000005"]
    assert keys_of(tables, b"k000008", b"z") == [b"k000008", b"k000009"]
    assert keys_of(tables, b"x", b"z") == []
    assert tables.get(tables.oplogs, b"k000001") == b"v" * 100
    assert tables.get(tables.oplogs, b"k") is None
    tables.close()


def newest_of(tables: Tables, begin: bytes, end: bytes) -> list[bytes]:
    return list(tables.newest(tables.oplogs, begin, end))


@pytest.mark.parametrize("flushed", [False, True])
def test_newest_is_from_before_end_down_to_begin(tables: Tables, flushed: bool) -> None:
    fill(tables, 10)
    if flushed:
        tables.flush()
    assert newest_of(tables, b"k000003", b"k000006") == [b"k000005", b"k000004", b"k000003"]
    assert newest_of(tables, b"k000008", b"z") == [b"k000009", b"k000008"]
    assert newest_of(tables, b"a", b"k000001") == [b"k000000"]
    assert newest_of(tables, b"x", b"z") == []
    assert newest_of(tables, b"a", b"b") == []
    tables.close()


def test_a_batch_is_one_over_all_tables(tables: Tables, tmp_path: Path) -> None:
    batch = tables.batch()
    for name in NAMES:
        batch.put(b"key", name.encode(), getattr(tables, f"in_{name}"))
    tables.write(batch)
    tables.sync()
    tables.close()
    again = Tables(tmp_path / "database", EmbeddedOptions())
    for name in NAMES:
        assert again.get(getattr(again, name), b"key") == name.encode()
    again.close()


def test_closing_lets_the_next_one_in_although_a_scan_was_left(
    tables: Tables, tmp_path: Path
) -> None:
    fill(tables, 10)
    next(tables.scan(tables.oplogs, b"", b"z"))
    tables.close()
    Tables(tmp_path / "database", EmbeddedOptions()).close()


def test_a_damaged_block_is_told_and_never_taken_for_the_end(
    tables: Tables, tmp_path: Path
) -> None:
    fill(tables, 2000, size=500)
    tables.flush()
    tables.close()
    file = max((tmp_path / "database").glob("*.sst"), key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 0xFF
    file.write_bytes(data)
    again = Tables(tmp_path / "database", EmbeddedOptions())
    with pytest.raises(StoreUnavailable) as refusal:
        keys_of(again, b"", b"z")
    assert "Corruption" in refusal.value.hint
    with pytest.raises(StoreUnavailable):
        newest_of(again, b"", b"z")
    refused = 0
    for number in range(2000):
        try:
            assert again.get(again.oplogs, b"k%06d" % number) is not None
        except StoreUnavailable:
            refused += 1
    assert 0 < refused < 2000
    again.close()


def test_disk_bytes_count_tables_and_log(tables: Tables) -> None:
    before = tables.disk_bytes()
    fill(tables, 1000, size=1000)
    assert tables.disk_bytes() > before + 900_000
    tables.close()


def test_read_only_sees_what_only_the_log_holds(tables: Tables, tmp_path: Path) -> None:
    fill(tables, 3)
    reader = Tables(tmp_path / "database", EmbeddedOptions(), read_only=True)
    assert len(keys_of(reader, b"", b"z")) == 3
    assert reader.last_write() == tables.last_write() == 3
    reader.close()
    tables.close()


def _read_bytes() -> int:
    """What this process has read so far, from wherever."""
    words = Path("/proc/self/io").read_text(encoding="ascii").split()
    return int(words[words.index("rchar:") + 1])


def test_a_look_at_a_large_table_reads_little_however_small_the_cache_is(tmp_path: Path) -> None:
    options = EmbeddedOptions(block_cache_bytes=256 * 1024)
    tables = Tables(tmp_path / "large", options, create=True)
    for begin in range(0, 400_000, 20_000):
        batch = tables.batch()
        for number in range(begin, begin + 20_000):
            batch.put(_spread(number), b"v" * 50, tables.in_message_ids)
        tables.write(batch)
        if begin % 100_000 == 0:
            tables.flush()
    tables.flush()
    # Merged into files below level 0, for that one's filters are kept anyway.
    tables.compact(tables.message_ids, b"", b"z")
    looks = 500

    before = _read_bytes()
    for number in range(looks):
        assert tables.get(tables.message_ids, _spread(number) + b"a") is None
        # What is found takes the place of something else in the cache.
        assert tables.get(tables.message_ids, _spread(number * 700)) is not None

    # A filter of all 400,000 keys takes half a megabyte.
    assert (_read_bytes() - before) / looks < 64 * 1024
    tables.close()


def _spread(number: int) -> bytes:
    return b"%08d" % (number * 7919 % 10_000_000)


def nice_of_threads(name: str) -> set[int]:
    """The priority of this process's threads that the kernel knows by `name`."""
    found: set[int] = set()
    for stat in Path("/proc/self/task").glob("*/stat"):
        before, _, fields = stat.read_text().rpartition(") ")
        if before.endswith(f"({name}"):
            found.add(int(fields.split()[16]))
    return found


def test_writing_files_out_yields_to_serving(tables: Tables) -> None:
    for _ in range(2):
        fill(tables, 1000)
        tables.flush()
    tables.compact(tables.oplogs, b"a", b"z")
    # A thread takes its priority with its first work.
    assert nice_of_threads("rocksdb:high") == {19}
    assert nice_of_threads("rocksdb:low") == {19}
    tables.close()
