"""What goes wrong with devices: deaths at any moment, reinstalls, other users, full disks.

An app that died is opened again after a seeded while.
"""

import asyncio
import random
from collections.abc import Callable

from mobilesync.sim.device import SimDevice
from mobilesync.sim.device_store import Moment, Seam
from mobilesync.sim.links import Network
from mobilesync.sim.loop import VirtualLoop, pause
from mobilesync.sim.scenario import Scenario, draw_attributes
from mobilesync.sim.server import SimServer
from mobilesync.sim.server_faults import JUMPS_MS

DAY_MS = 86_400_000
_SEAMS: tuple[tuple[Seam, Moment], ...] = (
    ("apply", "before"), ("apply", "inside"), ("apply", "after"),
    ("reset", "before"), ("reset", "inside"), ("reset", "after"),
    ("finish", "before"), ("finish", "inside"), ("finish", "after"),
    ("take", "before"), ("take", "after"), ("fail", "after"),
    ("handler", "inside"), ("handler", "after"),
)  # fmt: skip


class DeviceFaults:
    """The devices' trouble."""

    def __init__(
        self,
        scenario: Scenario,
        loop: VirtualLoop,
        rng: random.Random,
        network: Network,
        server: SimServer,
        devices: list[SimDevice],
    ) -> None:
        self._scenario = scenario
        self._loop = loop
        self._rng = rng
        self._network = network
        self._server = server
        self._devices = devices
        self._is_calm = False
        self._returning: dict[SimDevice, asyncio.Task[None]] = {}
        running: dict[str, Callable[[SimDevice], None]] = {
            "device_kill": self._kill,
            "device_kill_at_seam": lambda device: device.arm(*rng.choice(_SEAMS)),
            "device_close": SimDevice.close,
            "device_away": lambda device: self._kill(device, away_s=60.0),
            "retry_parked": SimDevice.retry_parked,
            "device_disk_full": self._fill_disk,
            "reinstall": self._reinstall,
            "upgrade": self._upgrade,
            "attributes": lambda device: device.set_attributes(draw_attributes(rng)),
            "switch_user": self._switch_user,
            "background": lambda device: device.foreground(rng.random() < 0.5),
            "stray": self._stray,
            "token_trouble": self._toggle_token_trouble,
            "device_clock": lambda device: device.clock.jump(rng.choice(JUMPS_MS)),
            "kick": lambda device: server.kick(device.plan.app, device.plan.device),
        }
        self.strikes: dict[str, Callable[[], None]] = {
            kind: self._on_running(strike) for kind, strike in running.items()
        }

    def begin(self) -> None:
        """Set what holds for the whole faulty phase."""
        kinds, rng = self._scenario.faults, self._rng
        for device in self._devices:
            if "late_handlers" in kinds:
                device.handlers_late = rng.random() < 0.5
            if "short_tokens" in kinds:
                device.app.token_ms = rng.randint(5_000, 40_000)

    def bury_dead(self) -> None:
        """Devices that died by themselves return later."""
        for device in self._devices:
            if device.has_died():
                device.bury(server_learns=self._rng.random() < 0.7)
                self._return_later(device)

    async def heal(self) -> None:
        """Every device runs, in the foreground, and nothing of it fails from now on."""
        self._is_calm = True
        self.bury_dead()
        for device in self._devices:
            device.clock.offset_ms = 0
            device.disarm()
            device.fill_disk(False)
            device.app.token_trouble = False
            device.app.token_ms = DAY_MS
            device.late_s = 0.0
            if device.is_closing:
                device.kill(server_learns=True)
            if device in self._returning:
                await self._returning[device]
            if not device.is_up:
                device.start()
            device.foreground(True)
            device.register_late()

    def _on_running(self, strike: Callable[[SimDevice], None]) -> Callable[[], None]:
        def strike_one() -> None:
            running = [device for device in self._devices if device.is_up]
            if running:
                strike(self._rng.choice(running))

        return strike_one

    def _return_later(self, device: SimDevice, away_s: float = 10.0) -> None:
        if device not in self._returning:
            task = self._loop.create_task(self._return(device, away_s))
            self._returning[device] = task

    async def _return(self, device: SimDevice, away_s: float) -> None:
        await pause(self._rng.random() * (1.0 if self._is_calm else away_s))
        if device.has_died():
            device.bury(server_learns=True)
        if not device.is_up:
            device.start()
        self._returning.pop(device, None)

    def _kill(self, device: SimDevice, away_s: float = 10.0) -> None:
        device.kill(server_learns=self._rng.random() < 0.7)
        self._return_later(device, away_s)

    def _fill_disk(self, device: SimDevice) -> None:
        device.fill_disk(True)
        self._loop.call_later(self._rng.random() * 20, device.fill_disk, False)

    def _reinstall(self, device: SimDevice) -> None:
        self._kill(device)
        device.install()

    def _upgrade(self, device: SimDevice) -> None:
        self._kill(device)
        device.app_version = self._rng.choice(("1.0", "1.5", "2.0", ""))

    def _switch_user(self, device: SimDevice) -> None:
        device.switch_user(self._rng.choice(("", *self._scenario.users)))

    def _toggle_token_trouble(self, device: SimDevice) -> None:
        device.app.token_trouble = not device.app.token_trouble

    def _stray(self, device: SimDevice) -> None:
        device.late_s = self._rng.uniform(0.5, 20)
        for wire in list(self._network.wires.values()):
            if wire.device == device.name:
                wire.cut()
