"""A log torn at its end is told from one that is damaged in the middle."""

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from mobilesync.storage.embedded.options import EmbeddedOptions
from mobilesync.storage.embedded.tables import Tables
from mobilesync.storage.embedded.wal import _masked_crc32c, only_the_end_is_torn

RECORDS = 40
Damage = Callable[[bytearray, int], None]


def crashed(tables: Tables, tmp_path: Path, size: int) -> Path:
    """A database as it is after the process was killed: all is in the log."""
    chance = Random(size)
    for number in range(RECORDS):
        batch = tables.batch()
        batch.put(b"oplog%d" % number, chance.randbytes(size), tables.in_oplogs)
        batch.put(b"head", b"%d" % number, tables.in_heads)
        tables.write(batch)
        tables.sync()
    copy = tmp_path / "crashed"
    shutil.copytree(tmp_path / "database", copy)
    tables.close()
    return copy


def log_of(database: Path) -> Path:
    return max(database.glob("*.log"), key=lambda path: path.stat().st_size)


def record_begins(log: bytes) -> list[int]:
    """Where the records of a sound log begin."""
    begins, at = [], 0
    while at + 7 <= len(log):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(log[at + 4 : at + 6], "little"), log[at + 6]
        if kind in (1, 2):
            begins.append(at)
        at += 7 + length
    return begins


def flip(data: bytearray, at: int) -> None:
    data[at] ^= 0x10


def zero(data: bytearray, at: int) -> None:
    data[at : at + 50] = bytes(len(data[at : at + 50]))


@pytest.mark.parametrize("size", [10, 3_000, 70_000])
@pytest.mark.parametrize("damage", [flip, zero])
def test_every_place_of_the_log(tables: Tables, tmp_path: Path, size: int, damage: Damage) -> None:
    database = crashed(tables, tmp_path, size)
    log = log_of(database)
    good = log.read_bytes()
    begins = record_begins(good)
    assert len(begins) == RECORDS
    chance = Random(size)
    for _ in range(40):
        at = chance.choice(
            [chance.randrange(len(good) - 60), chance.randrange(begins[-1], len(good))]
        )
        data = bytearray(good)
        damage(data, at)
        if data == good:
            continue
        log.write_bytes(data)
        # RocksDB recovers all records before the broken one.
        before = sum(begin <= at for begin in begins) - 1
        torn = only_the_end_is_torn(database, 2 * before)
        assert torn == (before == RECORDS - 1), (at, before)


def test_a_sound_log_and_an_empty_one(tables: Tables, tmp_path: Path) -> None:
    database = crashed(tables, tmp_path, 3_000)
    assert only_the_end_is_torn(database, 2 * RECORDS)
    log_of(database).write_bytes(b"")
    assert only_the_end_is_torn(database, 0)


@pytest.mark.parametrize("size", [10, 3_000, 70_000])
def test_a_cut_anywhere_in_the_last_record_is_torn(
    tables: Tables, tmp_path: Path, size: int
) -> None:
    database = crashed(tables, tmp_path, size)
    log = log_of(database)
    good = log.read_bytes()
    for cut in range(1, len(good) // RECORDS, max(1, size // 20)):
        log.write_bytes(good[:-cut])
        assert only_the_end_is_torn(database, 2 * RECORDS - 2), cut


def test_a_broken_record_in_one_log_and_a_whole_one_in_the_next(
    tables: Tables, tmp_path: Path
) -> None:
    database = crashed(tables, tmp_path, 100)
    log = log_of(database)
    good = log.read_bytes()
    half = bytearray(good)
    half[-5] ^= 1
    log.write_bytes(half)
    assert only_the_end_is_torn(database, 2 * RECORDS - 2)
    (database / "999999.log").write_bytes(good)
    assert not only_the_end_is_torn(database, 2 * RECORDS - 2)


def test_the_checksum_is_the_one_of_the_format() -> None:
    # CRC-32C of "123456789" is 0xE3069283; the format rotates it and adds a constant.
    crc = 0xE3069283
    rotated = ((crc >> 15) | (crc << 17)) & 0xFFFFFFFF
    assert _masked_crc32c(b"123456789") == (rotated + 0xA282EAD8) & 0xFFFFFFFF


def test_rocksdb_agrees_on_what_it_recovers(tables: Tables, tmp_path: Path) -> None:
    database = crashed(tables, tmp_path, 100)
    log = log_of(database)
    data = bytearray(log.read_bytes())
    data[-5] ^= 1
    log.write_bytes(data)
    with pytest.raises(Exception, match="Corruption"):
        Tables(database, EmbeddedOptions())
