"""A whole engine in virtual time, with a store whose reads wait when a test wants it.

Time is the simulator's: `settle` returns once nothing is left to do at this moment, so no test
waits for anything by the clock on the wall.
"""

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, ParamSpec, Self

from structlog.testing import capture_logs

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import TokenRefused
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.domain.sync_point import Head
from mobilesync.engine.apps import App, Apps, SecretKey, UserCallback
from mobilesync.engine.courier import Courier
from mobilesync.engine.happenings import Listener
from mobilesync.engine.options import PublisherLimits, ServiceOptions, SessionOptions
from mobilesync.engine.publication import Publication, Published
from mobilesync.engine.push_gateway import PushGateway
from mobilesync.engine.service import Service
from mobilesync.engine.tokens import Identity
from mobilesync.engine.user_check import UserCheck
from mobilesync.engine.waker import Waker
from mobilesync.protocol.codes import CloseCode
from mobilesync.sim.clock import SimClock
from mobilesync.sim.loop import VirtualLoop, virtual_loop
from mobilesync.storage.contract import Page
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.engine.device import Device

APP = "demo"
CALLBACK = UserCallback("https://demo.example", "whsec_" + "a2" * 22, APP)
EPOCH = 7
_P = ParamSpec("_P")
_Async = Callable[_P, Coroutine[Any, Any, None]]


def simulated(test: _Async[_P]) -> Callable[_P, None]:
    """Run an async test in virtual time; whatever fails behind its back fails the test."""
    return failing()(test)


class failing:  # noqa: N801 - reads as the decorator that it is
    """As `simulated`, for a test that has the engine log the `expected` failures."""

    def __init__(self, *expected: str) -> None:
        self.expected = set(expected)

    def __call__(self, test: _Async[_P]) -> Callable[_P, None]:
        @functools.wraps(test)
        def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
            loop = virtual_loop()
            try:
                with capture_logs() as entries:
                    loop.run_until_complete(test(*args, **kwargs))
            finally:
                loop.close()
            assert not loop.failures
            failed = [entry for entry in entries if entry["log_level"] == "error"]
            assert {entry["event"] for entry in failed} == self.expected, failed

        return run


async def settle() -> None:
    """Let everything happen that needs no time to pass (but for a millisecond)."""
    await asyncio.sleep(0.001)


async def passes(seconds: float) -> None:
    """Let so much time pass."""
    await asyncio.sleep(seconds)


class Gate:
    """Holds calls back until it is opened."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self.waiting = 0

    async def passed(self) -> None:
        self.waiting += 1
        await self._opened.wait()
        self.waiting -= 1

    def open(self) -> None:
        self._opened.set()


class SlowStore(MemoryStore):
    """A store as a remote one is: an answer may be on its way while the world changes.

    `before` and `after` are awaited around each heads and read, with the method's name.
    """

    before: Callable[[str], Awaitable[None]] | None = None
    after: Callable[[str], Awaitable[None]] | None = None

    async def heads(self, app: str, targets: Sequence[str]) -> dict[Channel, Head]:
        if self.before:
            await self.before("heads")
        answer = await super().heads(app, targets)
        if self.after:
            await self.after("heads")
        return answer

    async def read(self, channel: Channel, after: int, count_max: int, bytes_max: int) -> Page:
        if self.before:
            await self.before("read")
        answer = await super().read(channel, after, count_max, bytes_max)
        if self.after:
            await self.after("read")
        return answer

    def hold(self, *names: str, count: int = 1, spare: int = 0) -> Gate:
        """Hold back the answers of the next `count` calls of `names`, after `spare` of them."""
        gate = Gate()
        calls = 0

        async def after(name: str) -> None:
            nonlocal calls
            calls += name in names
            if name in names and spare < calls <= spare + count:
                await gate.passed()

        self.after = after
        return gate


class PlainTokens:
    """Tokens in plain text: app|user|device|expires_at_ms. Others are refused."""

    def __init__(self) -> None:
        self.gate: Gate | None = None
        self.error: Exception | None = None

    async def verify(self, token: str) -> Identity:
        if self.gate is not None:
            await self.gate.passed()
        if self.error is not None:
            raise self.error
        parts = token.split("|")
        if len(parts) != 4:
            raise TokenRefused(CloseCode.TOKEN_INVALID, "not one of ours")
        return Identity(parts[0], parts[1], parts[2], int(parts[3]))


class DeafWaker(Waker):
    """Loses wakes while it is deaf."""

    deaf = False

    def wake(self, app: str, target: str) -> None:
        if not self.deaf:
            super().wake(app, target)


def options(**session: float) -> ServiceOptions:
    """The defaults, but for some options of the session; nothing happens by itself for long.

    Without a tail, so that every push has to wait for the store: that is where the races are.
    """
    made = replace(SessionOptions(), **session)  # type: ignore[arg-type]  # ints and floats alike
    return ServiceOptions(
        PublisherLimits(),
        made,
        create_biz_on_first_use=True,
        tail_bytes=0,
        sweep_interval_s=1e6,
    )


class World:
    """One service over one store, and its devices."""

    def __init__(
        self,
        chosen: ServiceOptions | None = None,
        *,
        disk: Disk | None = None,
        sync: Callable[[], Awaitable[None]] | None = None,
        listener: Listener | None = None,
        gateways: Mapping[str, Sequence[PushGateway]] | None = None,
        user_check: UserCheck | None = None,
        courier: Courier | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.clock = SimClock(loop)
        self.disk = disk or Disk((EPOCH,))
        self.store = SlowStore(self.disk, sync=sync) if sync else SlowStore(self.disk)
        self.tokens = PlainTokens()
        self.waker = DeafWaker()
        key = SecretKey(b"k" * 32)
        self.service = Service(
            self.store,
            Apps([App(APP, (key,), user_check=CALLBACK), App("other", (key,))]),
            self.tokens,
            clock=self.clock,
            entropy=random.Random(repr(self.disk.lineage)),
            options=chosen or options(),
            waker=self.waker,
            listener=listener,
            gateways=gateways,
            user_check=user_check,
            courier=courier,
        )
        self.sessions = self.service.sessions
        self.metrics = self.service.metrics
        self.configs = self.service.configs

    async def __aenter__(self) -> Self:
        await self.service.start()
        await self.config("CHAT")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.service.stop()
        await self.store.close()

    def device(self, name: str = "d1", user: str = "u1", *, app: str = APP) -> Device:
        """A device that is not connected yet."""
        return Device(self.sessions, name, user, app=app)

    async def online(self, name: str = "d1", user: str = "u1") -> Device:
        """A device that is connected and has all it should."""
        device = self.device(name, user)
        device.connect()
        await settle()
        assert device.welcomed
        return device

    async def publish(
        self, target: str, *payloads: bytes, biz: str = "CHAT", app: str = APP, **more: Any
    ) -> list[Published]:
        items = [Publication(biz=biz, target=target, payload=p, **more) for p in payloads]
        return await self.service.publisher.publish(app, items)

    async def config(self, biz: str, **rules: Any) -> None:
        await self.configs.put(APP, SyncConfig(biz=biz, **rules))

    def is_offline(self, biz: str) -> bool:
        """Whether the biz was taken offline."""
        config = self.configs.find(APP, biz)
        return config is not None and config.status == "offline"

    def forgotten(self) -> bool:
        """Whether nobody is connected, watched, or waits for a login."""
        logins = self.sessions._logins._tasks
        return not (len(self.sessions) or self.waker._sleepers or logins)
