"""Transactions, and the figures that follow them."""

import sqlite3
from pathlib import Path

import pytest

from mobilesync.client.database import Database
from mobilesync.client.errors import StoreRefused, StoreUnavailable

INSERT = (
    "INSERT INTO mobilesync_inbox (channel, kind, epoch, id, published_at_ms, message_id, payload)"
    " VALUES (1, 0, 7, ?, 0, '', ?)"
)


def opened(database: str | Path | sqlite3.Connection = ":memory:") -> Database:
    return Database(database, "demo", "d1")


def add(database: Database, id_: int, payload: bytes) -> None:
    database.rows(INSERT, (id_, payload))
    database.grow(1, len(payload))


def add_and_fail(database: Database) -> None:
    add(database, 1, b"abc")
    raise ZeroDivisionError


def test_figures_change_when_the_transaction_does() -> None:
    database = opened()
    with database.transaction():
        add(database, 1, b"abc")
        add(database, 2, b"")
        assert (database.count, database.bytes) == (0, 0)
    assert (database.count, database.bytes) == (2, 3)
    with database.transaction():
        database.delete("id = ?", 1)
        database.delete("id = ?", 99)
    assert (database.count, database.bytes) == (1, 0)


def test_a_block_that_raises_changes_nothing() -> None:
    database = opened()
    with pytest.raises(ZeroDivisionError), database.transaction():
        add_and_fail(database)
    assert (database.count, database.bytes) == (0, 0)
    assert database.rows("SELECT * FROM mobilesync_inbox") == []
    with database.transaction():
        add(database, 1, b"abc")
    assert database.count == 1


def test_figures_are_read_when_opened(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.sqlite")
    with database.transaction():
        add(database, 1, b"abc")
    database.close()
    database = opened(tmp_path / "store.sqlite")
    assert (database.count, database.bytes) == (1, 3)
    database.close()
    database.close()


def test_a_commit_is_synced_unless_said_otherwise() -> None:
    database = opened()
    for synced, level in ((True, 2), (False, 1), (True, 2)):
        with database.transaction(synced=synced):
            assert database.rows("PRAGMA synchronous") == [(level,)]


def test_a_full_disk_is_no_change(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.sqlite")
    pages = database.rows("PRAGMA page_count")[0][0]
    database.rows(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreUnavailable), database.transaction():
        add(database, 1, b"x" * 100_000)
    assert (database.count, database.rows("SELECT id FROM mobilesync_inbox")) == (0, [])
    with database.transaction():
        add(database, 1, b"x")
    database.close()


def test_somebody_elses_transaction_is_waited_for_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mobilesync.client.schema.BUSY_TIMEOUT_S", 0.01)
    database = opened(tmp_path / "store.sqlite")
    other = sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable), database.transaction():
        add(database, 1, b"x")
    other.execute("ROLLBACK")
    other.close()
    with database.transaction():
        add(database, 1, b"x")
    database.close()


def test_a_connection_that_was_passed_in_stays_open() -> None:
    sql = sqlite3.connect(":memory:")
    opened(sql).close()
    assert sql.execute("SELECT count(*) FROM mobilesync_inbox").fetchone() == (0,)
    sql.close()


def test_a_refused_store_is_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    opened(path).close()
    with pytest.raises(StoreRefused):
        Database(path, "demo", "d2")
    opened(path).close()
