"""What a death leaves on the disk."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import OutcomeUnknown, StoreUnavailable
from mobilesync.domain.oplog import Draft
from mobilesync.sim.disk import DiskHabits, SimStore
from mobilesync.sim.loop import Process, VirtualLoop, pause, virtual_loop
from mobilesync.storage.disk import Disk

CHANNEL = Channel("shop", "CHAT", "user:ann")


def draft(message_id: str) -> Draft:
    return Draft(CHANNEL, b"payload", message_id, 0, 2**52)


def run(coroutine: Coroutine[Any, Any, Any]) -> None:
    loop = virtual_loop()
    try:
        loop.run_until_complete(loop.create_task(coroutine))
    finally:
        loop.close()


def message_ids(disk: Disk) -> list[str]:
    return [oplog.message_id for oplog in disk.oplogs.get(CHANNEL, [])]


async def die_in_the_second_sync(loop: VirtualLoop, seed: int) -> Disk:
    habits = DiskHabits()
    store = SimStore(Disk(lineage=(1,)), habits, random.Random(seed))
    process = Process("server")
    await loop.spawn(process, store.append([draft("a")]))
    dying = [loop.spawn(process, store.append([draft(each)])) for each in ("b", "c")]
    await pause(habits.sync_s * 0.1)
    late = loop.spawn(process, store.append([draft("late")]))
    await pause(0)
    loop.kill(process)
    disk = await store.after_death(random.Random(seed))
    assert not any(task.done() for task in [*dying, late])
    return disk


def test_confirmed_stays_and_of_the_rest_a_beginning() -> None:
    found = set()

    async def main() -> None:
        running = asyncio.get_running_loop()
        assert isinstance(running, VirtualLoop)
        for seed in range(30):
            disk = await die_in_the_second_sync(running, seed)
            found.add(tuple(message_ids(disk)))

    run(main())
    assert found == {("a",), ("a", "b"), ("a", "b", "c")}


def test_a_full_disk_fails_the_store_for_good() -> None:
    async def main() -> None:
        habits = DiskHabits()
        store = SimStore(Disk(lineage=(1,)), habits, random.Random(0))
        habits.full = True
        with pytest.raises(OutcomeUnknown):
            await store.append([draft("a")])
        habits.full = False
        with pytest.raises(StoreUnavailable):
            await store.append([draft("b")])
        assert len((await store.read(CHANNEL, 0, 10, 10)).oplogs) == 0
        survivors = {
            tuple(message_ids(await store.after_death(random.Random(seed)))) for seed in range(20)
        }
        assert survivors == {(), ("a",)}, "a failed sync says nothing about the disk"

    run(main())


def test_a_copy_is_independent() -> None:
    async def main() -> None:
        disk = Disk(lineage=(1,))
        store = SimStore(disk, DiskHabits(), random.Random(0))
        await store.append([draft("a")])
        copied = disk.copy()
        await store.append([draft("b")])
        assert message_ids(copied) == ["a"]
        assert message_ids(disk) == ["a", "b"]

    run(main())


def test_slow_reads_answer_the_same() -> None:
    async def main() -> None:
        habits = DiskHabits()
        habits.read_s = 1.0
        store = SimStore(Disk(lineage=(1,)), habits, random.Random(0))
        await store.append([draft("a")])
        for _ in range(20):
            assert (await store.heads("shop", [CHANNEL.target]))[CHANNEL].last == 1
            assert len((await store.read(CHANNEL, 0, 10, 10)).oplogs) == 1

    run(main())
