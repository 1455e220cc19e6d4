"""Scheduled publishes: due on time, in order, exactly once, whatever crashes, jumps or refuses."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import (
    InvalidRequest,
    Overloaded,
)
from mobilesync.domain.oplog import Appended, Draft
from mobilesync.engine.metrics import Metrics
from mobilesync.engine.options import SchedulerOptions
from mobilesync.engine.scheduler import AHEAD_MS_MAX, PAGE_COUNT_MAX, Scheduler
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.engine.later import APP, CHAT, NEWS, Later, SlowSync, later
from tests.engine.world import Gate, World, passes, settle, simulated

SECOND_MS = 1000
HOUR_MS = 3600 * SECOND_MS


# Due, in order -------------------------------------------------------------------------------


@simulated
async def test_it_is_appended_within_a_second_of_its_time_and_not_before() -> None:
    async with Later() as world:
        due_ms = world.now_ms() + HOUR_MS
        assert await world.scheduler.put([later(due_ms, "m1")]) == [False]
        await passes(3599.9)
        assert world.stored() == []
        await passes(0.6)
        assert world.stored() == ["m1"]
        (oplog,) = world.disk.oplogs[CHAT]
        assert (oplog.payload, oplog.published_at_ms) == (b"hello", due_ms)
        assert world.left() == 0
        assert world.scheduler.waiting == 0


@simulated
async def test_what_is_due_together_keeps_the_order_of_the_puts() -> None:
    async with Later() as world:
        due_ms = world.now_ms() + SECOND_MS
        await world.scheduler.put([later(due_ms, "b"), later(due_ms, "a"), later(due_ms, "c")])
        await world.scheduler.put([later(due_ms - 1, "z"), later(due_ms, "d", NEWS)])
        await passes(2)
        assert world.stored() == ["z", "b", "a", "c"]
        (batch,) = world.batches
        assert [draft.message_id for draft in batch] == ["z", "b", "a", "c", "d"]


@simulated
async def test_thousands_in_several_bizzes_come_in_order_and_in_batches() -> None:
    async with Later(options=SchedulerOptions(batch_count=100)) as world:
        begin_ms = world.now_ms() + 10 * SECOND_MS
        chance = random.Random(3)
        items = [
            later(begin_ms + chance.randrange(500), f"m{number}", chance.choice((CHAT, NEWS)))
            for number in range(3000)
        ]
        for begin in range(0, 3000, 300):
            assert not any(await world.scheduler.put(items[begin : begin + 300]))
        assert world.scheduler.waiting == 3000
        await passes(11)
        assert max(map(len, world.batches)) == 100
        appended = [draft.message_id for batch in world.batches for draft in batch]
        expected = sorted(range(3000), key=lambda number: (items[number].due_ms, number))
        assert appended == [f"m{number}" for number in expected]
        assert world.left() == world.scheduler.waiting == 0


@simulated
async def test_large_payloads_make_small_batches() -> None:
    options = SchedulerOptions(batch_bytes=250)
    async with Later(options=options) as world:
        due_ms = world.now_ms() + SECOND_MS
        sizes = (100, 100, 100, 300, 1)
        await world.scheduler.put(
            [later(due_ms, f"m{n}", payload=b"x" * size) for n, size in enumerate(sizes)]
        )
        await passes(2)
        assert [len(batch) for batch in world.batches] == [2, 1, 1, 1]


@simulated
async def test_one_tick_does_so_much_and_leaves_the_rest_to_the_next() -> None:
    async with Later(options=SchedulerOptions(batch_count=10, batches_max=3)) as world:
        await world.scheduler.put([later(world.now_ms(), f"m{n}") for n in range(70)])
        for done in (30, 60, 70):
            await passes(0.26)
            assert world.stored() == [f"m{n}" for n in range(done)]


@simulated
async def test_a_due_time_that_has_passed_comes_with_the_next_tick() -> None:
    async with Later() as world:
        await world.scheduler.put([later(0, "m1")])
        await passes(0.3)
        assert world.stored() == ["m1"]


@simulated
async def test_putting_while_appending_loses_nothing() -> None:
    async with Later(options=SchedulerOptions(batch_count=5)) as world:
        begin_ms = world.now_ms()
        total = 0
        for round_ in range(40):
            due = [begin_ms + 250 * (round_ + step) for step in (-3, 0, 1, 3)]
            await world.scheduler.put(
                [later(at_ms, f"r{round_}-{n}") for n, at_ms in enumerate(due)]
            )
            total += 4
            await passes(0.249)
        await passes(2)
        assert len(world.stored()) == total
        assert world.left() == 0


# The clock -----------------------------------------------------------------------------------


@simulated
async def test_a_clock_that_jumps_forward_makes_things_due() -> None:
    async with Later() as world:
        await world.scheduler.put([later(world.now_ms() + 48 * HOUR_MS, "m1")])
        await passes(60)
        world.clock.jump(48 * HOUR_MS)
        await passes(0.5)
        assert world.stored() == ["m1"]


@simulated
async def test_a_clock_that_jumps_back_makes_things_wait() -> None:
    async with Later() as world:
        await world.scheduler.put([later(world.now_ms() + 10 * SECOND_MS, "m1")])
        world.clock.jump(-20 * SECOND_MS)
        await passes(29)
        assert world.stored() == []
        await passes(1.5)
        assert world.stored() == ["m1"]


@simulated
async def test_a_jump_there_and_back_repeats_nothing() -> None:
    async with Later() as world:
        now_ms = world.now_ms()
        await world.scheduler.put([later(now_ms + n * HOUR_MS, f"m{n}") for n in (1, 2, 3)])
        world.clock.jump(2 * HOUR_MS)
        await passes(0.5)
        world.clock.jump(-2 * HOUR_MS)
        await passes(0.5)
        assert world.stored() == ["m1", "m2"]
        await passes(3 * 3600)
        assert world.stored() == ["m1", "m2", "m3"]


# The same message id (G8) ----------------------------------------------------------------------


@simulated
async def test_the_same_message_id_waits_once_in_a_channel() -> None:
    async with Later() as world:
        due_ms = world.now_ms() + SECOND_MS
        put = world.scheduler.put
        assert await put([later(due_ms, "m1", payload=b"first")]) == [False]
        assert await put([later(due_ms + 9, "m1"), later(due_ms, "m2")]) == [True, False]
        assert await put([later(due_ms, "m3"), later(due_ms, "m3")]) == [False, True]
        assert await put([later(due_ms, "m1", NEWS)]) == [False], "another channel"
        other = Channel(APP, "CHAT", "user:u2")
        assert await put([later(due_ms, "m1", other)]) == [False]
        await passes(2)
        assert world.stored() == ["m1", "m2", "m3"]
        assert world.disk.oplogs[CHAT][0].payload == b"first"


@simulated
async def test_puts_at_the_same_time_keep_it_once_and_answer_when_it_is_durable() -> None:
    sync = SlowSync()
    async with Later(store=MemoryStore(Disk((7,)), sync=sync)) as world:
        gate = sync.gate = Gate()
        due_ms = world.now_ms() + HOUR_MS
        puts = [
            asyncio.ensure_future(
                world.scheduler.put([later(due_ms + n, "m1"), later(due_ms, f"own{n}")])
            )
            for n in range(5)
        ]
        await settle()
        assert not any(put.done() for put in puts)
        gate.open()
        answers = [await put for put in puts]
        assert sorted(answer[0] for answer in answers) == [False, True, True, True, True]
        assert not any(answer[1] for answer in answers)
        assert world.scheduler.waiting == 6


@simulated
async def test_when_the_first_of_two_fails_the_other_one_is_kept() -> None:
    async with Later(options=SchedulerOptions(count_max=1)) as world:
        due_ms = world.now_ms() + HOUR_MS
        both = [later(due_ms, "m1"), later(due_ms, "m2")]
        first, second = await asyncio.gather(
            world.scheduler.put(both), world.scheduler.put(both[:1]), return_exceptions=True
        )
        assert isinstance(first, Overloaded)
        assert second == [False]


@simulated
async def test_a_caller_who_has_gone_undoes_nothing() -> None:
    sync = SlowSync()
    async with Later(store=MemoryStore(Disk((7,)), sync=sync)) as world:
        gate = sync.gate = Gate()
        item = later(world.now_ms() + SECOND_MS, "m1")
        put = asyncio.ensure_future(world.scheduler.put([item]))
        await settle()
        put.cancel()
        again = asyncio.ensure_future(world.scheduler.put([item]))
        await settle()
        gate.open()
        assert await again == [True]
        assert world.scheduler.waiting == 1
        await passes(2)
        assert world.stored() == ["m1"]


@simulated
async def test_stop_waits_for_no_put() -> None:
    sync = SlowSync()
    async with Later(store=MemoryStore(Disk((7,)), sync=sync)) as world:
        gate = sync.gate = Gate()
        items = [later(world.now_ms() + SECOND_MS, f"m{n}") for n in range(100)]
        put = asyncio.ensure_future(world.scheduler.put(items))
        await settle()
        await world.scheduler.stop()
        with pytest.raises(asyncio.CancelledError):
            await put
        gate.open()


# Bounds ----------------------------------------------------------------------------------------


@simulated
async def test_an_app_schedules_no_more_than_its_bound() -> None:
    async with Later(options=SchedulerOptions(count_max=5)) as world:
        due_ms = world.now_ms() + SECOND_MS
        full = [later(due_ms, f"m{n}", (CHAT, NEWS)[n % 2]) for n in range(5)]
        await world.scheduler.put(full[:4])
        with pytest.raises(Overloaded) as caught:
            await world.scheduler.put([later(due_ms, "x"), later(due_ms, "y")])
        assert caught.value.hint
        assert caught.value.retry_after_s > 0
        assert world.scheduler.waiting == 4, "all or nothing"
        await world.scheduler.put(full)
        with pytest.raises(Overloaded):
            await world.scheduler.put([later(due_ms, "x")])
        assert await world.scheduler.put(full) == [True] * 5, "a repeat needs no room"
        other = Channel("other", "CHAT", "user:u1")
        assert await world.scheduler.put([later(due_ms + HOUR_MS, "m", other)]) == [False]
        await passes(2)
        assert await world.scheduler.put([later(due_ms + HOUR_MS, "x")]) == [False]


@simulated
async def test_the_bound_holds_for_puts_at_the_same_time() -> None:
    async with Later(options=SchedulerOptions(count_max=10)) as world:
        due_ms = world.now_ms() + SECOND_MS
        puts = [
            world.scheduler.put([later(due_ms, f"m{n}-{k}") for k in range(3)]) for n in range(5)
        ]
        answers = await asyncio.gather(*puts, return_exceptions=True)
        assert sum(isinstance(answer, Overloaded) for answer in answers) == 2
        assert world.scheduler.waiting == 9
        assert world.left() == 18


@simulated
async def test_a_year_ahead_is_the_furthest() -> None:
    async with Later() as world:
        last_ms = world.now_ms() + AHEAD_MS_MAX
        for wrong_ms in (last_ms + 1000, 2**60, -1):
            with pytest.raises(InvalidRequest) as caught:
                await world.scheduler.put([later(last_ms, "m1"), later(wrong_ms, "m2")])
            assert caught.value.field == "valid_from_ms"
        assert world.left() == 0
        await world.scheduler.put([later(last_ms, "m1")])
        assert await world.scheduler.put([]) == []


# Looking and cancelling --------------------------------------------------------------------------


@simulated
async def test_pages_are_in_the_order_of_the_appends() -> None:
    async with Later() as world:
        now_ms = world.now_ms()
        items = [
            later(now_ms + SECOND_MS * (7 * n % 10), f"m{n}", (CHAT, NEWS)[n % 2])
            for n in range(10)
        ]
        await world.scheduler.put(items)
        await world.scheduler.put([later(now_ms, "x", Channel("other", "CHAT", "everyone"))])
        expected = sorted(items, key=lambda item: item.due_ms)
        listed, after = [], ""
        while True:
            page = await world.scheduler.page(APP, after, 3)
            listed += page.items
            assert len(page.items) <= 3
            after = page.after
            if not after:
                break
        assert listed == expected
        (only,) = (await world.scheduler.page(APP, limit=1)).items
        assert only == expected[0]
        news = (await world.scheduler.page(APP, biz="NEWS", limit=PAGE_COUNT_MAX)).items
        assert news == [item for item in expected if item.draft.channel == NEWS]
        assert (await world.scheduler.page("nobody")).items == []
        short = await world.scheduler.page(APP, bytes_max=11)
        assert (len(short.items), bool(short.after)) == (2, True)


@simulated
async def test_only_an_answers_own_place_is_a_place() -> None:
    async with Later() as world:
        for wrong in ("x", "1", "1-", "-1-1", f"{2**53 - 1}-{2**53 - 1}", "9" * 17 + "-1", "1-1 "):
            with pytest.raises(InvalidRequest) as caught:
                await world.scheduler.page(APP, wrong)
            assert caught.value.field == "after"


@simulated
async def test_one_can_be_found_and_cancelled() -> None:
    async with Later() as world:
        due_ms = world.now_ms() + SECOND_MS
        await world.scheduler.put([later(due_ms, "m1"), later(due_ms, "m2")])
        assert await world.scheduler.find(CHAT, "m1") == later(due_ms, "m1")
        assert await world.scheduler.find(NEWS, "m1") is None
        assert await world.scheduler.cancel(CHAT, "m1")
        assert not await world.scheduler.cancel(CHAT, "m1")
        assert not await world.scheduler.cancel(NEWS, "m2")
        assert await world.scheduler.find(CHAT, "m1") is None
        assert world.scheduler.waiting == 1
        assert await world.scheduler.put([later(due_ms, "m1", payload=b"new")]) == [False]
        await passes(2)
        assert world.stored() == ["m2", "m1"]
        assert not await world.scheduler.cancel(CHAT, "m2"), "it was due"
        assert world.scheduler.late_s == 0


@simulated
async def test_a_lane_whose_first_was_cancelled_goes_on_with_the_next() -> None:
    async with Later() as world:
        now_ms = world.now_ms()
        await world.scheduler.put([later(now_ms + n * SECOND_MS, f"m{n}") for n in (1, 9)])
        await world.scheduler.cancel(CHAT, "m1")
        await passes(2)
        assert world.scheduler.late_s == 0
        await passes(8)
        assert world.stored() == ["m9"]


@simulated
async def test_a_cancelled_one_is_gone_after_a_restart() -> None:
    async with Later() as world:
        await world.scheduler.put([later(world.now_ms() + SECOND_MS, "m1")])
        await world.scheduler.cancel(CHAT, "m1")
    async with Later(world.disk) as world:
        await passes(2)
        assert world.stored() == []


@simulated
async def test_nothing_is_both_cancelled_and_appended() -> None:
    gate = Gate()
    async with Later() as world:
        append = world.append

        async def slow(drafts: Sequence[Draft]) -> list[Appended]:
            await gate.passed()
            return await append(drafts)

        scheduler = Scheduler(world.store, world.configs, slow, clock=world.clock)
        await scheduler.put([later(world.now_ms(), "m1")])
        running = asyncio.ensure_future(scheduler.run_due(world.now_ms()))
        await settle()
        cancelling = asyncio.ensure_future(scheduler.cancel(CHAT, "m1"))
        await settle()
        assert not cancelling.done(), "it waits for what is under way"
        gate.open()
        assert await running == 1
        assert not await cancelling
        assert world.stored() == ["m1"]


# In a service ------------------------------------------------------------------------------------


@simulated
async def test_in_a_service_it_is_pushed_when_due() -> None:
    async with World() as world:
        device = await world.online()
        channel = Channel(APP, "CHAT", "user:u1")
        due_ms = world.clock.wall_ms() + 60 * SECOND_MS
        await world.service.scheduler.put([later(due_ms, "m1", channel)])
        await passes(59)
        assert device.got("CHAT", "user:u1") == []
        await passes(2)
        assert device.got("CHAT", "user:u1") == [b"hello"]


@simulated
async def test_metrics() -> None:
    async with Later() as world:
        metrics = Metrics()
        scheduler = Scheduler(
            world.store, world.configs, world.append, clock=world.clock, metrics=metrics
        )
        await scheduler.put([later(world.now_ms() + n * SECOND_MS, f"m{n}") for n in range(3)])

        def read() -> dict[str, float]:
            names = {family.name: family.samples[0][2] for family in metrics.families()
                     if family.name.startswith("mobilesync_scheduled")}  # fmt: skip
            return {
                name.removeprefix("mobilesync_scheduled_"): each for name, each in names.items()
            }

        world.clock.jump(1500)
        assert read() == {
            "waiting": 3, "late_seconds": 1.5, "appended_total": 0, "dropped_total": 0
        }  # fmt: skip
        await scheduler.tick()
        assert read() == {
            "waiting": 1, "late_seconds": 0, "appended_total": 2, "dropped_total": 0
        }  # fmt: skip
