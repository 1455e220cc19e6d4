"""How the tests make, reopen and restore each implementation, and hold its disk still.

Strategy: a `Gate` stands where a store waits for its disk, whether in a coroutine or in a thread.
While it is shut, whatever was appended is in flight; opened, or broken, it lets the test decide
what the disk answers, without any sleeping.
"""

import asyncio
import os
import random
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from mobilesync.storage.contract import Store
from mobilesync.storage.disk import Disk, restore_memory
from mobilesync.storage.embedded import EmbeddedOptions, open_embedded, restore
from mobilesync.storage.memory import MemoryStore

_PATIENCE_S = 20.0


class Gate:
    """Stands before the disk. Open at first."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._opened.set()
        self._opened_async: asyncio.Event | None = None
        self._reached: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: Exception | None = None
        self._passed: asyncio.Event | None = None
        self.passed = 0

    def shut(self) -> None:
        """From now on the disk does not answer."""
        self._loop = asyncio.get_running_loop()
        self._opened.clear()
        self._opened_async = asyncio.Event()
        self._reached = asyncio.Event()

    def open(self) -> None:
        """Let the disk answer."""
        self._opened.set()
        if self._opened_async is not None:
            self._opened_async.set()

    def break_(self, error: Exception) -> None:
        """Let the disk answer that it failed, now and for ever."""
        self._error = error
        self.open()

    async def reached(self) -> None:
        """Wait until the store waits at the shut gate."""
        assert self._reached is not None
        await asyncio.wait_for(self._reached.wait(), _PATIENCE_S)

    async def passes(self, count: int) -> None:
        """Wait until the store has passed `count` times."""
        self._loop = asyncio.get_running_loop()
        while self.passed < count:
            self._passed = asyncio.Event()
            # Looked at again, since the thread may have passed just before.
            if self.passed < count:
                await asyncio.wait_for(self._passed.wait(), _PATIENCE_S)

    async def pass_async(self) -> None:
        """The gate in a coroutine."""
        if self._opened_async is not None and not self._opened_async.is_set():
            assert self._reached is not None
            self._reached.set()
            await self._opened_async.wait()
        self._answer()

    def pass_thread(self, sync: Callable[[], None]) -> None:
        """The gate in a thread, before the real `sync`."""
        if not self._opened.is_set():
            assert self._loop is not None
            assert self._reached is not None
            self._loop.call_soon_threadsafe(self._reached.set)
            assert self._opened.wait(_PATIENCE_S)
        self._answer()
        sync()

    def _answer(self) -> None:
        if self._error is not None:
            raise self._error
        self.passed += 1
        if self._passed is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._passed.set)


class Maker(Protocol):
    """Makes stores of one implementation, all on the same disk."""

    name: str
    gate: Gate

    async def open(self, *, queue_bytes_max: int = 1 << 20, advances_max: int = 1000) -> Store:
        """A store on what the last one left behind, or an empty one."""

    async def restore(self, backup: Path) -> Store:
        """Replace the disk by one made from `backup`, and open it."""

    async def crash(self, survives: float) -> Store:
        """While the store waits at the shut gate: a store on what a power cut leaves behind, if the
        disk has that share of the bytes in flight. Who still waits for the old store is to be
        cancelled."""

    async def close(self) -> None:
        """Close what is open."""


class MemoryMaker:
    """Makes stores in memory."""

    name = "memory"

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.gate = Gate()
        self._random = random.Random(seed)
        self._disk = Disk((self._random.getrandbits(48),))
        self._opened: list[MemoryStore] = []

    async def open(
        self, *, queue_bytes_max: int = 1 << 20, advances_max: int = 1000
    ) -> MemoryStore:
        await self.close()
        store = MemoryStore(
            self._disk,
            sync=self.gate.pass_async,
            queue_bytes_max=queue_bytes_max,
            advances_max=advances_max,
        )
        self._opened.append(store)
        return store

    async def restore(self, backup: Path) -> MemoryStore:
        await self.close()
        self._disk = restore_memory(backup, random=self._random)
        return await self.open()

    async def crash(self, survives: float) -> MemoryStore:
        # Nothing is on the disk before the sync has returned, whatever the share.
        for store in self._opened:
            store.kill()
        self._opened = []
        self.gate.open()
        return await self.open()

    async def close(self) -> None:
        self.gate.open()
        for store in self._opened:
            await store.close()
        self._opened = []


class EmbeddedMaker:
    """Makes stores in a folder."""

    name = "embedded"

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.gate = Gate()
        self._random = random.Random(seed)
        self._folder = folder
        self._restores = 0
        self._path = folder / "store-0"
        self._store: Store | None = None
        self._synced: dict[str, int] = {}
        """How much of each log is durable."""

    async def open(self, *, queue_bytes_max: int = 1 << 20, advances_max: int = 1000) -> Store:
        await self.close()
        options = EmbeddedOptions(
            queue_bytes_max=queue_bytes_max,
            group_bytes_max=min(queue_bytes_max, 1 << 16),
            advances_max=advances_max,
            cached_targets_max=2,
            cached_channels_max=2,
        )
        self._store = await open_embedded(
            self._path, random=self._random, options=options, sync=self._sync
        )
        self._synced = self._log_sizes()
        return self._store

    async def restore(self, backup: Path) -> Store:
        await self.close()
        self._restores += 1
        self._path = self._folder / f"store-{self._restores}"
        restore(backup, self._path, random=self._random)
        return await self.open()

    async def crash(self, survives: float) -> Store:
        self._restores += 1
        left = self._folder / f"store-{self._restores}"
        # The loop stands still, and the writer's thread at the gate. Nor is there a compaction
        # yet, which would take files away: a test opens its store only a few times.
        shutil.copytree(self._path, left)
        for name, size in self._log_sizes().items():
            durable = self._synced.get(name, 0)
            os.truncate(left / "rocksdb" / name, durable + round(survives * (size - durable)))
        await self.close()
        self._path = left
        return await self.open()

    def _sync(self, sync: Callable[[], None]) -> None:
        self.gate.pass_thread(sync)
        self._synced = self._log_sizes()

    def _log_sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for path in (self._path / "rocksdb").glob("*.log"):
            # A flush may remove a log while we look.
            with suppress(FileNotFoundError):
                sizes[path.name] = path.stat().st_size
        return sizes

    async def close(self) -> None:
        self.gate.open()
        if self._store is not None:
            await self._store.close()
            self._store = None


MAKERS: tuple[type[MemoryMaker | EmbeddedMaker], ...] = (MemoryMaker, EmbeddedMaker)
