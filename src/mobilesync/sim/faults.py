"""What goes wrong, and when: one task that strikes until the calm begins.

Strategy: every now and then one of the scenario's kinds of faults is chosen and done to a seeded
victim. What a fault breaks comes back by itself after a seeded while (a server restarts, an app is
opened again). `heal` ends all of it, and from then on nothing fails.

Not here: which kinds a seed has (scenario.py), how they work (server.py, device.py, links.py).
"""

import asyncio
import random
from collections.abc import Callable
from contextvars import copy_context
from typing import Literal

import msgspec

from mobilesync.sim.chronicle import Chronicle
from mobilesync.sim.device import SimDevice
from mobilesync.sim.device_store import Moment, Seam
from mobilesync.sim.disk import copy_disk
from mobilesync.sim.links import Network
from mobilesync.sim.loop import VirtualLoop, pause
from mobilesync.sim.publisher import GIVE_UP_S, SimPublisher
from mobilesync.sim.scenario import Scenario
from mobilesync.sim.server import SimServer
from mobilesync.storage.memory import Disk

_SEAMS: tuple[tuple[Seam, Moment], ...] = (
    ("apply", "before"), ("apply", "inside"), ("apply", "after"),
    ("reset", "before"), ("reset", "inside"), ("reset", "after"),
    ("finish", "before"), ("finish", "inside"), ("finish", "after"),
    ("take", "before"), ("take", "after"), ("fail", "after"),
    ("handler", "inside"), ("handler", "after"),
)  # fmt: skip
_JUMPS_MS = (-86_400_000, -3_600_000, -5_000, 5_000, 60_000, 3_600_000)


