"""The SDK's local store that writes history in its own transactions, and may die in them.

Strategy: what a transaction makes durable is noted in a table of the same file by the same
transaction: however the process ends, both are there or neither. So the history says exactly what
the device holds, which no file beside the database could.

A death is a real `kill -9` of this process, before a transaction, inside it (all statements done,
not committed) or after it: the moments "between apply and save" and "between save and ack".
"""

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from mobilesync.client.events import ParkedOplog, ReceivedOplog
from mobilesync.client.inbox import Channel as BizAndTarget
from mobilesync.client.inbox import InboxRow
from mobilesync.client.local_store import LocalStore
from mobilesync.client.transaction import Transaction
from mobilesync.domain.channel import Channel
from mobilesync.protocol.messages import Push, Reset
from mobilesync.sim import history as h
from tests.crash.chronicle import Moment, from_line, now_ms, to_line

Seam = Literal["apply", "take", "finish", "handler"]
When = Literal["before", "inside", "after"]
_TABLES = (
    "CREATE TABLE IF NOT EXISTS history (fact BLOB)",
    "CREATE TABLE IF NOT EXISTS done (target TEXT, epoch INTEGER, id INTEGER)",
)


class Death(NamedTuple):
    """Where the process is to die: at the `passage`-th time that it comes there."""

    seam: Seam
    when: When
    passage: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The opposite of str()."""
        seam, when, passage = text.split(":")
        return cls(seam, when, int(passage))  # type: ignore[arg-type]  # the test wrote it

    def __str__(self) -> str:
        return f"{self.seam}:{self.when}:{self.passage}"


class Fate:
    """Whether and where this process dies."""

    def __init__(self, death: Death | None) -> None:
        self._death = death
        self._passed = 0

    def pass_by(self, seam: Seam, when: When) -> None:
        """Dies here when it is time: nothing is flushed, nothing is said."""
        if self._death is None or self._death[:2] != (seam, when):
            return
        self._passed += 1
        if self._passed == self._death.passage:
            os.kill(os.getpid(), signal.SIGKILL)


class _Connection(sqlite3.Connection):
    """Calls `before_commit` inside every transaction, at its end."""

    before_commit: Callable[[], None] | None = None

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql == "COMMIT" and self.before_commit is not None:
            self.before_commit()
        return super().execute(sql, parameters)


class RecordedStore(LocalStore):
    """A LocalStore in a file, whose history is in the file too."""

    def __init__(self, path: Path, *, app: str, device: str, fate: Fate) -> None:
        self._name = f"{app}/{device}"
        self._of_app = app
        self._fate = fate
        self._seam: Seam | None = None
        self._notes: list[h.Fact] = []
        self._taken: dict[int, ReceivedOplog] = {}
        self._connection = sqlite3.connect(path, isolation_level=None, factory=_Connection)
        for table in _TABLES:
            self._connection.execute(table)
        super().__init__(self._connection, app=app, device=device)
        self._connection.before_commit = self._before_commit

    def close(self) -> None:
        super().close()
        self._connection.close()

    def apply(self, pushes: Sequence[Push], epoch: int) -> None:
        facts = [
            h.Saved(
                *(now_ms(), self._name, Channel(self._of_app, push.biz, push.target), epoch),
                *(push.after, push.upto, tuple(oplog.id for oplog in push.oplogs)),
            )
            for push in pushes
        ]
        with self._passing("apply", facts):
            super().apply(pushes, epoch)

    def reset(self, reset: Reset) -> None:
        channel = Channel(self._of_app, reset.biz, reset.target)
        to = (reset.epoch, reset.floor, reset.reason)
        with self._passing("apply", [h.WasReset(now_ms(), self._name, channel, *to)]):
            super().reset(reset)

    def take(self, channel: BizAndTarget) -> InboxRow | None:
        with self._passing("take", []):
            row = super().take(channel)
        if row is not None and isinstance(row.item, ReceivedOplog):
            self._taken[row.key] = row.item
        return row

    def finish(self, keys: Sequence[int]) -> None:
        with self._passing("finish", self._marks(keys)):
            super().finish(keys)

    @contextmanager
    def handling(self, key: int) -> Iterator[Transaction]:
        with self._passing("finish", self._marks([key])), super().handling(key) as transaction:
            yield transaction

    def recover(self, attempts_max: int, now_ms: int) -> list[ParkedOplog]:
        parked = super().recover(attempts_max, now_ms)
        assert not parked, "no process is killed so often"
        return parked

    def _marks(self, keys: Sequence[int]) -> list[h.Fact]:
        items = [self._taken[key] for key in keys if key in self._taken]
        return [
            h.Marked(
                *(now_ms(), self._name, Channel(self._of_app, item.biz, item.target)),
                *(item.id, item.message_id, item.epoch),
            )
            for item in items
        ]

    @contextmanager
    def _passing(self, seam: Seam, facts: Sequence[h.Fact]) -> Iterator[None]:
        self._fate.pass_by(seam, "before")
        self._seam, self._notes = seam, list(facts)
        try:
            yield
        finally:
            self._seam, self._notes = None, []
        self._fate.pass_by(seam, "after")

    def _before_commit(self) -> None:
        rows = [(to_line(fact),) for fact in self._notes]
        self._connection.executemany("INSERT INTO history VALUES (?)", rows)
        if self._seam is not None:
            self._fate.pass_by(self._seam, "inside")


def read_history(path: Path) -> list[Moment]:
    """What a device has made durable. Its process must have ended."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT fact FROM history").fetchall()
    return [from_line(line) for (line,) in rows]


def done_twice(path: Path) -> list[tuple[str, int, int]]:
    """Oplogs whose transactional handler had its effect more than once: (target, epoch, id)."""
    select = "SELECT target, epoch, id FROM done GROUP BY 1, 2, 3 HAVING count(*) > 1"
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(select).fetchall()
