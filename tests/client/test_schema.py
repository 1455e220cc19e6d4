"""Who may open a local store, and what SQLite's errors mean."""

import sqlite3
from pathlib import Path

import pytest

from mobilesync.client import schema
from mobilesync.client.errors import StoreDamaged, StoreRefused, StoreUnavailable


def prepared(path: Path) -> sqlite3.Connection:
    sql = schema.connect(path)
    schema.prepare(sql, "demo", "d1")
    return sql


def test_a_store_is_safe_against_power_cuts(tmp_path: Path) -> None:
    sql = prepared(tmp_path / "store.sqlite")
    assert sql.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert sql.execute("PRAGMA synchronous").fetchone() == (2,)
    sql.close()


def test_it_is_prepared_once(tmp_path: Path) -> None:
    for _ in range(2):
        prepared(tmp_path / "store.sqlite").close()


@pytest.mark.parametrize("app, device", [("other", "d1"), ("demo", "d2")])
def test_another_app_or_device_is_refused(tmp_path: Path, app: str, device: str) -> None:
    prepared(tmp_path / "store.sqlite").close()
    sql = schema.connect(tmp_path / "store.sqlite")
    with pytest.raises(StoreRefused, match="belongs to app 'demo', device 'd1'") as refused:
        schema.prepare(sql, app, device)
    assert "own path" in refused.value.hint
    sql.close()


def test_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    sql = prepared(path)
    sql.execute("UPDATE mobilesync_meta SET value = '2' WHERE key = 'version'")
    with pytest.raises(StoreRefused, match="format 2"):
        schema.prepare(sql, "demo", "d1")
    assert sql.execute("SELECT value FROM mobilesync_meta WHERE key='version'").fetchone() == ("2",)
    sql.close()


def test_a_store_without_a_version_is_damaged(tmp_path: Path) -> None:
    sql = prepared(tmp_path / "store.sqlite")
    sql.execute("DELETE FROM mobilesync_meta")
    with pytest.raises(StoreDamaged):
        schema.prepare(sql, "demo", "d1")
    sql.close()


def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    sql = schema.connect(path)
    with pytest.raises(StoreDamaged) as damaged:
        schema.prepare(sql, "demo", "d1")
    assert "move the file away" in damaged.value.hint
    sql.close()


def test_nobody_else_reads_it(tmp_path: Path) -> None:
    sql = prepared(tmp_path / "store.sqlite")
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file.name
    sql.close()


def test_an_app_may_keep_its_own_tables_in_the_file(tmp_path: Path) -> None:
    sql = sqlite3.connect(tmp_path / "store.sqlite")
    sql.execute("CREATE TABLE mine (a)")
    sql.execute("INSERT INTO mine VALUES (1)")
    sql.commit()
    schema.prepare(sql, "demo", "d1")
    assert sql.execute("SELECT * FROM mine").fetchall() == [(1,)]
    sql.close()


def test_what_an_abrupt_end_left_open_is_rolled_back() -> None:
    sql = sqlite3.connect(":memory:", isolation_level=None)
    schema.prepare(sql, "demo", "d1")
    sql.execute("CREATE TABLE mine (a)")
    sql.execute("BEGIN")
    sql.execute("INSERT INTO mine VALUES (1)")
    schema.prepare(sql, "demo", "d1")
    assert sql.execute("SELECT * FROM mine").fetchall() == []
    sql.close()


def test_one_client_per_file(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    first = schema.lock(path)
    assert first is not None
    with pytest.raises(StoreRefused, match="in use"):
        schema.lock(path)
    first.close()
    again = schema.lock(path)
    assert again is not None
    again.close()
    assert schema.lock(":memory:") is None


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for open_ in (schema.lock, schema.connect):
        with pytest.raises(StoreRefused, match="cannot be opened"):
            open_(tmp_path / "nowhere" / "store.sqlite")


@pytest.mark.parametrize(
    "error, ours",
    [
        (sqlite3.OperationalError("database or disk is full"), StoreUnavailable),
        (sqlite3.DatabaseError("database disk image is malformed"), StoreDamaged),
        (sqlite3.ProgrammingError("a bug"), sqlite3.ProgrammingError),
        (sqlite3.IntegrityError("a bug"), sqlite3.IntegrityError),
        (ValueError("not SQLite's"), ValueError),
    ],
)
def test_errors_are_translated_by_what_can_be_done(error: Exception, ours: type[Exception]) -> None:
    with pytest.raises(ours), schema.translated():
        raise error
