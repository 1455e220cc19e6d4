"""What the memory store does beyond the contract suite: dying like a process."""

import asyncio
import copy
from pathlib import Path
from random import Random

import pytest

from mobilesync.domain.errors import OutcomeUnknown
from mobilesync.storage.disk import Disk, restore_memory
from mobilesync.storage.memory import MemoryStore
from tests.storage.drafts import draft, drafts, ids, step


async def test_a_kill_loses_what_was_not_synced_and_nothing_else() -> None:
    disk = Disk((7,))
    gate = asyncio.Event()
    gate.set()

    async def sync() -> None:
        await gate.wait()

    store = MemoryStore(disk, sync=sync)
    await store.append(drafts(2))
    store.advance([step(7, 1)])
    gate.clear()
    call = asyncio.create_task(store.append(drafts(2, begin=3)))
    for _ in range(5):
        await asyncio.sleep(0)
    store.kill()
    gate.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not call.done()
    call.cancel()
    again = MemoryStore(disk)
    assert await ids(again) == [1, 2]
    assert await again.points("shop", "phone") == {}
    assert (await again.append([draft("m3")]))[0].id == 3


async def test_the_disk_changes_only_at_the_sync() -> None:
    disk = Disk((7,))
    states: list[int] = []

    async def sync() -> None:
        await asyncio.sleep(0)
        states.append(sum(len(oplogs) for oplogs in disk.oplogs.values()))

    store = MemoryStore(disk, sync=sync)
    await store.append(drafts(2))
    await store.append(drafts(2, begin=3))
    assert states == [0, 2]


async def test_a_copied_disk_is_a_store_of_its_own() -> None:
    disk = Disk((7,))
    store = MemoryStore(disk)
    await store.append(drafts(2))
    other = MemoryStore(copy.deepcopy(disk))
    await store.append(drafts(1, begin=9))
    assert await ids(other) == [1, 2]


async def test_any_exception_of_the_disk_is_a_failure() -> None:
    async def sync() -> None:
        raise KeyError

    store = MemoryStore(Disk((7,)), sync=sync)
    with pytest.raises(OutcomeUnknown):
        await store.append(drafts(1))
    assert store.stats().failed == "KeyError"


async def test_restored_from_a_backup(tmp_path: Path) -> None:
    store = MemoryStore(Disk((7,)))
    await store.append(drafts(3))
    await store.backup(tmp_path / "backup")
    disk = restore_memory(tmp_path / "backup", random=Random(1))
    assert disk.lineage[0] == 7
    assert len(set(disk.lineage)) == 2
    assert await ids(MemoryStore(disk)) == [1, 2, 3]
