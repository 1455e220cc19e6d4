"""The local transaction that a transactional handler works in.

Strategy: the handler's statements run on the SDK's own connection, between a BEGIN and a COMMIT
that also removes the oplog from the inbox: both happen or neither. While the handler runs, SQLite
itself refuses whatever would end the transaction or change the SDK's tables.

Not here: who may write while it is open (dispatcher.py holds a gate).
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mobilesync.client.errors import StoreUnavailable

_OURS = "mobilesync_"
_FORBIDDEN = frozenset(
    {
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_SAVEPOINT,
        sqlite3.SQLITE_ATTACH,
        sqlite3.SQLITE_DETACH,
        sqlite3.SQLITE_PRAGMA,
    }
)
# Primary codes of what is the device's trouble and not the handler's fault.
_PASSING = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY})

Values = Sequence[Any] | dict[str, Any]


class Transaction:
    """SQL for one handler call, on tables of the app's own. Keep it short: until the handler
    returns, the device saves nothing else."""

    def __init__(self, sql: sqlite3.Connection) -> None:
        self._sql: sqlite3.Connection | None = sql

    def execute(self, statement: str, values: Values = ()) -> sqlite3.Cursor:
        """Run one statement. Raises sqlite3.Error; sqlite3.DatabaseError "not authorized" for what
        would end the transaction or change tables that begin with `mobilesync_`."""
        with _passing_errors():
            return self._open().execute(statement, values)

    def executemany(self, statement: str, values: Iterable[Values]) -> sqlite3.Cursor:
        """Run one statement for each of `values`. Raises as `execute` does."""
        with _passing_errors():
            return self._open().executemany(statement, values)

    def _open(self) -> sqlite3.Connection:
        if self._sql is None:
            raise sqlite3.ProgrammingError("the handler has returned: its transaction is over")
        return self._sql

    @contextmanager
    def guarded(self) -> Iterator["Transaction"]:
        """While this is open, the connection is the handler's, within its limits."""
        sql = self._open()
        sql.set_authorizer(_authorize)
        try:
            yield self
        finally:
            self._sql = None
            sql.set_authorizer(None)


def _authorize(
    action: int, first: str | None, second: str | None, database: str | None, inner: str | None
) -> int:
    if action in _FORBIDDEN:
        return sqlite3.SQLITE_DENY
    # Reading is harmless, and the SDK itself reads while the handler waits for something.
    if action == sqlite3.SQLITE_READ:
        return sqlite3.SQLITE_OK
    if any(name and name.lower().startswith(_OURS) for name in (first, second)):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


@contextmanager
def _passing_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        # The low byte of an extended code is the primary one.
        if error.sqlite_errorcode & 0xFF in _PASSING:
            raise StoreUnavailable(f"the local store cannot be written: {error}") from error
        raise
