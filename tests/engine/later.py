"""A scheduler for tests: in virtual time, over a memory store, and nothing else of an engine."""

import asyncio
from collections.abc import Sequence
from typing import Self

from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Appended, Draft
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.configs import SyncConfigs
from mobilesync.engine.options import SchedulerOptions
from mobilesync.engine.scheduled import Scheduled
from mobilesync.engine.scheduler import Scheduler
from mobilesync.engine.ticker import Ticker
from mobilesync.sim.clock import SimClock
from mobilesync.sim.loop import VirtualLoop
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.engine.world import Gate

APP = "demo"
CHAT = Channel(APP, "CHAT", "user:u1")
NEWS = Channel(APP, "NEWS", "everyone")
BIZZES = ("CHAT", "NEWS")


def later(
    due_ms: int, message_id: str, channel: Channel = CHAT, *, payload: bytes = b"hello"
) -> Scheduled:
    """An oplog for `due_ms` that then lasts a day."""
    return Scheduled(
        due_ms, Draft(channel, payload, message_id, due_ms, due_ms + 86_400_000, conditions=None)
    )


class SlowSync:
    """A sync that waits for its gate, if it has one."""

    def __init__(self) -> None:
        self.gate: Gate | None = None

    async def __call__(self) -> None:
        if self.gate is not None:
            await self.gate.passed()


class Later:
    """A scheduler that ticks, and what it appended."""

    def __init__(
        self,
        disk: Disk | None = None,
        options: SchedulerOptions | None = None,
        store: MemoryStore | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.clock = SimClock(loop)
        self.store = store or MemoryStore(disk or Disk((7,)))
        self.disk = self.store.disk
        self.configs = SyncConfigs(self.store)
        self.error: Exception | None = None
        """What appends raise, if set."""
        self.batches: list[list[Draft]] = []
        self.scheduler = Scheduler(
            self.store, self.configs, self.append, clock=self.clock, options=options
        )
        self._ticker = Ticker("scheduler", self.scheduler.options.tick_s, self.scheduler.tick)

    async def __aenter__(self) -> Self:
        await self.configs.load()
        for biz in BIZZES:
            await self.configs.put(APP, SyncConfig(biz=biz))
        await self.scheduler.load()
        self._ticker.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._ticker.stop()
        await self.scheduler.stop()
        await self.store.close()

    async def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        """The publisher's, in small."""
        if self.error is not None:
            raise self.error
        self.batches.append(list(drafts))
        return await self.store.append(drafts)

    def now_ms(self) -> int:
        return self.clock.wall_ms()

    def stored(self, channel: Channel = CHAT) -> list[str]:
        """Message ids of what was appended, in the order of the oplog ids."""
        return [oplog.message_id for oplog in self.disk.oplogs.get(channel, [])]

    def left(self) -> int:
        """Documents of scheduled oplogs, of both kinds."""
        return sum(kind.startswith("scheduled") for kind, _ in self.disk.documents)
