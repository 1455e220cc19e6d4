"""The contract suite: trims."""

import asyncio

from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Appended
from mobilesync.domain.sync_point import Head
from tests.storage.drafts import CHAT, FAR_MS, draft, ids, last
from tests.storage.makers import Maker


class TestTrim:
    async def test_forgets_from_the_beginning_up_to_the_first_that_goes_on(
        self, maker: Maker
    ) -> None:
        store = await maker.open()
        ends = [5, 3, 10, 2, 50]
        await store.append([draft(f"m{i}", expires_at_ms=end) for i, end in enumerate(ends)])
        report = await store.trim(5, 100)
        assert (report.oplogs, report.channels, report.finished) == (2, 1, True)
        assert await ids(store) == [3, 4, 5]
        report = await store.trim(10, 100)
        assert report.oplogs == 2
        assert await ids(store) == [5]
        assert (await store.heads("shop", ["user:ada"]))[CHAT] == Head(5, store.lineage[-1], 4, 4)

    async def test_only_retention_raises_the_floor(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append(
            [
                draft("a", expires_at_ms=1, by_retention=False),
                draft("b", expires_at_ms=1, by_retention=True),
                draft("c", expires_at_ms=1, by_retention=False),
                draft("d", expires_at_ms=2, by_retention=False),
            ]
        )
        await store.trim(1, 100)
        head = (await store.heads("shop", ["user:ada"]))[CHAT]
        assert (head.floor, head.trimmed, head.last) == (2, 3, 4)
        await store.trim(2, 100)
        head = (await store.heads("shop", ["user:ada"]))[CHAT]
        assert (head.floor, head.trimmed, head.last) == (2, 4, 4)

    async def test_ids_go_on_after_everything_went(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft(f"m{i}", expires_at_ms=1) for i in range(200)])
        assert (await store.trim(1, 100)).oplogs == 200
        assert await ids(store) == []
        store = await maker.open()
        assert await store.append([draft("m1")]) == [Appended(201)]
        assert await ids(store) == [201]

    async def test_goes_on_where_it_stopped(self, maker: Maker) -> None:
        store = await maker.open()
        channels = [Channel("shop", "CHAT", f"user:{number}") for number in range(10)]
        await store.append([draft("a", channel, expires_at_ms=1) for channel in channels])
        reports = [await store.trim(1, 4) for _ in range(3)]
        assert [report.channels for report in reports] == [4, 4, 2]
        assert [report.finished for report in reports] == [False, False, True]
        assert sum(report.oplogs for report in reports) == 10
        # Nothing ended since, and it begins anew.
        report = await store.trim(1, 10)
        assert (report.oplogs, report.channels, report.finished) == (0, 10, True)

    async def test_spares_what_is_not_durable(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a", expires_at_ms=1)])
        maker.gate.shut()
        call = asyncio.create_task(store.append([draft("b", expires_at_ms=1)]))
        await maker.gate.reached()
        trim = asyncio.create_task(store.trim(1, 100))
        await asyncio.sleep(0)
        maker.gate.open()
        assert (await trim).oplogs == 1
        await call
        assert await ids(store) == [2]

    async def test_and_appends_together_lose_nothing(self, maker: Maker) -> None:
        store = await maker.open()
        for round_ in range(10):
            begin = 100 * round_
            both = asyncio.gather(
                store.trim(round_, 100),
                store.append(
                    [draft(f"m{begin + i}", expires_at_ms=round_ + 1) for i in range(100)]
                ),
                store.trim(round_, 100),
            )
            await both
        assert await ids(store) == list(range(901, 1001))
        assert await last(store) == 1000

    async def test_far_future_is_never_trimmed(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a", expires_at_ms=2**53)])
        assert (await store.trim(FAR_MS, 10)).oplogs == 0
