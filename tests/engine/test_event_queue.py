"""One webhook's queue: in order, bounded, durable with the facts it tells of, and never a place
twice."""

import asyncio
import json
from typing import Any

from mobilesync.domain.channel import Channel
from mobilesync.domain.sync_point import Advance
from mobilesync.engine.event_queue import (
    FAILURE_CHARS_MAX,
    PAGE,
    Batch,
    EventQueue,
    encode_waiting,
)
from mobilesync.engine.events import Event, make_id
from mobilesync.engine.metrics import Metrics
from mobilesync.sim.clock import SimClock
from mobilesync.sim.loop import VirtualLoop
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.engine.world import APP, Gate, passes, settle, simulated

COMMIT_S = 0.2
ALL = 10**6


class Kept:
    """A queue over a disk; `again` is the queue after a crash."""

    def __init__(self, loop_clock: SimClock, disk: Disk | None = None, **more: Any) -> None:
        self.clock = loop_clock
        self.disk = disk or Disk((1,))
        self.store = MemoryStore(self.disk, **more)
        self.metrics = Metrics()
        self.queue = EventQueue(
            self.store, APP, "hook", queue_max=5, clock=loop_clock, metrics=self.metrics
        )

    async def again(self) -> "Kept":
        self.store.kill()
        found = Kept(self.clock, self.disk)
        await found.queue.load()
        return found

    def add(self, *numbers: int, coalesce: str = "") -> bool:
        kept = True
        for number in numbers:
            kept = self.queue.add(self.event(number, coalesce), coalesce)
        return kept

    def event(self, number: int, coalesce: str = "") -> bytes:
        event = Event(
            id=make_id(number),
            type="test",
            app=APP,
            at_ms=self.clock.wall_ms(),
            data={"number": number},
        )
        return encode_waiting(event, coalesce)

    async def take(self, count: int = 100) -> Batch:
        return await self.queue.take(count, ALL)

    async def waiting(self) -> list[Any]:
        """What would be delivered now: numbers, and how many a gap stands for."""
        found = numbers(await self.take())
        self.queue.release()
        return found


def numbers(batch: Batch) -> list[Any]:
    data = [json.loads(bytes(waiting.event))["data"] for _, waiting in batch.events]
    return [each.get("number", f"gap {each.get('lost')}") for each in data]


def places(batch: Batch) -> list[int]:
    return [place for place, _ in batch.events]


def kept(**more: Any) -> Kept:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return Kept(SimClock(loop), **more)


@simulated
async def test_events_come_in_order_until_they_are_delivered() -> None:
    here = kept()
    here.add(1, 2, 3)
    first = await here.take(2)
    assert numbers(first) == [1, 2]
    here.add(4)
    here.queue.delivered(first, 200)
    assert await here.waiting() == [3, 4]
    assert here.queue.length == 2
    assert here.metrics.webhook_events == 4
    assert here.metrics.webhook_events_delivered == 2


@simulated
async def test_an_event_is_in_the_commit_of_the_fact_it_tells_of() -> None:
    gate = Gate()
    here = kept(sync=gate.passed)
    point = Advance(Channel(APP, "CHAT", "user:u1"), "d1", 1, 5, 5, 1000)
    here.store.advance([point])
    here.add(1)
    await passes(COMMIT_S)
    assert here.disk.documents == {}
    assert here.disk.points == {}
    gate.open()
    await settle()
    assert here.disk.points
    assert len(here.disk.documents) == 1


@simulated
async def test_what_a_crash_finds_under_way_is_there_again() -> None:
    here = kept()
    here.add(1, 2)
    await passes(COMMIT_S)
    batch = await here.take()
    here.queue.delivered(batch, 200)
    after = await here.again()
    found = await after.take()
    assert (numbers(found), places(found)) == ([1, 2], places(batch))


@simulated
async def test_no_place_is_given_twice_though_nothing_waits_any_more() -> None:
    here = kept()
    here.add(1, 2)
    here.queue.delivered(await here.take(), 200)
    await passes(COMMIT_S)
    after = await here.again()
    assert after.queue.length == 0
    after.add(3)
    assert places(await after.take()) == [3]


@simulated
async def test_a_place_that_was_cancelled_is_not_given_again() -> None:
    here = kept()
    here.add(1, coalesce="user:a")
    here.queue.cancel("user:a")
    await passes(COMMIT_S)
    after = await here.again()
    after.add(2)
    assert places(await after.take()) == [2]


@simulated
async def test_places_go_on_above_what_a_crash_has_left() -> None:
    here = kept()
    here.add(1, 2)
    await passes(COMMIT_S)
    here.add(3)
    after = await here.again()
    after.add(4)
    found = await after.take()
    assert numbers(found) == [1, 2, 4]
    assert places(found) == [1, 2, 3]


