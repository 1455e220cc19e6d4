"""The SQLite file under the local store: open, one transaction at a time, and how full it is.

Not here: what the transactions do (local_store.py), the tables (schema.py).

Invariant: `count` and `bytes` change exactly when a transaction that changes the inbox commits.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mobilesync.client import schema


class Database:
    """One connection, which may have been passed in and then stays open."""

    def __init__(self, database: str | Path | sqlite3.Connection, app: str, device: str) -> None:
        """Raises StoreRefused, StoreDamaged, StoreUnavailable; then nothing stays open."""
        self._lock = None
        self._given = isinstance(database, sqlite3.Connection)
        if isinstance(database, sqlite3.Connection):
            self.sql = database
        else:
            self._lock = schema.lock(database)
            try:
                self.sql = schema.connect(database)
            except BaseException:
                self._unlock()
                raise
        # What the open transaction adds to the two figures below.
        self._more = (0, 0)
        self.count: int = 0
        """Rows in the inbox."""
        self.bytes: int = 0
        """Bytes of their payloads."""
        try:
            schema.prepare(self.sql, app, device)
            sizes = "SELECT count(*), coalesce(sum(length(payload)), 0) FROM mobilesync_inbox"
            self.count, self.bytes = self.rows(sizes)[0]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        if not self._given:
            self.sql.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; all that it answers. Raises StoreUnavailable, StoreDamaged."""
        with schema.translated():
            return self.sql.execute(statement, values).fetchall()

    def run_many(self, statement: str, values: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each of `values`. Raises StoreUnavailable, StoreDamaged."""
        with schema.translated():
            self.sql.executemany(statement, values)

    def insert(self, statement: str, values: Sequence[Any]) -> int:
        """Insert one row; its number. Raises StoreUnavailable, StoreDamaged."""
        with schema.translated():
            number = self.sql.execute(statement, values).lastrowid
        assert number is not None
        return number

    def delete(self, where: str, *values: int) -> None:
        """Remove inbox rows, and count them."""
        remove = "DELETE FROM mobilesync_inbox"
        for (size,) in self.rows(f"{remove} WHERE {where} RETURNING length(payload)", values):
            self.grow(-1, -size)

    def grow(self, count: int, size: int) -> None:
        """The open transaction has added inbox rows."""
        self._more = (self._more[0] + count, self._more[1] + size)

    @contextmanager
    def transaction(self, *, synced: bool = True) -> Iterator[None]:
        """Everything in the block happens, durably, or nothing. Without `synced` it survives the
        death of the process, but a power cut may undo it.

        Raises StoreUnavailable, StoreDamaged, and what the block raises.
        """
        assert not self.sql.in_transaction, "a transactional handler is at work"
        self._more = (0, 0)
        with schema.translated():
            self.sql.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self.sql.execute("BEGIN IMMEDIATE")
        try:
            yield
            with schema.translated():
                self.sql.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self.sql.execute("ROLLBACK")
            raise
        self.count += self._more[0]
        self.bytes += self._more[1]
        assert self.count >= 0 <= self.bytes
