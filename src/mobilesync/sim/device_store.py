"""The SDK's local store, watched, and deadly at the moments that matter.

Strategy: each public transaction of `LocalStore` is a seam: what it made durable goes into the
history, and just before it, inside it or just after it the app's process may die. A death inside
is real: SQLite is interrupted in the middle of its statements and must roll back.
"""

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from mobilesync.client.errors import StoreUnavailable
from mobilesync.client.events import ParkedOplog, ReceivedOplog
from mobilesync.client.inbox import Channel as BizAndTarget
from mobilesync.client.inbox import InboxRow
from mobilesync.client.local_store import LocalStore
from mobilesync.client.transaction import Transaction
from mobilesync.domain.channel import Channel
from mobilesync.protocol.messages import Push, Reset
from mobilesync.sim import history as h
from mobilesync.sim.chronicle import Chronicle
from mobilesync.sim.loop import Process, ProcessDied

Seam = Literal["apply", "reset", "take", "finish", "fail", "handler"]
Moment = Literal["before", "inside", "after"]
INSIDE_STEPS_MAX = 300
"""SQLite's instructions before a death inside a transaction, at most."""


class Deadly:
    """A death that waits for its moment."""

    def __init__(self, process: Process, rng: random.Random) -> None:
        self.process = process
        self.rng = rng
        self.armed: tuple[Seam, Moment] | None = None
        self.disk_is_full = False
        """While it is, no transaction can be made."""

    def at(self, seam: Seam, moment: Moment) -> bool:
        """Whether the process is to die here and now."""
        return self.armed == (seam, moment)

    def check_alive(self) -> None:
        """A dead process does nothing more. Raises ProcessDied."""
        if not self.process.alive:
            raise ProcessDied

    def check_disk(self) -> None:
        """Raises StoreUnavailable while the device's disk is full."""
        if self.disk_is_full:
            raise StoreUnavailable("no space left on the simulated device")

    def die(self) -> None:
        """Raises ProcessDied."""
        self.process.alive = False
        raise ProcessDied


class WatchedStore(LocalStore):
    """A LocalStore whose transactions are seen, and may be the last."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        app: str,
        device: str,
        chronicle: Chronicle,
        deadly: Deadly,
    ) -> None:
        self._connection = connection
        self._app = app
        self._name = f"{app}/{device}"
        self._chronicle = chronicle
        self._deadly = deadly
        self._taken: dict[int, ReceivedOplog] = {}
        super().__init__(connection, app=app, device=device)

    def apply(self, pushes: Sequence[Push], epoch: int) -> None:
        with self._seam("apply"):
            super().apply(pushes, epoch)
            for push in pushes:
                channel = Channel(self._app, push.biz, push.target)
                ids = tuple(oplog.id for oplog in push.oplogs)
                saved = (epoch, push.after, push.upto, ids)
                self._note(h.Saved(self._chronicle.now_ms(), self._name, channel, *saved))

    def reset(self, reset: Reset) -> None:
        with self._seam("reset"):
            super().reset(reset)
            channel = Channel(self._app, reset.biz, reset.target)
            now_ms = self._chronicle.now_ms()
            to = (reset.epoch, reset.floor, reset.reason)
            self._note(h.WasReset(now_ms, self._name, channel, *to))

    def recover(self, attempts_max: int, now_ms: int) -> list[ParkedOplog]:
        parked = super().recover(attempts_max, now_ms)
        for each in parked:
            self._note_parked(each.oplog)
        return parked

    def take(self, channel: BizAndTarget) -> InboxRow | None:
        with self._seam("take"):
            row = super().take(channel)
            if row is not None and isinstance(row.item, ReceivedOplog):
                self._taken[row.key] = row.item
        return row

    def finish(self, keys: Sequence[int]) -> None:
        with self._seam("finish"):
            super().finish(keys)
            self._note_marked(keys)

    @contextmanager
    def handling(self, key: int) -> Iterator[Transaction]:
        self._deadly.check_alive()
        self._deadly.check_disk()
        with super().handling(key) as transaction:
            yield transaction
        self._note_marked([key])
        if self._deadly.at("finish", "after"):
            self._deadly.die()

    def fail(self, key: int, error: str, parked_at_ms: int | None) -> None:
        with self._seam("fail"):
            super().fail(key, error, parked_at_ms)
            if parked_at_ms is not None and key in self._taken:
                self._note_parked(self._taken[key])

    @contextmanager
    def _seam(self, seam: Seam) -> Iterator[None]:
        deadly = self._deadly
        deadly.check_alive()
        deadly.check_disk()
        if deadly.at(seam, "before"):
            deadly.die()
        if not deadly.at(seam, "inside"):
            yield
        else:
            steps = deadly.rng.randint(1, INSIDE_STEPS_MAX)
            self._connection.set_progress_handler(lambda: 1, steps)
            try:
                yield
            except StoreUnavailable:
                # Interrupted and rolled back: nothing of it may be there.
                deadly.die()
            finally:
                self._connection.set_progress_handler(None, 0)
        if deadly.at(seam, "after") or deadly.at(seam, "inside"):
            deadly.die()

    def _note_marked(self, keys: Sequence[int]) -> None:
        for key in keys:
            item = self._taken.pop(key, None)
            if item is not None:
                channel = Channel(self._app, item.biz, item.target)
                named = (item.id, item.message_id, item.epoch)
                self._note(h.Marked(self._chronicle.now_ms(), self._name, channel, *named))

    def _note_parked(self, oplog: ReceivedOplog) -> None:
        channel = Channel(self._app, oplog.biz, oplog.target)
        named = (oplog.id, oplog.message_id, oplog.epoch)
        self._note(h.Parked(self._chronicle.now_ms(), self._name, channel, *named))

    def _note(self, fact: h.Fact) -> None:
        self._chronicle.add(fact)
