"""The local store's tables, and who may open them.

Strategy: everything of ours begins with `mobilesync_`, so that an app may keep its own tables in
the same file and write both in one transaction. A store belongs to one (app, device) for good:
sync points of one device mean nothing to another.

Not here: what the rows are for (local_store.py).
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mobilesync.client.errors import StoreDamaged, StoreRefused, StoreUnavailable

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock; two clients there must not share
    fcntl = None  # type: ignore[assignment]  # the module is absent there

VERSION = 2
BUSY_TIMEOUT_S = 1.0
"""How long a write waits for another connection's transaction: it blocks the app's loop."""

_TABLES = """
CREATE TABLE mobilesync_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE mobilesync_channel (
    channel INTEGER PRIMARY KEY,
    biz TEXT NOT NULL,
    target TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    received INTEGER NOT NULL,
    UNIQUE (biz, target)
);
CREATE TABLE mobilesync_inbox (
    arrival INTEGER PRIMARY KEY AUTOINCREMENT,
    channel INTEGER NOT NULL REFERENCES mobilesync_channel,
    kind INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    id INTEGER NOT NULL,
    current_id INTEGER,
    published_at_ms INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    payload BLOB NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    running INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    parked_at_ms INTEGER NOT NULL DEFAULT 0,
    key TEXT NOT NULL DEFAULT '',
    origin_target TEXT NOT NULL DEFAULT '',
    origin_id INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX mobilesync_inbox_current ON mobilesync_inbox (channel, current_id);
CREATE INDEX mobilesync_inbox_order ON mobilesync_inbox (channel, state, arrival);
"""
_MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        "ALTER TABLE mobilesync_inbox ADD COLUMN key TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE mobilesync_inbox ADD COLUMN origin_target TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE mobilesync_inbox ADD COLUMN origin_id INTEGER NOT NULL DEFAULT 0",
    ),
}
"""What makes the next format of each older one."""
assert list(_MIGRATIONS) == list(range(1, VERSION))


@contextmanager
def translated() -> Iterator[None]:
    """SQLite's errors as ours: what may pass is StoreUnavailable, what will not StoreDamaged."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.IntegrityError:
        raise
    except sqlite3.OperationalError as error:
        reason = f"the local store cannot be written: {error}"
        hint = "free some space on the device, or end what else holds the file"
        raise StoreUnavailable(reason, hint=hint) from error
    except sqlite3.DatabaseError as error:
        reason = f"the local store is damaged: {error}"
        hint = "move the file away; the server pushes again what is still valid"
        raise StoreDamaged(reason, hint=hint) from error


def connect(path: str | Path) -> sqlite3.Connection:
    """An SQLite connection to `path` that prepare() accepts."""
    try:
        if str(path) != ":memory:":
            # What was pushed is the user's alone; SQLite gives its other files the same mode.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        return sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        hint = "check that the folder exists and may be written"
        raise StoreRefused(f"the local store cannot be opened: {error}", hint=hint) from error


def lock(path: str | Path) -> BinaryIO | None:
    """Hold `path` against a second client until the returned file is closed.

    Raises StoreRefused when another client, of this process or another, holds it.
    """
    if str(path) == ":memory:" or fcntl is None:
        return None
    try:
        file = open(f"{os.fspath(path)}.lock", "wb")  # noqa: SIM115 - the caller closes it
    except OSError as error:
        hint = "check that the folder exists and may be written"
        raise StoreRefused(f"the local store cannot be opened: {error}", hint=hint) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        hint = "one client per file: close the other one, or give this one its own path"
        raise StoreRefused("the local store is in use by another client", hint=hint) from None
    return file


def prepare(sql: sqlite3.Connection, app: str, device: str) -> None:
    """Make the tables if there are none; check that they are this device's; bring those of an
    older SDK up to date.

    Raises StoreRefused, StoreDamaged, StoreUnavailable; then nothing was changed.
    """
    with translated():
        # What an abrupt end of the last client on this connection left behind.
        if sql.in_transaction:
            sql.rollback()
        sql.isolation_level = None
        sql.set_authorizer(None)
        sql.execute("PRAGMA journal_mode = WAL").fetchone()
        sql.execute("PRAGMA synchronous = FULL")
        known = "SELECT 1 FROM sqlite_schema WHERE name = 'mobilesync_meta'"
        if sql.execute(known).fetchone() is None:
            _create(sql, app, device)
        meta = dict(sql.execute("SELECT key, value FROM mobilesync_meta").fetchall())
    version = _checked_version(meta, app, device)
    if version < VERSION:
        with translated():
            _migrate(sql, version)


def _create(sql: sqlite3.Connection, app: str, device: str) -> None:
    with _all_or_nothing(sql):
        for statement in _TABLES.split(";"):
            sql.execute(statement)
        rows = [("version", str(VERSION)), ("app", app), ("device", device)]
        sql.executemany("INSERT INTO mobilesync_meta VALUES (?, ?)", rows)


def _migrate(sql: sqlite3.Connection, version: int) -> None:
    with _all_or_nothing(sql):
        for old in range(version, VERSION):
            for statement in _MIGRATIONS[old]:
                sql.execute(statement)
        update = "UPDATE mobilesync_meta SET value = ? WHERE key = 'version'"
        sql.execute(update, (str(VERSION),))


@contextmanager
def _all_or_nothing(sql: sqlite3.Connection) -> Iterator[None]:
    sql.execute("BEGIN IMMEDIATE")
    try:
        yield
        sql.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            sql.rollback()
        raise


def _checked_version(meta: dict[str, str], app: str, device: str) -> int:
    version = meta.get("version", "")
    if not version.isdecimal() or int(version) == 0:
        raise StoreDamaged("the local store does not say its version")
    if int(version) > VERSION:
        reason = f"the local store has format {version}, this SDK knows up to {VERSION}"
        raise StoreRefused(reason, hint="install the SDK that wrote it, or a newer one")
    owner = (meta.get("app"), meta.get("device"))
    if owner != (app, device):
        reason = f"the local store belongs to app {owner[0]!r}, device {owner[1]!r}"
        raise StoreRefused(reason, hint="give each app and device its own path")
    return int(version)