class Faults:
    """The trouble of one run."""

    def __init__(
        self,
        scenario: Scenario,
        loop: VirtualLoop,
        rng: random.Random,
        chronicle: Chronicle,
        network: Network,
        server: SimServer,
        devices: list[SimDevice],
        publisher: SimPublisher,
    ) -> None:
        self._scenario = scenario
        self._loop = loop
        self._rng = rng
        self._chronicle = chronicle
        self._network = network
        self._server = server
        self._devices = devices
        self._publisher = publisher
        self._backup: Disk | None = None
        self._restart_from: Disk | None = None
        self._calm = False
        self._context = copy_context()
        self._dying_at_sync = 0
        self._defining: asyncio.Task[None] | None = None
        self._raising: asyncio.Task[None] | None = None
        self._returning: dict[SimDevice, asyncio.Task[None]] = {}
        server.on_killed = self._server_died
        server.habits.on_sync = self._at_sync
        self._strikes: dict[str, Callable[[], None]] = {
            "server_kill": lambda: self._kill_server("killed", devices_learn=True),
            "server_kill_at_sync": self._kill_at_sync,
            "server_kill_at_step": lambda: self._server.kill_after(self._rng.randint(0, 40)),
            "power_cut": lambda: self._kill_server("power cut", devices_learn=False),
            "disk_full": self._fill_disk,
            "restore": self._restore,
            "cut": self._cut,
            "half_open": self._half_open,
            "stall": self._stall,
            "stray": self._stray,
            "device_kill": self._kill_device,
            "device_kill_at_seam": self._kill_at_seam,
            "reinstall": self._reinstall,
            "switch_user": self._switch_user,
            "background": self._background,
            "server_clock": lambda: self._server.jump_clock(self._rng.choice(_JUMPS_MS)),
            "device_clock": self._jump_device_clock,
            "hang": self._hang,
            "upgrade": self._upgrade,
            "drain": lambda: self._server.drain(self._rng.random() * 3),
            "biz_offline": self._toggle_biz,
            "device_close": self._close_device,
            "device_disk_full": self._fill_device,
            "token_trouble": self._trouble_tokens,
            "kick": self._kick,
        }

    def begin(self) -> None:
        """Set what holds for the whole faulty phase."""
        kinds, rng = self._scenario.faults, self._rng
        weather = self._network.weather
        if "fragments" in kinds:
            weather.fragment_share = rng.choice((0.3, 1.0))
            weather.jitter_s = rng.choice((0.004, 0.2))
        if "slow_reads" in kinds:
            self._server.habits.read_s = 0.05
        if "lost_answers" in kinds:
            self._publisher.lose_answers = 0.2
            self._publisher.hang_up_s = rng.choice((0.002, 0.01, GIVE_UP_S))
        if "late_handlers" in kinds:
            for device in self._devices:
                device.handlers_late = rng.random() < 0.5
        if "short_tokens" in kinds:
            for device in self._devices:
                device.token_ms = rng.randint(5_000, 40_000)

    async def strike_until(self, end_s: float) -> None:
        """One fault after the other, until the virtual time `end_s`."""
        kinds = [kind for kind in self._strikes if kind in self._scenario.faults]
        while self._loop.time() < end_s:
            await pause(self._rng.expovariate(1 / self._scenario.fault_every_s))
            self._bury_dead()
            if self._rng.random() < 0.2 and self._server.is_up:
                self._backup = copy_disk(self._server.disk)
            if kinds:
                kind = self._rng.choice(kinds)
                self._chronicle.say("faults", kind)
                self._strikes[kind]()

    async def heal(self) -> None:
        """Nothing fails from now on, and everything that is down comes back."""
        self._calm = True
        self._restart_from = None
        self._dying_at_sync = 0
        habits, network = self._server.habits, self._network
        habits.full, habits.read_s = False, 0.0
        network.hang_share = 0.0
        network.weather.fragment_share, network.weather.jitter_s = 0.0, 0.004
        self._publisher.lose_answers, self._publisher.hang_up_s = 0.0, GIVE_UP_S
        # A link that is half-open stays so: its two ends must find out, as in life.
        if self._server.process is not None:
            self._server.process.steps_left = -1
        self._set_clocks()
        self._restart_if_failed()
        if self._server.is_draining:
            self._kill_server("killed while it drained", devices_learn=True)
        while self._raising is not None and not self._raising.done():
            await self._raising
        await self._define_all()
        self._bury_dead()
        for device in self._devices:
            device.disarm()
            device.fill_disk(False)
            device.token_trouble = False
            device.token_ms = 86_400_000
            device.late_s = 0.0
            if device in self._returning:
                await self._returning[device]
            if not device.is_up:
                device.start()
            device.foreground(True)
            device.register_late()

    async def _define_all(self) -> None:
        for app in self._scenario.apps:
            for config in self._scenario.bizzes:
                task = self._server.define(app, config)
                assert task is not None, "in the calm the server serves"
                await task

    def _set_clocks(self) -> None:
        if self._server.clock.offset_ms:
            self._server.jump_clock(-self._server.clock.offset_ms)
        for device in self._devices:
            device.clock.offset_ms = 0

    # --- the server

    def _kill_server(self, why: str, *, devices_learn: bool) -> None:
        if self._server.is_up:
            self._server.kill(devices_learn=devices_learn, why=why)

    def _kill_at_sync(self) -> None:
        # Before it, in it, or after it: the hook is called when a sync begins and ends.
        self._dying_at_sync = self._rng.randint(1, 4)

    def _at_sync(self) -> None:
        if self._dying_at_sync:
            self._dying_at_sync -= 1
            if not self._dying_at_sync:
                self._server.kill_after(self._rng.randint(0, 6))

    def _server_died(self) -> None:
        self._dying_at_sync = 0
        if self._raising is None or self._raising.done():
            # The server may have ended itself: who raises it must not belong to the dead.
            self._raising = self._loop.create_task(self._raise_server(), context=self._context)

    async def _raise_server(self) -> None:
        while True:
            await pause(1.0 + self._rng.random() * (0.5 if self._calm else 8.0))
            await self._server.recover_disk()
            if self._restart_from is not None:
                self._server.restore(self._restart_from)
                self._restart_from = None
                if self._rng.random() < 0.7:
                    # Else the next restore forks from the same old backup, and forgets this epoch.
                    self._backup = None
            self._server.habits.full = False
            if await self._server.start():
                return

    def _fill_disk(self) -> None:
        if self._server.is_up:
            self._server.habits.full = True
            self._loop.call_later(1.0 + self._rng.random() * 10, self._free_disk)

    def _free_disk(self) -> None:
        # The operator frees some space, and restarts it if it has noticed.
        self._server.habits.full = False
        self._restart_if_failed()

    def _restart_if_failed(self) -> None:
        store = self._server.store
        if store is not None and store.stats().failed:
            self._kill_server("restarted after a disk failure", devices_learn=True)

    def _restore(self) -> None:
        if self._backup is not None and self._server.is_up:
            self._restart_from = self._backup
            self._server.kill(devices_learn=True, why="to restore a backup")

    def _toggle_biz(self) -> None:
        config = self._rng.choice(self._scenario.bizzes)
        status: Literal["online", "offline"] = self._rng.choice(("online", "offline"))
        config = msgspec.structs.replace(config, status=status)
        self._defining = self._server.define(self._rng.choice(self._scenario.apps), config)

    # --- the network

    def _hang(self) -> None:
        self._network.hang_share = 0.5
        self._loop.call_later(5.0, self._unhang)

    def _unhang(self) -> None:
        self._network.hang_share = 0.0

    def _cut(self) -> None:
        wires = list(self._network.wires.values())
        if wires:
            learn = (self._rng.random() < 0.7, self._rng.random() < 0.7)
            wire = self._rng.choice(wires)
            wire.cut(server_learns=learn[0], device_learns=learn[1])

    def _half_open(self) -> None:
        wires = list(self._network.wires.values())
        if wires:
            both = self._rng.choice(((True, True), (True, False), (False, True)))
            self._rng.choice(wires).mute(to_server=both[0], to_device=both[1])

    def _stall(self) -> None:
        wires = list(self._network.wires.values())
        if wires:
            self._rng.choice(wires).stall(self._rng.random() * 20)

    def _stray(self) -> None:
        device = self._rng.choice(self._devices)
        device.late_s = self._rng.uniform(0.5, 20)
        for wire in list(self._network.wires.values()):
            if wire.device == device.name:
                wire.cut()

    # --- the devices

    def _bury_dead(self) -> None:
        for device in self._devices:
            if device.has_died():
                device.bury(server_learns=self._rng.random() < 0.7)
                self._return_later(device)

    def _return_later(self, device: SimDevice) -> None:
        if device not in self._returning:
            task = self._loop.create_task(self._return(device))
            self._returning[device] = task

    async def _return(self, device: SimDevice) -> None:
        await pause(self._rng.random() * (1.0 if self._calm else 10.0))
        if device.has_died():
            device.bury(server_learns=True)
        if not device.is_up:
            device.start()
        self._returning.pop(device, None)

    def _running(self) -> SimDevice | None:
        running = [device for device in self._devices if device.is_up]
        return self._rng.choice(running) if running else None

    def _kill_device(self) -> None:
        device = self._running()
        if device is not None:
            device.kill(server_learns=self._rng.random() < 0.7)
            self._return_later(device)

    def _close_device(self) -> None:
        device = self._running()
        if device is not None:
            device.close()

    def _fill_device(self) -> None:
        device = self._running()
        if device is not None:
            device.fill_disk(True)
            self._loop.call_later(self._rng.random() * 20, device.fill_disk, False)

    def _trouble_tokens(self) -> None:
        device = self._rng.choice(self._devices)
        device.token_trouble = not device.token_trouble

    def _kick(self) -> None:
        plan = self._rng.choice(self._devices).plan
        self._server.kick(plan.app, plan.device)

    def _kill_at_seam(self) -> None:
        device = self._running()
        if device is not None:
            device.arm(*self._rng.choice(_SEAMS))

    def _reinstall(self) -> None:
        device = self._running()
        if device is not None:
            device.kill(server_learns=self._rng.random() < 0.7)
            device.install()
            self._return_later(device)

    def _upgrade(self) -> None:
        device = self._running()
        if device is not None:
            device.kill(server_learns=True)
            device.app_version = self._rng.choice(("1.0", "1.5", "2.0", ""))
            self._return_later(device)

    def _switch_user(self) -> None:
        device = self._running()
        if device is not None:
            device.switch_user(self._rng.choice(("", *self._scenario.users)))

    def _background(self) -> None:
        device = self._running()
        if device is not None:
            device.foreground(self._rng.random() < 0.5)

    def _jump_device_clock(self) -> None:
        device = self._rng.choice(self._devices)
        device.clock.jump(self._rng.choice(_JUMPS_MS))
