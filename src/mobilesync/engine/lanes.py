"""The lanes in which scheduled oplogs wait: one for each app and biz that has some.

Strategy: the oplogs are in the store; in memory is only how many a lane has, and before which
place it has none. That place spares reading a lane that is not due, and stepping over the remains
of what was deleted. Several lanes are read as one: page by page, merged by place.

Not here: what is done with what is due (scheduler.py), the documents (scheduled.py).

Invariants:
- no oplog of a lane lies before its `begin`;
- a lane that has none, and gets none, is forgotten.
"""

import heapq
from collections import Counter, deque
from collections.abc import Iterator, Sequence

from msgspec import Struct

from mobilesync.engine.scheduled import (
    BY_ID,
    BY_PLACE,
    END,
    Place,
    Scheduled,
    place_key,
    read_id,
    read_item,
)
from mobilesync.storage.contract import Store

LOAD_COUNT = 1000
"""Documents in one read at the start; each is about 100 bytes."""
PAGE_COUNT = 64
"""Scheduled oplogs in one read of a lane; each may have the largest payload."""


class Lane:
    """What is known of one app's biz."""

    __slots__ = ("app", "begin", "biz", "count", "lowest")

    def __init__(self, app: str, biz: str) -> None:
        self.app = app
        self.biz = biz
        self.count = 0
        """Oplogs that wait, with those that are just being put."""
        self.begin = END
        self.lowest = END
        """The first place that was put since the lane was read for what is due."""

    def put(self, place: Place) -> None:
        """An oplog is durable at `place` now."""
        self.begin = min(self.begin, place)
        self.lowest = min(self.lowest, place)


class Row(Struct, frozen=True):
    """One scheduled oplog, and where it waits."""

    place: Place
    lane: Lane
    item: Scheduled


class Due(Struct, frozen=True):
    """The first oplogs of some lanes together that are due, in the order of their places."""

    rows: list[Row]
    rest: dict[Lane, Place]
    """Where each lane begins when they are gone, but for what was put meanwhile."""


class Lanes:
    """All lanes of this server."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._apps: dict[str, dict[str, Lane]] = {}

    async def load(self) -> int:
        """Count what the store holds; answers an order that is above all."""
        order_max = 0
        begin = ""
        while found := await self._store.documents(BY_ID, begin, count_max=LOAD_COUNT):
            for key, value in found.items():
                app, biz, place = read_id(key, value)
                lane = self.of(app, biz)
                lane.count += 1
                lane.put(place)
                order_max = max(order_max, place.order)
                begin = f"{key}\0"
        return order_max + 1

    def of(self, app: str, biz: str) -> Lane:
        """The lane of a biz; a new one if it has none."""
        bizzes = self._apps.setdefault(app, {})
        if biz not in bizzes:
            bizzes[biz] = Lane(app, biz)
        return bizzes[biz]

    def of_app(self, app: str) -> list[Lane]:
        """All lanes of `app`."""
        return list(self._apps.get(app, {}).values())

    def __iter__(self) -> Iterator[Lane]:
        return (lane for bizzes in self._apps.values() for lane in bizzes.values())

    def less(self, lane: Lane, count: int) -> None:
        """`count` of the lane's oplogs wait no more."""
        lane.count -= count
        assert lane.count >= 0
        bizzes = self._apps.get(lane.app, {})
        if not lane.count and bizzes.get(lane.biz) is lane:
            del bizzes[lane.biz]
            if not bizzes:
                del self._apps[lane.app]

    async def due(
        self, lanes: Sequence[Lane], until_ms: int, count_max: int, bytes_max: int
    ) -> Due:
        """The first that are due by `until_ms`. One call at a time; if they are deleted, call
        `taken` afterwards."""
        for lane in lanes:
            lane.lowest = END
        merge = _Merge(self._store, [(lane, lane.begin) for lane in lanes], count_max)
        rows = await merge.read(until_ms, count_max, bytes_max)
        return Due(rows, merge.rest())

    def taken(self, due: Due) -> None:
        """The rows of `due` are deleted, durably."""
        for lane, place in due.rest.items():
            lane.begin = min(place, lane.lowest)
        for lane, count in Counter(row.lane for row in due.rows).items():
            self.less(lane, count)

    async def after(
        self, lanes: Sequence[Lane], place: Place, count_max: int, bytes_max: int
    ) -> list[Row]:
        """The first behind `place`."""
        behind = _behind(place)
        begins = [(lane, max(lane.begin, behind)) for lane in lanes]
        merge = _Merge(self._store, begins, count_max)
        return await merge.read(END.due_ms, count_max, bytes_max)


class _Merge:
    """Reads several lanes as if they were one."""

    def __init__(self, store: Store, begins: Sequence[tuple[Lane, Place]], count_max: int) -> None:
        assert count_max > 0
        self._store = store
        self._begins = begins
        self._pages: list[deque[Row]] = []
        self._heads: list[tuple[Place, int]] = []
        """A heap of what comes next in each lane that has more, and the lane's number."""
        self._count = min(PAGE_COUNT, -(-count_max // max(1, len(begins))))

    async def read(self, until_ms: int, count_max: int, bytes_max: int) -> list[Row]:
        """Up to `count_max` rows that are due by `until_ms`, with payloads of up to `bytes_max`
        together, but at least one if there is one."""
        for number, (_, begin) in enumerate(self._begins):
            self._pages.append(deque())
            await self._fill(number, begin, self._count)
        rows: list[Row] = []
        size = 0
        while self._heads and self._heads[0][0].due_ms <= until_ms and len(rows) < count_max:
            place, number = self._heads[0]
            page = self._pages[number]
            size += len(page[0].item.draft.payload)
            if rows and size > bytes_max:
                break
            rows.append(page.popleft())
            heapq.heappop(self._heads)
            if page:
                heapq.heappush(self._heads, (page[0].place, number))
            else:
                # One more than is wanted, since `rest` must know where the lane goes on.
                wanted = min(self._count, count_max - len(rows)) or 1
                await self._fill(number, _behind(place), wanted)
        return rows

    def rest(self) -> dict[Lane, Place]:
        """Where each lane goes on; END for one that has no more."""
        rest = {lane: END for lane, _ in self._begins}
        rest.update({self._begins[number][0]: place for place, number in self._heads})
        return rest

    async def _fill(self, number: int, begin: Place, count: int) -> None:
        lane, page = self._begins[number][0], self._pages[number]
        found = await self._store.documents(
            BY_PLACE,
            place_key(lane.app, lane.biz, begin),
            place_key(lane.app, lane.biz, END),
            count,
        )
        for key, value in found.items():
            place, item = read_item(key, value)
            page.append(Row(place, lane, item))
        if page:
            heapq.heappush(self._heads, (page[0].place, number))


def _behind(place: Place) -> Place:
    return Place(place.due_ms, place.order + 1)
