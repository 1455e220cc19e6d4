"""The parts of a client between start and close, and how they are joined.

Strategy: the connector saves and wakes the dispatcher; the dispatcher finishes and wakes the acks
and whoever waits for room; all tell the bulletin. They meet here and know nothing of each other.
"""

import asyncio
import logging
import random
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mobilesync.client.belonging import targets_of
from mobilesync.client.bulletin import Bulletin
from mobilesync.client.clock import Clock
from mobilesync.client.connector import Connect, Connector
from mobilesync.client.credentials import Credentials
from mobilesync.client.dispatcher import Dispatcher
from mobilesync.client.errors import StoreDamaged, StoreUnavailable
from mobilesync.client.events import ClientStats, Stopped
from mobilesync.client.handlers import Handlers
from mobilesync.client.inbox import Channel
from mobilesync.client.local_store import LocalStore
from mobilesync.client.options import ClientOptions
from mobilesync.client.reconnect import Reconnect
from mobilesync.client.session import Profile, Surroundings
from mobilesync.client.stream import Stream, linger

_log = logging.getLogger("mobilesync.client")


@dataclass(frozen=True, slots=True)
class Setup:
    """What the app has decided, checked."""

    app: str
    database: str | Path | sqlite3.Connection | LocalStore
    profile: Profile
    connect: Connect
    options: ClientOptions
    clock: Clock
    chance: random.Random
    handlers: Handlers


class Running:
    """A client at work. Made and started on its loop."""

    def __init__(self, setup: Setup, credentials: Credentials) -> None:
        """Opens the store. Raises StoreRefused, StoreDamaged, StoreUnavailable."""
        self._device = setup.profile.device
        self._owned = not isinstance(setup.database, LocalStore)
        self.store = (
            setup.database
            if isinstance(setup.database, LocalStore)
            else LocalStore(setup.database, app=setup.app, device=self._device)
        )
        options = setup.options
        self.gate = asyncio.Lock()
        self.room = asyncio.Event()
        self._received = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.bulletin = Bulletin(setup.handlers, options.notices_max, options.handler_timeout_s)
        surroundings = Surroundings(
            self.store,
            self.gate,
            options,
            self._saved,
            self.bulletin.post,
            self.room,
            lambda biz: setup.handlers.of(biz) is not None,
        )
        reconnect = Reconnect(
            options.reconnect_s, options.reconnect_max_s, options.stable_s, setup.chance
        )
        self.connector = Connector(
            setup.connect,
            credentials,
            setup.profile,
            surroundings,
            reconnect,
            setup.clock,
            self.bulletin.post,
        )
        self.dispatcher = Dispatcher(
            self.store,
            self.gate,
            setup.handlers,
            clock=setup.clock,
            chance=setup.chance,
            options=options,
            moved=self.connector.moved,
            told=self.bulletin.post,
            broken=self.connector.break_off,
        )
        self.dispatcher.switch(targets_of(credentials.user, self._device))

    def start(self) -> None:
        """Begin to connect and to handle. Raises store errors; then nothing runs."""
        try:
            self.dispatcher.start()
        except BaseException:
            self._close_store()
            raise
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self.connector.run()),
            loop.create_task(self.bulletin.run()),
        ]

    def switch(self, credentials: Credentials, token: str | None) -> None:
        """The device belongs to another user."""
        self.dispatcher.switch(targets_of(credentials.user, self._device))
        self.connector.switch(credentials, token)

    async def close(self) -> None:
        """End in good order. Not to be called by a handler."""
        await self.dispatcher.stop()
        stream: Stream | None = None
        try:
            self.dispatcher.save_marks()
            stream = self.connector.farewell()
        except (StoreUnavailable, StoreDamaged) as error:
            # What could not be said or kept now is said and done again after the next start.
            _log.warning("the client closed without its last marks: %s", error)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._close_store()
        if stream is not None:
            await linger(stream)
        self.bulletin.post(Stopped(0, "closed by the app"))
        await self.bulletin.flush()

    def abort(self) -> None:
        """End as if the process died."""
        self.dispatcher.abort()
        for task in self._tasks:
            task.cancel()
        self._close_store()

    async def forget(self, user: str) -> None:
        """Forget a user's sync points and inbox. Raises StoreUnavailable."""
        async with self.gate:
            self.store.forget(f"user:{user}")
        self.room.set()

    def stats(self, user: str) -> ClientStats:
        """Figures so far."""
        return ClientStats(
            state=self.connector.state,
            user=user,
            inbox_count=self.store.inbox_count,
            inbox_bytes=self.store.inbox_bytes,
            parked_count=self.store.parked_count(),
            connects=self.connector.connects,
            received=self._received,
            handled=self.dispatcher.handled,
            failed=self.dispatcher.failed,
            acks=self.connector.acks,
            dropped=self.bulletin.dropped,
            beat_interval_s=self.connector.beat_interval_s,
        )

    def _saved(self, channels: Sequence[Channel], count: int) -> None:
        self._received += count
        self.dispatcher.wake(channels)

    def _close_store(self) -> None:
        if self._owned:
            self.store.close()