@simulated
async def test_at_the_bound_events_are_lost_counted_and_told_once() -> None:
    here = kept()
    assert here.add(1, 2, 3, 4, 5)
    assert not here.add(6, 7)
    assert here.queue.state.lost == here.metrics.webhook_events_lost == 2
    here.queue.delivered(await here.take(2), 200)
    assert here.add(8)
    assert not here.add(9), "full again, with the word of the gap"
    assert await here.waiting() == [3, 4, 5, "gap 2", 8]
    here.queue.delivered(await here.take(), 200)
    assert await here.waiting() == ["gap 1"]
    assert here.queue.state.lost == 0


@simulated
async def test_a_gap_is_told_also_after_a_restart() -> None:
    here = kept()
    here.add(1, 2, 3, 4, 5, 6)
    await passes(COMMIT_S)
    after = await here.again()
    assert after.queue.state.lost == 1
    after.queue.delivered(await after.take(1), 200)
    assert await after.waiting() == [2, 3, 4, 5, "gap 1"]


@simulated
async def test_a_coalesced_event_replaces_the_one_that_waits_at_its_place() -> None:
    here = kept()
    here.add(1, coalesce="user:a")
    here.add(2, coalesce="user:b")
    here.add(3)
    here.add(4, coalesce="user:a")
    assert await here.waiting() == [4, 2, 3]
    assert here.queue.length == 3
    await passes(COMMIT_S)
    after = await here.again()
    after.add(5, coalesce="user:b")
    assert await after.waiting() == [4, 5, 3]
    after.queue.delivered(await after.take(1), 200)
    after.add(6, coalesce="user:a")
    assert await after.waiting() == [5, 3, 6]


@simulated
async def test_a_coalesced_event_needs_no_room() -> None:
    here = kept()
    here.add(1, coalesce="user:a")
    here.add(2, 3, 4, 5)
    assert here.add(6, coalesce="user:a")
    assert not here.add(7, coalesce="user:b")
    assert await here.waiting() == [6, 2, 3, 4, 5]


@simulated
async def test_one_under_way_is_not_replaced_but_followed() -> None:
    here = kept()
    here.add(1, coalesce="user:a")
    batch = await here.take()
    here.add(2, coalesce="user:a")
    here.queue.delivered(batch, 200)
    assert await here.waiting() == [2]
    batch = await here.take()
    here.add(3, coalesce="user:a")
    here.add(4, coalesce="user:a")
    here.queue.failed(batch, 500, "it answered 500", 0)
    assert await here.waiting() == [4], "the older one is not sent again"
    assert here.queue.length == 1


@simulated
async def test_one_that_was_under_way_in_a_crash_is_replaced_by_the_later_one() -> None:
    here = kept()
    here.add(1, coalesce="user:a")
    await here.take()
    here.add(2, coalesce="user:a")
    await passes(COMMIT_S)
    after = await here.again()
    assert await after.waiting() == [2]
    assert after.queue.length == 1


@simulated
async def test_cancel_takes_back_what_is_not_under_way() -> None:
    here = kept()
    here.add(1, coalesce="user:a")
    here.add(2)
    here.queue.cancel("user:b")
    here.queue.cancel("user:a")
    here.queue.cancel("user:a")
    assert await here.waiting() == [2]
    here.add(3, coalesce="user:a")
    batch = await here.take()
    here.queue.cancel("user:a")
    here.queue.failed(batch, 500, "it answered 500", 0)
    assert await here.waiting() == [2]
    assert here.queue.length == 1
    await passes(COMMIT_S)
    assert await (await here.again()).waiting() == [2]


@simulated
async def test_cancel_makes_room_for_word_of_a_gap() -> None:
    here = kept()
    here.add(1, coalesce="user:a")
    here.add(2, 3, 4, 5, 6)
    here.queue.cancel("user:a")
    assert await here.waiting() == [2, 3, 4, 5, "gap 1"]


class SlowDocuments(MemoryStore):
    """A store that is elsewhere: the answer takes its time."""

    gate: Gate | None = None

    async def documents(
        self, kind: str, begin: str = "", end: str = "", count_max: int = 0
    ) -> dict[str, bytes]:
        found = await super().documents(kind, begin, end, count_max)
        if self.gate is not None:
            await self.gate.passed()
        return found


@simulated
async def test_what_changes_while_the_store_is_read_is_not_lost() -> None:
    here = kept()
    store = SlowDocuments(here.disk)
    here.queue = EventQueue(store, APP, "hook", queue_max=5, clock=here.clock, metrics=here.metrics)
    here.add(1, coalesce="user:a")
    here.add(2, coalesce="user:b")
    here.add(3)
    store.gate = Gate()
    taking = asyncio.ensure_future(here.take())
    await settle()
    here.queue.cancel("user:a")
    here.add(4, coalesce="user:b")
    store.gate.open()
    batch = await taking
    assert numbers(batch) == [3]
    assert here.queue.length == 2
    here.queue.delivered(batch, 200)
    assert await here.waiting() == [4]


