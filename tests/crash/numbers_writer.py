"""`python -m tests.crash.numbers_writer ENGINE FOLDER`: commit 1, 2, 3 …, say which are durable.

Strategy: the smallest program that promises durability: it commits the next few numbers to a real
engine and prints the highest one once the engine says that it is durable. It goes on from what it
finds, and ends with `! the engine's words` when the engine fails. Whoever cuts the power reads the
store back with `read_numbers` and compares it with what was printed.

Not here: Mobilesync's own store. This shows that the disk's cut is one that real engines survive.
"""

import os
import random
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Literal, get_args

from rocksdict import Options, Rdict, WriteBatch

Engine = Literal["rocksdb", "sqlite"]
VALUE_BYTES_MAX = 400
BATCH_COUNT_MAX = 20


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    # Small, so that logs are switched, tables written and compacted within a second's load.
    options.set_write_buffer_size(64 << 10)
    options.set_target_file_size_base(64 << 10)
    options.set_level_zero_file_num_compaction_trigger(2)
    return options


def _rocksdb(folder: Path) -> tuple[list[int], Callable[[list[int], bytes], None]]:
    store = Rdict(str(folder / "rocksdb"), _options())

    def commit(numbers: list[int], value: bytes) -> None:
        batch = WriteBatch(raw_mode=True)
        for number in numbers:
            batch.put(number.to_bytes(8, "big"), value)
        store.write(batch)
        store.flush_wal(True)

    return _numbers_in(store), commit


def _numbers_in(store: Rdict) -> list[int]:
    rows = store.iter()
    rows.seek_to_first()
    found = []
    while rows.valid():
        found.append(int.from_bytes(rows.key(), "big"))
        rows.next()
    rows.status()  # raises if the end was none
    return found


def _sqlite_connection(folder: Path) -> sqlite3.Connection:
    store = sqlite3.connect(folder / "numbers.sqlite", isolation_level=None)
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("PRAGMA synchronous = FULL")
    store.execute("PRAGMA wal_autocheckpoint = 50")
    store.execute("CREATE TABLE IF NOT EXISTS numbers (number INTEGER PRIMARY KEY, value BLOB)")
    return store


def _sqlite(folder: Path) -> tuple[list[int], Callable[[list[int], bytes], None]]:
    store = _sqlite_connection(folder)

    def commit(numbers: list[int], value: bytes) -> None:
        store.execute("BEGIN")
        store.executemany(
            "INSERT INTO numbers VALUES (?, ?)", [(number, value) for number in numbers]
        )
        store.execute("COMMIT")

    rows = store.execute("SELECT number FROM numbers ORDER BY number")
    return [number for (number,) in rows], commit


def read_numbers(engine: Engine, folder: Path) -> list[int]:
    """Recover the store in `folder` and tell what it holds, ascending."""
    if engine == "rocksdb":
        store = Rdict(str(folder / "rocksdb"), _options())
        try:
            return _numbers_in(store)
        finally:
            store.close()
    with closing(_sqlite_connection(folder)) as connection:
        rows = connection.execute("SELECT number FROM numbers ORDER BY number")
        return [number for (number,) in rows]


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    chance = random.Random(name)
    engines = dict(zip(get_args(Engine), (_rocksdb, _sqlite), strict=True))
    try:
        found, commit = engines[name](folder)
        # The folder's own names: engines sync what is in their folder, not the folder above.
        opened = os.open(folder, os.O_RDONLY)
        os.fsync(opened)
        os.close(opened)
        last = found[-1] if found else 0
        while True:
            numbers = list(range(last + 1, last + 1 + chance.randint(1, BATCH_COUNT_MAX)))
            commit(numbers, chance.randbytes(chance.randint(1, VALUE_BYTES_MAX)))
            last = numbers[-1]
            sys.stdout.write(f"{last}\n")
            sys.stdout.flush()
    except Exception as error:  # noqa: BLE001 - rocksdict raises plain Exception
        sys.stdout.write(f"! {error}\n")


if __name__ == "__main__":
    main()
