"""What a transactional handler may do."""

import sqlite3
from collections.abc import Callable

import pytest

from mobilesync.client.errors import StoreUnavailable
from mobilesync.client.local_store import LocalStore
from mobilesync.client.transaction import Transaction
from tests.client.scripted import EPOCH, push


@pytest.fixture
def sql() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE mine (a)")
    return connection


@pytest.fixture
def store(sql: sqlite3.Connection) -> LocalStore:
    made = LocalStore(sql, app="demo", device="d1")
    made.apply([push(0, 1, 2)], EPOCH)
    return made


def taken(store: LocalStore) -> int:
    row = store.take(("CHAT", "user:alice"))
    assert row is not None
    return row.key


def delete_and_fail(tx: Transaction) -> None:
    tx.execute("DELETE FROM mine")
    raise ZeroDivisionError


def test_it_happens_with_the_mark_or_not_at_all(sql: sqlite3.Connection, store: LocalStore) -> None:
    with store.handling(taken(store)) as tx:
        tx.execute("INSERT INTO mine VALUES (?)", (1,))
        tx.executemany("INSERT INTO mine VALUES (?)", [(2,), (3,)])
        assert tx.execute("SELECT count(*) FROM mine").fetchone() == (3,)
    assert store.inbox_count == 1
    with pytest.raises(ZeroDivisionError), store.handling(taken(store)) as tx:
        delete_and_fail(tx)
    assert store.inbox_count == 1
    assert sql.execute("SELECT a FROM mine").fetchall() == [(1,), (2,), (3,)]


@pytest.mark.parametrize(
    "statement",
    [
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT mine",
        "PRAGMA synchronous = OFF",
        "ATTACH ':memory:' AS other",
        "DELETE FROM mobilesync_inbox",
        "UPDATE mobilesync_channel SET received = 0",
        "DROP TABLE mobilesync_meta",
        "CREATE TABLE mobilesync_more (a)",
    ],
)
def test_it_cannot_break_out(sql: sqlite3.Connection, store: LocalStore, statement: str) -> None:
    key = taken(store)
    with store.handling(key) as tx:
        tx.execute("INSERT INTO mine VALUES (1)")
        with pytest.raises(sqlite3.DatabaseError):
            tx.execute(statement)
    assert sql.execute("SELECT a FROM mine").fetchall() == [(1,)]
    assert store.inbox_count == 1
    assert store.point(("CHAT", "user:alice")).received == 2


def test_it_may_make_tables(store: LocalStore) -> None:
    with store.handling(taken(store)) as tx:
        tx.execute("CREATE TABLE IF NOT EXISTS more (a)")
        tx.execute("INSERT INTO more VALUES (1)")


def test_it_is_over_when_the_handler_returns(store: LocalStore) -> None:
    with store.handling(taken(store)) as tx:
        pass
    with pytest.raises(sqlite3.ProgrammingError, match="over"):
        tx.execute("SELECT 1")


def test_the_store_reads_meanwhile_and_writes_afterwards(store: LocalStore) -> None:
    with store.handling(taken(store)):
        assert store.point(("CHAT", "user:alice")).received == 2
        assert store.parked(["user:alice"]) == []
    store.apply([push(2, 3)], EPOCH)


def test_a_handlers_own_mistake_stays_its_own(store: LocalStore) -> None:
    with store.handling(taken(store)) as tx:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            tx.execute("SELECT * FROM nowhere")


def fill(tx: Transaction) -> None:
    tx.execute("INSERT INTO mine VALUES (zeroblob(1000000))")


def fill_many(tx: Transaction) -> None:
    tx.executemany("INSERT INTO mine VALUES (?)", [("x" * 100_000,) for _ in range(10)])


@pytest.mark.parametrize("write", [fill, fill_many])
def test_a_full_disk_is_not_the_handlers_fault(
    sql: sqlite3.Connection, store: LocalStore, write: Callable[[Transaction], None]
) -> None:
    key = taken(store)
    pages = sql.execute("PRAGMA page_count").fetchone()[0]
    sql.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable), store.handling(key) as tx:
        write(tx)
    assert store.inbox_count == 2
