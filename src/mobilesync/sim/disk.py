"""The simulated disk: a memory store whose sync is slow and fails, and what a death leaves of it.

Strategy: `SimStore` is the reference store, with a seeded delay in every step that a real store may
take time for. It remembers the appends that no sync has confirmed, in order. When the server dies,
`after_death` decides what the power cut left: everything confirmed, and of the rest some seeded
beginning of what the running sync had been given; the real store would find no more than that in
its log.

What becomes durable is told by the disk itself (`WitnessedDisk`), whoever writes to it.

Not here: when the server dies (faults.py), the history (server.py).
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import Refused
from mobilesync.domain.oplog import Appended, Draft, Oplog
from mobilesync.domain.sync_point import Head
from mobilesync.sim.loop import pause
from mobilesync.storage.contract import Also, Page
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore


class DiskFull(OSError):
    """The simulated fsync failed."""


def _unseen(channel: Channel, oplog: Oplog) -> None:
    """Nobody watches."""


@dataclass
class WitnessedDisk(Disk):
    """A disk that tells which oplogs become durable."""

    witness: Callable[[Channel, Oplog], None] = _unseen

    def append(self, draft: Draft, oplog_id: int) -> None:
        super().append(draft, oplog_id)
        self.witness(draft.channel, self.oplogs[draft.channel][-1])

    def copy(self) -> "WitnessedDisk":
        return WitnessedDisk(**vars(super().copy()), witness=self.witness)


class DiskHabits:
    """How the disk behaves now; faults.py changes it."""

    def __init__(self) -> None:
        self.sync_s = 0.003
        self.read_s = 0.0
        """The longest time that a read takes."""
        self.full = False
        self.on_sync: Callable[[], None] = _nothing
        """Called when a sync begins and when it ends."""


def _nothing() -> None:
    """Nobody listens."""


class SimStore(MemoryStore):
    """One life of the store, over a `Disk` that outlives it."""

    def __init__(self, disk: Disk, habits: DiskHabits, rng: random.Random) -> None:
        super().__init__(disk, sync=self._sync_disk)
        self._habits = habits
        self._rng = rng
        self._unconfirmed: dict[int, tuple[Sequence[Draft], Also | None]] = {}
        self._numbered = 0
        self._syncing_to = 0
        """Appends up to this number were given to the sync that runs, or ran last."""

    async def append(self, drafts: Sequence[Draft], also: Also | None = None) -> list[Appended]:
        number = self._numbered = self._numbered + 1
        self._unconfirmed[number] = (drafts, also)
        try:
            return await super().append(drafts, also)
        except Refused:
            del self._unconfirmed[number]
            raise

    async def heads(self, app: str, targets: Sequence[str]) -> dict[Channel, Head]:
        await self._be_slow()
        heads = await super().heads(app, targets)
        await self._be_slow()
        return heads

    async def read(self, channel: Channel, after: int, count_max: int, bytes_max: int) -> Page:
        await self._be_slow()
        page = await super().read(channel, after, count_max, bytes_max)
        await self._be_slow()
        return page

    async def after_death(self, rng: random.Random) -> Disk:
        """The disk as the next server finds it."""
        disk = self.disk.copy()
        given = [d for number, d in self._unconfirmed.items() if number <= self._syncing_to]
        survivors = given[: rng.randint(0, len(given))]
        if survivors:
            # The same appends in the same order get the same ids.
            finder = MemoryStore(disk)
            for drafts, also in survivors:
                await finder.append(drafts, also)
            await finder.close()
        return disk

    async def _be_slow(self) -> None:
        longest_s = self._habits.read_s
        if longest_s and self._rng.random() < 0.3:
            await pause(self._rng.random() * longest_s)

    async def _sync_disk(self) -> None:
        self._syncing_to = self._numbered
        self._habits.on_sync()
        await pause(self._habits.sync_s * (0.2 + self._rng.random()))
        if self._habits.full:
            raise DiskFull("no space left on the simulated disk")
        for number in [each for each in self._unconfirmed if each <= self._syncing_to]:
            del self._unconfirmed[number]
        self._habits.on_sync()
