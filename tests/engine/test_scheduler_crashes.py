"""Scheduled publishes over crashes, refusals, and bizzes that come and go: nothing is lost, and
nothing is appended twice."""

import asyncio

import pytest

from mobilesync.domain.errors import (
    MobilesyncError,
    OutcomeUnknown,
    Overloaded,
    StoreUnavailable,
)
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.options import SchedulerOptions
from mobilesync.engine.scheduled import BY_ID, id_key
from mobilesync.sim.loop import Process, VirtualLoop
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.engine.later import APP, NEWS, Later, later
from tests.engine.world import failing, passes, simulated

SECOND_MS = 1000
HOUR_MS = 3600 * SECOND_MS


# Crashes and restarts --------------------------------------------------------------------------


@simulated
async def test_after_a_restart_it_goes_on_and_late_is_better_than_never() -> None:
    async with Later() as world:
        now_ms = world.now_ms()
        await world.scheduler.put([later(now_ms + HOUR_MS, "late"), later(now_ms + HOUR_MS, "er")])
        await world.scheduler.put([later(now_ms + 3 * HOUR_MS, "z")])
    await passes(2 * 3600)
    async with Later(world.disk) as world:
        assert world.scheduler.waiting == 3
        due_ms = world.now_ms() + HOUR_MS - 2 * SECOND_MS
        await world.scheduler.put([later(now_ms + 3 * HOUR_MS, "behind"), later(due_ms, "before")])
        await passes(1)
        assert world.stored() == ["late", "er"]
        await passes(3600)
        assert world.stored() == ["late", "er", "before", "z", "behind"]


@simulated
async def test_killed_at_any_step_each_is_appended_exactly_once_and_in_order() -> None:
    """Kills the whole process at each of its steps in turn, between and within put, append and
    deletion, and lets another one go on with the same disk."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    repeated = 0
    ended = False
    steps = 0
    while not ended:
        steps += 1
        assert steps < 400
        disk = Disk((7,))
        promised: list[str] = []
        process = Process(f"server-{steps}")
        process.steps_left = steps
        life = loop.spawn(process, _live(disk, promised))
        await passes(3)
        ended = process.alive
        if ended:
            await life
        waiting = [key for kind, key in disk.documents if kind == BY_ID]
        repeated += any(id_key(*place) in waiting for place in disk.message_ids)
        async with Later(disk) as world:
            await passes(3)
            stored = world.stored()
            assert stored == sorted(set(stored)), steps
            assert set(promised) <= set(stored), steps
            assert world.left() == world.scheduler.waiting == 0
    assert steps > 30
    assert repeated > 3, "kills between an append and its deletion"


async def _live(disk: Disk, promised: list[str]) -> None:
    """Schedule six in two calls, and append them in three batches."""

    async def sync() -> None:
        await asyncio.sleep(0)

    options = SchedulerOptions(batch_count=2)
    async with Later(disk, options, MemoryStore(disk, sync=sync)) as world:
        for begin in (0, 3):
            items = [later(world.now_ms() + SECOND_MS, f"m{begin + n}") for n in range(3)]
            await world.scheduler.put(items)
            promised.extend(item.draft.message_id for item in items)
        await passes(1.5)
        assert world.stored() == promised


@simulated
async def test_appended_but_not_deleted_it_is_a_duplicate_and_goes() -> None:
    async with Later() as world:
        item = later(world.now_ms() + SECOND_MS, "m1")
        await world.scheduler.put([item])
        await world.store.append([item.draft])
        await passes(2)
        assert world.stored() == ["m1"]
        assert world.left() == 0


# Refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [Overloaded("full"), StoreUnavailable("broken"), OutcomeUnknown("who knows")]
)
def test_what_is_refused_stays_and_is_tried_again(error: MobilesyncError) -> None:
    @simulated
    async def run() -> None:
        async with Later() as world:
            await world.scheduler.put([later(world.now_ms() + SECOND_MS, "m1")])
            world.error = error
            await passes(60)
            assert world.stored() == []
            assert world.scheduler.waiting == 1
            assert 58 < world.scheduler.late_s < 60
            world.error = None
            await passes(0.5)
            assert world.stored() == ["m1"]
            assert world.scheduler.late_s == 0

    run()


@failing("tick_failed")
async def test_what_nobody_foresaw_keeps_nothing_from_the_next_try() -> None:
    async with Later() as world:
        await world.scheduler.put([later(world.now_ms() + SECOND_MS, "m1")])
        world.error = ZeroDivisionError()
        await passes(5)
        world.error = None
        await passes(0.5)
        assert world.stored() == ["m1"]


@simulated
async def test_a_refused_put_leaves_no_trace() -> None:
    async with Later() as world:
        await world.store.close()
        with pytest.raises(StoreUnavailable):
            await world.scheduler.put([later(world.now_ms() + SECOND_MS, "m1")])
        assert world.scheduler.waiting == 0
        assert world.left() == 0


# Offline, removed ------------------------------------------------------------------------------


@simulated
async def test_while_its_biz_is_offline_it_waits_and_holds_up_no_other() -> None:
    async with Later() as world:
        due_ms = world.now_ms() + SECOND_MS
        await world.scheduler.put([later(due_ms, "m1"), later(due_ms, "n1", NEWS)])
        await world.configs.put(APP, SyncConfig(biz="CHAT", status="offline"))
        await passes(3600)
        assert (world.stored(), world.stored(NEWS)) == ([], ["n1"])
        assert world.scheduler.waiting == 1
        assert world.scheduler.late_s == 0, "it is the operator's wish"
        await world.configs.put(APP, SyncConfig(biz="CHAT"))
        await passes(0.5)
        assert world.stored() == ["m1"]


@simulated
async def test_without_its_biz_it_is_dropped_when_due_and_counted() -> None:
    async with Later() as world:
        due_ms = world.now_ms() + SECOND_MS
        await world.scheduler.put([later(due_ms, "m1"), later(due_ms, "n1", NEWS)])
        await world.scheduler.put([later(due_ms + HOUR_MS, "m2")])
        await world.configs.remove(APP, "CHAT")
        await passes(2)
        assert (world.stored(), world.stored(NEWS)) == ([], ["n1"])
        assert (world.scheduler.dropped, world.scheduler.appended) == (1, 1)
        await world.configs.put(APP, SyncConfig(biz="CHAT"))
        await passes(3600)
        assert world.stored() == ["m2"], "a biz that is back when it is due has never been gone"
        assert world.left() == 0
