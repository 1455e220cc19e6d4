"""What goes wrong with the server: deaths, restarts, restores, full disks, wrong clocks.

A server that died comes back by itself, on what the death has left, or on an old backup.
"""

import asyncio
import random
from collections.abc import Callable
from contextvars import copy_context

from mobilesync.sim.loop import VirtualLoop, pause
from mobilesync.sim.scenario import Scenario
from mobilesync.sim.server import SimServer
from mobilesync.storage.disk import Disk

JUMPS_MS = (-86_400_000, -3_600_000, -5_000, 5_000, 60_000, 3_600_000)


class ServerFaults:
    """The server's trouble."""

    def __init__(
        self, scenario: Scenario, loop: VirtualLoop, rng: random.Random, server: SimServer
    ) -> None:
        self._scenario = scenario
        self._loop = loop
        self._rng = rng
        self._server = server
        self._backup: Disk | None = None
        self._restart_from: Disk | None = None
        self._is_calm = False
        self._context = copy_context()
        self._syncs_to_live = 0
        self._raising: asyncio.Task[None] | None = None
        server.on_killed = self._server_died
        server.habits.on_sync = self._at_sync
        self.strikes: dict[str, Callable[[], None]] = {
            "server_kill": lambda: self._kill("killed", devices_learn=True),
            "server_kill_at_sync": self._kill_at_sync,
            "server_kill_at_step": lambda: server.kill_after(rng.randint(0, 40)),
            "power_cut": lambda: self._kill("power cut", devices_learn=False),
            "disk_full": self._fill_disk,
            "restore": self._restore,
            "server_clock": lambda: server.jump_clock(rng.choice(JUMPS_MS)),
            "drain": lambda: server.drain(rng.random() * 3),
        }

    def begin(self) -> None:
        """Set what holds for the whole faulty phase."""
        if "slow_reads" in self._scenario.faults:
            self._server.habits.read_s = 0.05

    def back_up(self) -> None:
        """Now and then the operator makes a backup."""
        if self._rng.random() < 0.2 and self._server.is_up:
            self._backup = self._server.disk.copy()

    async def heal(self) -> None:
        """The server is up, its clock is right, and nothing of it fails from now on."""
        server = self._server
        self._is_calm = True
        self._restart_from = None
        self._syncs_to_live = 0
        server.habits.full, server.habits.read_s = False, 0.0
        if server.process is not None:
            server.process.steps_left = -1
        if server.clock.offset_ms:
            server.jump_clock(-server.clock.offset_ms)
        self._restart_if_failed()
        if server.is_draining:
            self._kill("killed while it drained", devices_learn=True)
        while self._raising is not None and not self._raising.done():
            await self._raising

    def _kill(self, why: str, *, devices_learn: bool) -> None:
        if self._server.is_up:
            self._server.kill(devices_learn=devices_learn, why=why)

    def _kill_at_sync(self) -> None:
        # Before it, in it, or after it: the hook is called when a sync begins and ends.
        self._syncs_to_live = self._rng.randint(1, 4)

    def _at_sync(self) -> None:
        if self._syncs_to_live:
            self._syncs_to_live -= 1
            if not self._syncs_to_live:
                self._server.kill_after(self._rng.randint(0, 6))

    def _server_died(self) -> None:
        self._syncs_to_live = 0
        if self._raising is None or self._raising.done():
            # The server may have ended itself: who raises it must not belong to the dead.
            self._raising = self._loop.create_task(self._raise_server(), context=self._context)

    async def _raise_server(self) -> None:
        server = self._server
        while True:
            await pause(1.0 + self._rng.random() * (0.5 if self._is_calm else 8.0))
            await server.recover_disk()
            if self._restart_from is not None:
                server.restore(self._restart_from)
                self._restart_from = None
                if self._rng.random() < 0.7:
                    # Else the next restore forks from the same old backup, and forgets this epoch.
                    self._backup = None
            server.habits.full = False
            if await server.start():
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
            self._kill("restarted after a disk failure", devices_learn=True)

    def _restore(self) -> None:
        if self._backup is not None and self._server.is_up:
            self._restart_from = self._backup
            self._server.kill(devices_learn=True, why="to restore a backup")
