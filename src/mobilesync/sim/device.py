"""The simulated device: the real SDK in an app's process that dies, returns, and changes hands.

Strategy: one life is one `Process` with its own `Client`; the local store's connection is all that
goes from life to life, until the app is reinstalled.

Not here: the app's own code (app.py), when what happens (device_faults.py), the local store's
seams (device_store.py).
"""

import asyncio
import random
import sqlite3

from mobilesync.client.client import Client
from mobilesync.client.errors import ClientError
from mobilesync.client.local_store import LocalStore
from mobilesync.client.options import ClientOptions
from mobilesync.client.stream import Stream
from mobilesync.domain.channel import Channel, session_targets
from mobilesync.sim import history as h
from mobilesync.sim.app import DONE_TABLE, App
from mobilesync.sim.chronicle import Chronicle
from mobilesync.sim.clock import SimClock
from mobilesync.sim.device_store import Deadly, Moment, Seam, WatchedStore
from mobilesync.sim.links import Network
from mobilesync.sim.loop import Process, VirtualLoop
from mobilesync.sim.scenario import DevicePlan


class SimDevice:
    """All lives of one device."""

    def __init__(
        self,
        plan: DevicePlan,
        loop: VirtualLoop,
        rng: random.Random,
        network: Network,
        chronicle: Chronicle,
        *,
        options: ClientOptions,
        bizzes: tuple[str, ...],
        store_class: type[WatchedStore] = WatchedStore,
    ) -> None:
        self.plan = plan
        self.name = f"{plan.app}/{plan.device}"
        self.user = plan.user
        self.app_version = plan.app_version
        self.attributes = plan.attributes
        self._loop = loop
        self._rng = rng
        self._network = network
        self._chronicle = chronicle
        self._options = options
        self._bizzes = bizzes
        self._store_class = store_class
        self._lives = 0
        self.clock = SimClock(loop)
        self.process: Process | None = None
        self.client: Client | None = None
        self.deadly: Deadly | None = None
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.is_installed = False
        self._living: asyncio.Task[None] | None = None
        self.late_s = 0.0
        """How late the next connect reaches the server."""
        self.app = App(plan, loop, rng, chronicle)
        self.handlers_late = False
        self.is_switching = self.is_closing = False

    @property
    def is_up(self) -> bool:
        """Whether the app runs."""
        return self.process is not None and self.process.alive

    def install(self) -> None:
        """Begin with an empty local store. The app must not run."""
        assert not self.is_up
        self.connection.close()
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.execute(DONE_TABLE)
        self.is_installed = True
        self._add(h.Installed(self._chronicle.now_ms(), self.name))

    def start(self) -> None:
        """Begin a life."""
        assert not self.is_up
        if not self.is_installed:
            self.install()
        self._lives += 1
        self.process = Process(f"{self.name}-{self._lives}")
        self.deadly = self.app.deadly = Deadly(self.process, self._rng)
        self.is_switching = self.is_closing = False
        self.client = None
        version, attributes = self.app_version, self.attributes
        self._add(
            h.DeviceStarted(self._chronicle.now_ms(), self.name, self.plan.os, version, attributes)
        )
        self._add(h.LoggedIn(self._chronicle.now_ms(), self.name, self.user))
        self._living = self._loop.spawn(self.process, self._begin(self.process, self.deadly))

    def kill(self, *, server_learns: bool) -> None:
        """End this life now."""
        if self.process is None:
            return
        if self.process.alive:
            self._loop.kill(self.process)
        self.bury(server_learns=server_learns)

    def bury(self, *, server_learns: bool) -> None:
        """After a life has ended, in whatever way: the machine lets go of its connections."""
        if self.process is None:
            return
        self.process = None
        self._close_file()
        self._add(h.DeviceKilled(self._chronicle.now_ms(), self.name))
        for wire in list(self._network.wires.values()):
            if wire.device == self.name:
                wire.cut(server_learns=server_learns, device_learns=False)

    def close(self) -> None:
        """The app ends in good order; `has_died` tells when it has."""
        if self.process is not None and self.process.alive and self.client is not None:
            self.is_closing = True
            self._living = self._loop.spawn(self.process, self._close(self.client, self.process))

    def set_attributes(self, attributes: tuple[tuple[str, str], ...]) -> None:
        """The app has other attributes from here on."""
        self.attributes = attributes
        if self.process is not None and self.process.alive and self.client is not None:
            self._add(h.AttributesChanged(self._chronicle.now_ms(), self.name, attributes))
            context = self._loop.context_of(self.process)
            context.run(self.client.set_attributes, dict(attributes))

    def retry_parked(self) -> None:
        """Hand what is parked to the handlers again."""
        if self.process is not None and self.process.alive and self.client is not None:
            self._living = self._loop.spawn(self.process, self._retry_parked(self.client))

    def has_died(self) -> bool:
        """Whether the process died by itself and waits to be buried."""
        return self.process is not None and not self.process.alive

    def arm(self, seam: Seam, moment: Moment) -> None:
        """Let the process die at its next passage."""
        if self.deadly is not None:
            self.deadly.armed = (seam, moment)

    def disarm(self) -> None:
        """Let it live."""
        if self.deadly is not None:
            self.deadly.armed = None

    def switch_user(self, user: str) -> None:
        """Log in as `user`, or log out when it is empty."""
        if self.is_up and self.process is not None and not self.is_switching:
            self.is_switching = True
            self._living = self._loop.spawn(self.process, self._switch(user))

    def foreground(self, is_foreground: bool) -> None:
        """The app comes to the foreground, or leaves it."""
        if self.is_up and self.process is not None and self.client is not None:
            call = self.client.foreground if is_foreground else self.client.background
            self._loop.context_of(self.process).run(call)

    def register_late(self) -> None:
        """Register the handlers that were left out."""
        if self.process is None or not self.process.alive or not self.handlers_late:
            return
        self.handlers_late = False
        if self.client is not None:
            context = self._loop.context_of(self.process)
            context.run(self.app.register, self.client, self._bizzes[:1])

    def take_stock(self) -> None:
        """Write down the sync points that the local store holds."""
        plan = self.plan
        targets = session_targets(self.user, plan.device)
        self._close_file()
        store = LocalStore(self.connection, app=plan.app, device=plan.device)
        for point in store.points(targets):
            channel = Channel(plan.app, point.biz, point.target)
            place = (point.epoch, point.received, point.processed)
            self._add(h.OwnPoint(self._chronicle.now_ms(), self.name, channel, *place))

    def done_rows(self) -> list[tuple[str, int, int]]:
        """What transactional handlers have written."""
        self._close_file()
        return self.connection.execute("SELECT target, epoch, id FROM done").fetchall()

    def _close_file(self) -> None:
        """What the end of a process does to an SQLite file: an open transaction is undone."""
        self.connection.set_authorizer(None)
        self.connection.set_progress_handler(None, 0)
        if self.connection.in_transaction:
            self.connection.rollback()

    async def _begin(self, process: Process, deadly: Deadly) -> None:
        plan = self.plan
        store = self._store_class(
            self.connection,
            app=plan.app,
            device=plan.device,
            chronicle=self._chronicle,
            deadly=deadly,
        )
        client = Client(
            app=plan.app,
            device=plan.device,
            store=store,
            token=self.app.token_source(self.user),
            user=self.user,
            os=plan.os,
            app_version=self.app_version,
            attributes=dict(self.attributes),
            connect=lambda: self._connect(process),
            clock=self.clock,
            random=random.Random(self._rng.getrandbits(64)),
            options=self._options,
        )
        bizzes = self._bizzes[1:] if self.handlers_late else self._bizzes
        self.app.register(client, bizzes)
        for biz in self._bizzes:
            client.on_notice(biz)(self.app.notice)
        self.client = client
        await client.start()

    async def _connect(self, process: Process) -> Stream:
        late_s, self.late_s = self.late_s, 0.0
        return await self._network.connect(self.name, process, late_s=late_s)

    async def _switch(self, user: str) -> None:
        assert self.client is not None
        self._add(h.LoginBegan(self._chronicle.now_ms(), self.name, user))
        try:
            if user:
                await self.client.login(user, self.app.token_source(user))
            else:
                await self.client.logout(self.app.token_source(user))
            self.user = user
        except ClientError as error:
            # Its contract: then nothing has changed.
            self._chronicle.say(self.name, f"no change of user: {error}")
        user = self.user
        self.is_switching = False
        self._add(h.LoggedIn(self._chronicle.now_ms(), self.name, user))

    async def _retry_parked(self, client: Client) -> None:
        try:
            await client.retry_parked()
        except ClientError as error:
            self._chronicle.say(self.name, f"parked stays parked: {error}")

    async def _close(self, client: Client, process: Process) -> None:
        await client.close()
        self._loop.kill(process)

    def fill_disk(self, is_full: bool) -> None:
        """The device's disk takes no writes, or takes them again."""
        if self.deadly is not None:
            self.deadly.disk_is_full = is_full

    def _add(self, fact: h.Fact) -> None:
        self._chronicle.add(fact)