@simulated
async def test_what_is_too_old_is_given_up_when_it_fails_and_told_as_lost() -> None:
    here = kept()
    here.add(1)
    here.add(2, coalesce="user:a")
    await passes(10)
    here.add(3)
    before_ms = here.clock.wall_ms() - 5000
    here.queue.failed(await here.take(1), 500, "it answered 500", before_ms)
    assert await here.waiting() == [2, 3, "gap 1"]
    here.queue.failed(await here.take(), 0, "nobody is there", before_ms)
    assert await here.waiting() == [3, "gap 1", "gap 1"]
    assert here.metrics.webhook_events_expired == 2
    here.add(4, coalesce="user:a")
    assert await here.waiting() == [3, "gap 1", "gap 1", 4]
    await passes(10)
    before_ms = here.clock.wall_ms() - 5000
    here.queue.failed(await here.take(), 0, "nobody is there", before_ms)
    assert await here.waiting() == ["gap 4"], "what was lost before counts too"


@simulated
async def test_a_batch_has_a_bound_in_bytes_but_at_least_one_event() -> None:
    here = kept()
    here.add(1, 2, 3)
    one = len(here.event(1))
    assert numbers(await here.queue.take(100, 2 * one)) == [1, 2]
    here.queue.release()
    assert numbers(await here.queue.take(100, 1)) == [1]
    here.queue.release()
    assert here.queue.length == 3


@simulated
async def test_what_the_store_had_no_room_for_is_not_waited_for() -> None:
    here = kept(advances_max=2)
    here.add(1, coalesce="user:a")
    here.add(2)
    here.add(3, coalesce="user:b")
    assert here.queue.length == 3
    batch = await here.take()
    assert numbers(batch) == [1, 2]
    assert here.queue.length == 2
    await passes(COMMIT_S)
    here.queue.delivered(batch, 200)
    await passes(COMMIT_S)
    here.add(4)
    here.queue.delivered(await here.take(), 200)
    await passes(COMMIT_S)
    here.queue.cancel("user:b")
    here.add(5, coalesce="user:b")
    assert await here.waiting() == [5]
    here.queue.cancel("user:b")
    here.queue.cancel("user:b")
    assert (await here.waiting(), here.queue.length) == ([], 0)


@simulated
async def test_how_the_last_try_went_outlives_a_restart() -> None:
    here = kept()
    here.add(1)
    for _ in range(2):
        here.queue.failed(await here.take(), 500, "x" * 1000, 0)
    await passes(COMMIT_S)
    state = (await here.again()).queue.state
    assert (state.failures, state.last_status) == (2, 500)
    assert state.last_failure == "x" * FAILURE_CHARS_MAX
    here = await here.again()
    here.queue.delivered(await here.take(), 204)
    assert (here.queue.state.failures, here.queue.state.last_failure) == (0, "")
    assert here.queue.state.last_try_ms == here.clock.wall_ms()


@simulated
async def test_a_long_queue_is_loaded_and_cleared_page_by_page() -> None:
    here = kept()
    here.queue = EventQueue(
        here.store, APP, "hook", queue_max=ALL, clock=here.clock, metrics=here.metrics
    )
    count = 2 * PAGE + 2
    here.add(*range(1, count))
    here.add(count, coalesce="user:a")
    await passes(COMMIT_S)
    after = await here.again()
    assert after.queue.length == count
    assert places(await after.take(1)) == [1]
    after.queue.release()
    after.queue.cancel("user:a")
    assert after.queue.length == count - 1
    steps = 0
    while await after.queue.clear():
        steps += 1
    await passes(COMMIT_S)
    assert steps == 3
    assert after.disk.documents == {}
    assert after.queue.length == 0


@simulated
async def test_nothing_is_noted_once_it_is_cleared_until_it_is_reopened() -> None:
    here = kept()
    here.add(1, 2)
    batch = await here.take(1)
    while await here.queue.clear():
        await passes(COMMIT_S)
    here.queue.delivered(batch, 200)
    await passes(COMMIT_S)
    assert here.disk.documents == {}
    here.queue.reopen()
    here.add(3)
    assert await here.waiting() == [3]


@simulated
async def test_the_oldest_event_has_an_age() -> None:
    here = kept()
    assert await here.queue.oldest_ms() is None
    here.add(1)
    then_ms = here.clock.wall_ms()
    await passes(5)
    here.add(2)
    assert await here.queue.oldest_ms() == then_ms
