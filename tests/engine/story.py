"""A story of two devices: whatever happens to them, and what they must have in the end.

Not here: who chooses what happens next (test_convergence.py).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from structlog.testing import capture_logs

from mobilesync.domain.channel import Channel, session_targets
from mobilesync.engine.session import COMMANDS_MAX
from mobilesync.sim.loop import virtual_loop
from tests.engine.device import Device
from tests.engine.world import APP, World, options

BIZZES = ("A", "B")
USERS = ("u1", "u2", "")
TARGETS = ("user:u1", "user:u2", "device:d1", "device:d2", "everyone")
PAUSES_S = (0.0, 0.001, 0.004, 0.03)
SMALL = replace(
    options(
        window_count=8,
        push_count=2,
        push_bytes=100,
        buffered_bytes_max=300,
        messages_per_s_max=10**6,
        ack_timeout_s=10**6,
    ),
    pump_workers=2,
)


class Story:
    """Two devices, two users, two bizzes, and a store whose answers take their time."""

    def __init__(self, seed: int) -> None:
        self.loop = virtual_loop()
        self.published: dict[tuple[str, str], list[tuple[bytes, bool]]] = {}
        self.number = 0
        self.wakes_lost = False
        self._logs = capture_logs()
        self._entries = self._logs.__enter__()
        self._run(self._begin(random.Random(seed)), 0.0)

    async def _begin(self, delays: random.Random) -> None:
        self.world = await World(SMALL).__aenter__()

        async def wait(name: str) -> None:
            delay_s = delays.choice((0.0, 0.0, 0.001, 0.005, 0.02))
            if delay_s:
                await asyncio.sleep(delay_s)

        self.world.store.before = self.world.store.after = wait
        for biz in BIZZES:
            await self.world.config(biz)
        self.devices = [self.world.device("d1", "u1"), self.world.device("d2", "u2")]
        self.devices[1].os = "ios"
        for device in self.devices:
            device.high_bytes = 200
            device.connect()

    def _run(self, step: Awaitable[object], pause_s: float) -> None:
        async def both() -> None:
            await step
            await asyncio.sleep(pause_s)

        self.loop.run_until_complete(both())
        assert not self.loop.failures, self.loop.failures

    def _do(self, step: Callable[[], object], pause_s: float) -> None:
        async def now() -> None:
            step()

        self._run(now(), pause_s)

    # What may happen ---------------------------------------------------------------------

    def publish(self, biz: str, target: str, count: int, ios: bool, pause_s: float) -> None:
        if self.world.is_offline(biz):
            return
        payloads = [b"%d" % (self.number + each) for each in range(count)]
        self.number += count
        self.published.setdefault((biz, target), []).extend((p, ios) for p in payloads)
        os = ("ios",) if ios else ()
        self._run(self.world.publish(target, *payloads, biz=biz, os=os), pause_s)

    def connect(self, number: int, cleanly: bool, pause_s: float) -> None:
        """A new link, with the old one given up but perhaps half-open."""

        def step() -> None:
            if cleanly:
                self.devices[number].link.lose()
            self.devices[number].connect()

        self._do(step, pause_s)

    def lose(self, number: int, pause_s: float) -> None:
        self._do(self.devices[number].link.lose, pause_s)

    def stop_or_go_on_reading(self, number: int, pause_s: float) -> None:
        link = self.devices[number].link
        self._do(link.release if link.holding else link.hold, pause_s)

    def stop_or_go_on_acking(self, number: int, pause_s: float) -> None:
        device = self.devices[number]
        if not device.acking and not device.welcomed:
            return
        device.acking = not device.acking
        self._do(device.ack if device.acking else lambda: None, pause_s)

    def change_user(self, number: int, user: str, pause_s: float) -> None:
        device = self.devices[number]

        def step() -> None:
            if device.closed or not device.heard:
                # Nobody to tell: the next Hello does.
                device.link.lose()
                device.user = user
            elif len(device.unanswered) < COMMANDS_MAX:
                if user:
                    device.bind(user)
                else:
                    device.unbind()

        self._do(step, pause_s)

    def ping(self, number: int, pause_s: float) -> None:
        device = self.devices[number]
        self._do(device.ping if device.welcomed else lambda: None, pause_s)

    def offline_or_online(self, biz: str, pause_s: float) -> None:
        status = "online" if self.world.is_offline(biz) else "offline"
        self._run(self.world.config(biz, status=status), pause_s)

    def lose_wakes_or_not(self, pause_s: float) -> None:
        self.world.waker.deaf = not self.world.waker.deaf
        self.wakes_lost = True
        self._do(lambda: None, pause_s)

    def sweep(self, number: int, pause_s: float) -> None:
        for session in self.world.sessions.slice(number, 3):
            self.world.sessions.wake_all_targets(session)
        self._do(lambda: None, pause_s)

    # How it ends -------------------------------------------------------------------------

    def end(self) -> None:
        """Let it become calm, and check that each device has exactly what it should."""
        try:
            self._run(self._calm(), 0.0)
            self._run(self.world.__aexit__(), 0.1)
        finally:
            self.loop.close()
            self._logs.__exit__(None, None, None)
        assert [entry for entry in self._entries if entry["log_level"] == "error"] == []

    async def _calm(self) -> None:
        world = self.world
        world.waker.deaf = False
        for biz in BIZZES:
            if world.is_offline(biz):
                await world.config(biz)
        for device in self.devices:
            device.link.release()
        await asyncio.sleep(1.0)
        for device in self.devices:
            # Nothing is said that need not be: whoever waits for no ack must not depend on one.
            silent, device.acking = not device.acking, True
            if device.closed:
                device.connect()
            elif silent:
                device.ack()
        await asyncio.sleep(1.0)
        if self.wakes_lost:
            # Without, nothing may depend on the sweep.
            for session in world.sessions.slice(0, 1):
                world.sessions.wake_all_targets(session)
        await asyncio.sleep(5.0)
        for device in self.devices:
            await self._check_pushed(device)
            device.ping()
        await asyncio.sleep(1.0)
        for device in self.devices:
            await self._check_points(device)
        living = {device.session for device in self.devices}
        assert set(world.sessions._all.values()) == living
        watched = {sleeper for each in world.waker._sleepers.values() for sleeper in each}
        assert watched == living

    async def _check_pushed(self, device: Device) -> None:
        assert device.welcomed
        mine = session_targets(device.user, device.device)
        for (biz, target), published in self.published.items():
            should = [p for p, ios in published if not ios or device.os == "ios"]
            got = device.got(biz, target)
            if target in mine:
                assert got == should
            else:
                assert got == should[: len(got)]
                assert not got or target.startswith("user:")

    async def _check_points(self, device: Device) -> None:
        session = device.session
        assert session is not None
        mine = session_targets(device.user, device.device)
        assert session.targets == mine
        stored = await self.world.store.points(APP, device.device)
        for (biz, target), published in self.published.items():
            if target in mine:
                last = len(published)
                assert device.received(biz, target) == last
                cursor = session.cursors[Channel(APP, biz, target)]
                assert cursor.received == cursor.told == cursor.read == last
                assert stored[Channel(APP, biz, target)].received == last
        left = (session.behind, session.dirty, session.skipped, session.commands)
        assert not any(left), left
        assert (session.window.bytes, session.window.count) == (0, 0)
        assert not any((session.queued, session.pumping, session.changing))
