"""Lanes: several are read as one, in order, within bounds, and none is read from too far."""

import random

from mobilesync.domain.channel import Channel
from mobilesync.engine import lanes as module
from mobilesync.engine.lanes import Lane, Lanes
from mobilesync.engine.scheduled import END, Place, deletions_of, documents_of
from mobilesync.storage.contract import Document
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.engine.later import later
from tests.engine.world import simulated

PLENTY = 1 << 40


class CountingStore(MemoryStore):
    """Counts reads, and the rows in them."""

    reads = rows = 0

    async def documents(
        self, kind: str, begin: str = "", end: str = "", count_max: int = 0
    ) -> dict[str, bytes]:
        found = await super().documents(kind, begin, end, count_max)
        self.reads += 1
        self.rows += len(found)
        return found


def _channel(biz: str, app: str = "demo") -> Channel:
    return Channel(app, biz, "everyone")


async def _put(store: MemoryStore, lanes: Lanes, biz: str, *places: Place, size: int = 1) -> Lane:
    lane = lanes.of("demo", biz)
    for place in places:
        item = later(place.due_ms, f"m{place.order}", _channel(biz), payload=b"x" * size)
        await store.put_documents(documents_of(item, place))
        lane.count += 1
        lane.put(place)
    return lane


async def _take(
    store: MemoryStore, lanes: Lanes, until_ms: int, count_max: int = 100, bytes_max: int = PLENTY
) -> list[Place]:
    due = await lanes.due(list(lanes), until_ms, count_max, bytes_max)
    for row in due.rows:
        await store.put_documents(deletions_of(row.item, row.place))
    lanes.taken(due)
    return [row.place for row in due.rows]


@simulated
async def test_lanes_are_merged_by_place_whatever_the_bounds() -> None:
    chance = random.Random(5)
    for count_max in (1, 2, 7, 1000):
        store = MemoryStore(Disk((1,)))
        lanes = Lanes(store)
        places = [Place(chance.randrange(50), order) for order in range(200)]
        for place in places:
            await _put(store, lanes, f"B{chance.randrange(5)}", place)
        taken: list[Place] = []
        for until_ms in (10, 30, 50):
            while some := await _take(store, lanes, until_ms, count_max):
                assert len(some) <= count_max
                taken += some
            assert taken == sorted(place for place in places if place.due_ms <= until_ms)
        assert list(lanes) == [], "a lane without oplogs is forgotten"


@simulated
async def test_lanes_longer_than_a_page_are_merged_too() -> None:
    store = MemoryStore(Disk((1,)))
    lanes = Lanes(store)
    count = 3 * module.PAGE_COUNT
    for order in range(count):
        await _put(store, lanes, "A" if order % 3 else "B", Place(1, order))
    assert await _take(store, lanes, 1, count) == [Place(1, order) for order in range(count)]


@simulated
async def test_payloads_are_bounded_but_one_always_comes() -> None:
    store = MemoryStore(Disk((1,)))
    lanes = Lanes(store)
    await _put(store, lanes, "A", *(Place(1, order) for order in range(10)), size=100)
    assert len(await _take(store, lanes, 1, bytes_max=299)) == 2
    assert len(await _take(store, lanes, 1, bytes_max=1)) == 1
    assert len(await _take(store, lanes, 1)) == 7


@simulated
async def test_what_is_behind_the_last_one_taken_is_not_forgotten() -> None:
    store = MemoryStore(Disk((1,)))
    lanes = Lanes(store)
    lane = await _put(store, lanes, "A", Place(1, 1), Place(5, 2))
    assert await _take(store, lanes, 1, count_max=1) == [Place(1, 1)]
    assert lane.begin == Place(5, 2), "the next tick need not read"
    assert await _take(store, lanes, 4) == []
    assert await _take(store, lanes, 5) == [Place(5, 2)]


@simulated
async def test_what_is_put_between_a_reading_and_its_deletion_is_found() -> None:
    store = MemoryStore(Disk((1,)))
    lanes = Lanes(store)
    await _put(store, lanes, "A", Place(1, 1), Place(3, 2))
    due = await lanes.due(list(lanes), 3, 100, PLENTY)
    await _put(store, lanes, "A", Place(2, 3), Place(9, 4))
    for row in due.rows:
        await store.put_documents(deletions_of(row.item, row.place))
    lanes.taken(due)
    assert await _take(store, lanes, 3) == [Place(2, 3)]
    assert await _take(store, lanes, 9) == [Place(9, 4)]


@simulated
async def test_a_lane_that_is_put_to_while_it_empties_counts_on() -> None:
    store = MemoryStore(Disk((1,)))
    lanes = Lanes(store)
    await _put(store, lanes, "A", Place(1, 1))
    due = await lanes.due(list(lanes), 1, 100, PLENTY)
    lanes.of("demo", "A").count += 1
    lanes.taken(due)
    assert [(lane.biz, lane.count) for lane in lanes] == [("A", 1)]


@simulated
async def test_remains_before_the_beginning_are_not_read_again() -> None:
    store = CountingStore(Disk((1,)))
    lanes = Lanes(store)
    lane = await _put(store, lanes, "A", *(Place(order, order) for order in range(100)))
    await _take(store, lanes, 49)
    assert lane.begin == Place(50, 50)
    store.reads = store.rows = 0
    await _take(store, lanes, 50, count_max=1)
    assert store.reads <= 2
    assert store.rows <= 3


@simulated
async def test_a_page_behind_a_place() -> None:
    store = MemoryStore(Disk((1,)))
    lanes = Lanes(store)
    for order in range(6):
        await _put(store, lanes, "A" if order % 2 else "B", Place(order // 2, order))
    rows = await lanes.after(list(lanes), Place(0, 1), 3, PLENTY)
    assert [row.place.order for row in rows] == [2, 3, 4]
    assert await lanes.after(list(lanes), END, 3, PLENTY) == []
    assert await lanes.after([], Place(0, 0), 3, PLENTY) == []


@simulated
async def test_loading_counts_all_and_says_the_next_order() -> None:
    disk = Disk((1,))
    store = MemoryStore(disk)
    before = Lanes(store)
    count = 2 * module.LOAD_COUNT + 1
    documents: list[Document] = []
    for order in range(count):
        item = later(9, f"m{order}", _channel("A" if order % 2 else "B"))
        documents.extend(documents_of(item, Place(9, order)))
    await store.put_documents(documents)
    item = later(3, "first", _channel("A", "other"))
    await store.put_documents(documents_of(item, Place(3, 7)))
    assert await Lanes(MemoryStore(Disk((1,)))).load() == 1
    lanes = Lanes(MemoryStore(disk))
    assert await lanes.load() == count
    assert sum(lane.count for lane in lanes) == count + 1
    assert [lane.biz for lane in lanes.of_app("demo")] == ["A", "B"]
    (other,) = lanes.of_app("other")
    assert (other.count, other.begin) == (1, Place(3, 7))
    assert list(before) == []
