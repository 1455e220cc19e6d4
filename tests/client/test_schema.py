"""Who may open a local store, and what SQLite's errors mean."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from mobilesync.client import schema
from mobilesync.client.errors import StoreDamaged, StoreRefused, StoreUnavailable
from mobilesync.client.events import ReceivedOplog
from mobilesync.client.local_store import LocalStore
from mobilesync.protocol import messages as m

STORES = Path(__file__).parent / "stores"
"""Files that earlier formats of the SDK wrote, untouched."""


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
    sql.execute("UPDATE mobilesync_meta SET value = '3' WHERE key = 'version'")
    with pytest.raises(StoreRefused, match="format 3"):
        schema.prepare(sql, "demo", "d1")
    assert sql.execute("SELECT value FROM mobilesync_meta WHERE key='version'").fetchone() == ("3",)
    sql.close()


def old_store(folder: Path) -> sqlite3.Connection:
    """A store that the first SDK wrote, as it lies on a device."""
    path = folder / "store.sqlite"
    shutil.copy(STORES / "format-1.sqlite", path)
    return schema.connect(path)


def columns(sql: sqlite3.Connection) -> dict[str, list[object]]:
    tables = ("mobilesync_meta", "mobilesync_channel", "mobilesync_inbox")
    return {each: sql.execute(f"PRAGMA table_info({each})").fetchall() for each in tables}


def test_the_store_of_an_older_sdk_is_brought_up_to_date(tmp_path: Path) -> None:
    sql = old_store(tmp_path)
    before = sql.execute("SELECT * FROM mobilesync_inbox").fetchall()
    schema.prepare(sql, "demo", "d1")
    new = schema.connect(":memory:")
    schema.prepare(new, "demo", "d1")
    assert columns(sql) == columns(new)
    assert sql.execute("SELECT * FROM mobilesync_meta").fetchall() == (
        new.execute("SELECT * FROM mobilesync_meta").fetchall()
    )
    after = sql.execute("SELECT * FROM mobilesync_inbox").fetchall()
    assert after == [(*row, "", "", 0) for row in before]
    new.close()
    sql.close()


def test_what_an_older_sdk_left_behind_is_handled(tmp_path: Path) -> None:
    sql = old_store(tmp_path)
    store = LocalStore(sql, app="demo", device="d1")
    assert [(each.biz, each.received, each.processed) for each in store.points(["user:alice"])] == [
        ("CHAT", 5, 2),
        ("PAY", 20, 8),
    ]
    assert [each.oplog.id for each in store.parked(["user:alice"])] == [2]
    assert store.recover(9, 0) == []
    # The third call of the old life was cut off.
    row = store.take(("CHAT", "user:alice"))
    assert row is not None
    assert row.item == ReceivedOplog("CHAT", "user:alice", 3, b"3", "m3", 1003, 2, 7)
    withdraws = m.Withdrawal([m.IdRange(2, 2), m.IdRange(5, 5)], 1)
    oplog = m.PushedOplog(6, 5, b"", withdraws=withdraws)
    store.apply([m.Push("CHAT", "user:alice", 5, 6, [oplog])], 7)
    assert store.parked_count() == 0
    store.close()
    sql.close()


@pytest.mark.parametrize("app, device", [("other", "d1"), ("demo", "d2")])
def test_an_old_store_of_another_device_stays_as_it_is(
    tmp_path: Path, app: str, device: str
) -> None:
    sql = old_store(tmp_path)
    before = list(sql.iterdump())
    with pytest.raises(StoreRefused, match="belongs to"):
        schema.prepare(sql, app, device)
    assert list(sql.iterdump()) == before
    sql.close()


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = old_store(tmp_path)
    before = list(sql.iterdump())
    broken = (*schema._MIGRATIONS[1], "INSERT INTO nowhere VALUES (1)")
    with monkeypatch.context() as patched:
        patched.setattr(schema, "_MIGRATIONS", {1: broken})
        with pytest.raises(StoreUnavailable):
            schema.prepare(sql, "demo", "d1")
    assert list(sql.iterdump()) == before
    schema.prepare(sql, "demo", "d1")
    sql.close()


@pytest.mark.parametrize(
    "change", ["DELETE FROM mobilesync_meta", "UPDATE mobilesync_meta SET value = '0'"]
)
def test_a_store_without_a_version_is_damaged(tmp_path: Path, change: str) -> None:
    sql = prepared(tmp_path / "store.sqlite")
    sql.execute(change)
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
