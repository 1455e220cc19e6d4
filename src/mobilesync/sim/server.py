"""The simulated server: the real `Service`, in a process that dies and comes back.

Strategy: one life is one `Process` with its own store, service and clock reading; the disk is all
that goes from life to life. A kill drops the process between two of its steps, cuts its wires, and
leaves callers without an answer. A restore goes back to an earlier copy of the disk, under a new
epoch, as `mobilesync restore` does.

Not here: when it dies (faults.py).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import Refused, TokenRefused
from mobilesync.domain.oplog import Oplog
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.apps import App, Apps, SecretKey, UserCallback
from mobilesync.engine.options import ServiceOptions
from mobilesync.engine.publication import Publication, Published
from mobilesync.engine.service import Service
from mobilesync.engine.tokens import Identity
from mobilesync.engine.waker import Waker
from mobilesync.protocol.codes import CloseCode
from mobilesync.sim import history as h
from mobilesync.sim.chronicle import Chronicle, digest_of
from mobilesync.sim.clock import SimClock
from mobilesync.sim.disk import DiskHabits, SimStore, WitnessedDisk
from mobilesync.sim.links import Network, Wire
from mobilesync.sim.loop import Process, VirtualLoop, pause
from mobilesync.sim.user_check import SimUserCheck
from mobilesync.storage.disk import Disk

_T = TypeVar("_T")

EPOCH_BITS = 48
"""Epochs are random numbers, as those of the embedded store."""


class NoAnswer(Exception):
    """The server died, or its answer was lost: the caller knows nothing."""


class SimAuthenticator:
    """Tokens of the simulation: `app|user|device|expires at`, believed as they stand."""

    def __init__(self, clock: SimClock, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng

    async def verify(self, token: str) -> Identity:
        """Takes a seeded while, as fetching a key may. Raises TokenRefused."""
        if self._rng.random() < 0.3:
            await pause(self._rng.random() * 0.05)
        app, user, device, expires_at_ms = token.split("|")
        if self._clock.wall_ms() >= int(expires_at_ms):
            raise TokenRefused(CloseCode.TOKEN_EXPIRED, "the token has expired")
        session = f"session of {user}" if user else ""
        return Identity(app, user, device, int(expires_at_ms), session)


class ForgetfulWaker(Waker):
    """A waker that loses, doubles and delays wakes: they carry no data, so it may."""

    def __init__(self, rng: random.Random, lose_share: float, loop: VirtualLoop) -> None:
        super().__init__()
        self._rng = rng
        self._lose_share = lose_share
        self._loop = loop

    def wake(self, app: str, target: str) -> None:
        chance = self._rng.random()
        if chance < self._lose_share:
            return
        super().wake(app, target)
        if chance < self._lose_share * 2:
            self._loop.call_later(self._rng.random(), super().wake, app, target)


class Parts:
    """What a server is made of; a planted bug replaces some of it."""

    def store(self, disk: Disk, habits: DiskHabits, rng: random.Random) -> SimStore:
        """The store of one life."""
        return SimStore(disk, habits, rng)

    def adjust(self, service: Service) -> None:
        """Change the service before it starts."""

    def restored_lineage(self, backup: tuple[int, ...], epoch: int) -> tuple[int, ...]:
        """The lineage of a store that was restored from a backup with this one."""
        return (*backup, epoch)


class SimServer:
    """All lives of one server."""

    def __init__(
        self,
        loop: VirtualLoop,
        rng: random.Random,
        network: Network,
        chronicle: Chronicle,
        *,
        apps: Sequence[str],
        options: ServiceOptions,
        lose_wakes: float,
        parts: Parts,
        user_check: SimUserCheck,
        questions_max: int = 16,
    ) -> None:
        self._loop = loop
        self._rng = rng
        self._network = network
        self._chronicle = chronicle
        keys = (SecretKey(b"a secret of thirty-two bytes, at least"),)
        self._apps = Apps(
            App(name, keys, user_check=_callback(name, questions_max)) for name in apps
        )
        self._user_check = user_check
        self._options = options
        self._lose_wakes = lose_wakes
        self._parts = parts
        self._lives = 0
        self._callers: dict[asyncio.Future[Any], None] = {}
        self._rules: dict[tuple[str, str], SyncConfig] = {}
        """As the history knows them."""
        self.clock = SimClock(loop)
        self.habits = DiskHabits()
        self.disk: Disk = WitnessedDisk((rng.getrandbits(EPOCH_BITS),), witness=self._stored)
        self.process: Process | None = None
        self.store: SimStore | None = None
        self.service: Service | None = None
        self._born: asyncio.Future[bool] | None = None
        self._living: asyncio.Task[None] | None = None
        self.is_draining = False
        self.on_killed: Callable[[], None] | None = None
        network.acceptor = self
        loop.on_killed = self._process_killed

    @property
    def is_up(self) -> bool:
        """Whether a life serves."""
        return self.process is not None and self.process.alive

    # --- lives

    async def start(self) -> bool:
        """Begin a life on the disk as it is. False when it was killed before it served."""
        assert not self.is_up
        self._lives += 1
        self.is_draining = False
        self.store = self.service = None
        process = self.process = Process(f"server-{self._lives}")
        self._born = self._loop.create_future()
        self._living = self._loop.spawn(process, self._begin(self._born))
        return await self._born

    async def _begin(self, born: "asyncio.Future[bool]") -> None:
        rng = random.Random(self._rng.getrandbits(64))
        self.store = self._parts.store(self.disk, self.habits, rng)
        service = Service(
            self.store,
            self._apps,
            SimAuthenticator(self.clock, rng),
            clock=self.clock,
            entropy=rng,
            options=self._options,
            waker=ForgetfulWaker(rng, self._lose_wakes, self._loop),
            user_check=self._user_check,
        )
        self._parts.adjust(service)
        service.configs.on_change(self._rules_changed)
        await service.start()
        self._chronicle.add(h.ServerStarted(self._chronicle.now_ms(), self.disk.lineage))
        for app in self._apps.names():
            for config in service.configs.list(app):
                self._rules_changed(app, config)
        self.service = service
        born.set_result(True)

    def _rules_changed(self, app: str, config: SyncConfig | None) -> None:
        if config is None or self._rules.get((app, config.biz)) == config:
            return
        self._rules[app, config.biz] = config
        now_ms = self._chronicle.now_ms()
        seen = (config.retention_s, config.persistent, config)
        self._chronicle.add(h.BizDefined(now_ms, app, config.biz, *seen))

    def _stored(self, channel: Channel, oplog: Oplog) -> None:
        digest = digest_of(oplog.payload)
        what = (oplog.id, oplog.message_id, digest, oplog.conditions, oplog.details)
        self._chronicle.add(h.Stored(self._chronicle.now_ms(), channel, *what))

    def kill(self, *, devices_learn: bool, why: str = "") -> None:
        """End this life now, between two steps."""
        assert self.process is not None
        if self.process.alive:
            self._loop.kill(self.process)
            self._after_kill(devices_learn, why)

    def kill_after(self, steps: int) -> None:
        """End this life after it has run so many more callbacks."""
        if self.process is not None and self.process.steps_left < 0:
            self.process.steps_left = steps

    def _process_killed(self, process: Process) -> None:
        if process is self.process:
            self._after_kill(self._rng.random() < 0.7, "at a chosen step")

    def _after_kill(self, devices_learn: bool, why: str) -> None:
        self._chronicle.add(h.ServerKilled(self._chronicle.now_ms(), why))
        self._network.cut_all(device_learns=devices_learn)
        if self._born is not None and not self._born.done():
            self._born.set_result(False)
        callers, self._callers = self._callers, {}
        for caller in callers:
            if not caller.done():
                caller.set_exception(NoAnswer("the server died"))
        if self.on_killed is not None:
            self.on_killed()

    async def recover_disk(self) -> None:
        """Between two lives: what the death has left becomes the disk."""
        if self.store is not None:
            self.disk = await self.store.after_death(self._rng)
            self.store = None

    def kick(self, app: str, device: str) -> None:
        """End a device's session: it must log in anew."""
        if self.is_up and self.service is not None and self.process is not None:
            kick = self.service.sessions.kick
            self._loop.context_of(self.process).run(kick, app, device, "kicked")

    def drain(self, spread_s: float) -> None:
        """End this life in good order, as SIGTERM does."""
        if self.is_up and self.process is not None and self.service is not None:
            self.is_draining = True
            draining = self._drain(self.service, self.process, spread_s)
            self._living = self._loop.spawn(self.process, draining)

    async def _drain(self, service: Service, process: Process, spread_s: float) -> None:
        await service.drain(spread_s)
        await service.stop()
        await service.store.close()
        if process.alive:
            self._loop.kill(process)
            self._after_kill(True, "drained")

    def restore(self, backup: Disk) -> None:
        """Between two lives: the disk becomes a copy of `backup`, under a new epoch."""
        epoch = self._rng.getrandbits(EPOCH_BITS)
        self.disk = backup.copy()
        self.disk.lineage = self._parts.restored_lineage(backup.lineage, epoch)
        heads = tuple((channel, head.last) for channel, head in backup.heads.items())
        lineage = (*backup.lineage, epoch)
        fact = h.Restored(self._chronicle.now_ms(), lineage, heads)
        self._chronicle.add(fact)

    def jump_clock(self, by_ms: int) -> None:
        """Move the server's wall clock."""
        self.clock.jump(by_ms)
        fact = h.ServerClock(self._chronicle.now_ms(), self.clock.offset_ms)
        self._chronicle.add(fact)

    # --- doors

    def accept(self, wire: Wire) -> bool:
        """Take a new connection; False when no life serves."""
        if not self.is_up or self.service is None or self.process is None:
            return False
        connected = self.service.sessions.connected
        session = self._loop.context_of(self.process).run(connected, wire.link)
        wire.attach(session, self.process)
        return True

    async def publish(
        self, app: str, publications: Sequence[Publication], *, give_up_s: float
    ) -> list[Published]:
        """As the API would. Raises NoAnswer, and what the publisher raises."""

        async def work(service: Service) -> list[Published]:
            return await service.publisher.publish(app, publications)

        return await self.ask(work, give_up_s=give_up_s)

    async def ask(self, work: Callable[[Service], Awaitable[_T]], *, give_up_s: float) -> _T:
        """Have the life that runs do `work` for a caller. Raises NoAnswer, and what `work` raises.

        After `give_up_s` the caller hangs up, and the API cancels what it waits for.
        """
        if not self.is_up or self.service is None or self.process is None:
            raise Refused("nobody listens")
        answer: asyncio.Future[_T] = self._loop.create_future()
        self._callers[answer] = None
        task = self._loop.spawn(self.process, _serve(work, self.service, answer))
        timer = self._loop.call_later(give_up_s, task.cancel)
        try:
            return await answer
        finally:
            timer.cancel()
            self._callers.pop(answer, None)


async def _serve(
    work: Callable[[Service], Awaitable[_T]], service: Service, answer: "asyncio.Future[_T]"
) -> None:
    try:
        done = await work(service)
    except asyncio.CancelledError:
        if not answer.done():
            answer.set_exception(NoAnswer("the caller hung up"))
        raise
    except Exception as error:  # noqa: BLE001 - the caller gets whatever it is
        if not answer.done():
            answer.set_exception(error)
        return
    if not answer.done():
        answer.set_result(done)


def _callback(app: str, questions_max: int) -> UserCallback:
    secret = "whsec_" + "a2" * 22
    return UserCallback(f"https://{app}.example", secret, app, concurrent_max=questions_max)
