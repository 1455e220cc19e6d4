"""The contract suite: what every store promises, run over each implementation."""

import asyncio
from pathlib import Path

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Conditions
from mobilesync.domain.errors import (
    InvalidRequest,
    OutcomeUnknown,
    Overloaded,
    StoreUnavailable,
)
from mobilesync.domain.oplog import Appended, oplog_of
from mobilesync.domain.sync_point import Advance, Fork, Head, SyncPoint
from mobilesync.storage.contract import Store
from tests.storage.drafts import CHAT, FAR_MS, NEWS, draft, drafts, step
from tests.storage.makers import Maker

BIG = 1 << 30


async def ids(store: Store, channel: Channel = CHAT, after: int = 0) -> list[int]:
    return [oplog.id for oplog in (await store.read(channel, after, 1000, BIG)).oplogs]


async def last(store: Store, channel: Channel = CHAT) -> int:
    head = (await store.heads(channel.app, [channel.target])).get(channel)
    return head.last if head else 0


class TestAppend:
    async def test_gives_ids_from_one_in_order_per_channel(self, maker: Maker) -> None:
        store = await maker.open()
        mixed = [draft("a"), draft("a", NEWS), draft("b"), draft("b", NEWS), draft("c")]
        answers = await store.append(mixed)
        assert answers == [Appended(1), Appended(1), Appended(2), Appended(2), Appended(3)]
        assert await store.append([draft("d")]) == [Appended(4)]

    async def test_gives_ids_in_the_order_of_the_calls(self, maker: Maker) -> None:
        store = await maker.open()
        calls = [store.append(drafts(3, begin=10 * number)) for number in range(20)]
        answers = await asyncio.gather(*calls)
        given = [answer.id for each in answers for answer in each]
        assert given == list(range(1, 61))

    async def test_keeps_every_field(self, maker: Maker) -> None:
        store = await maker.open()
        conditions = Conditions(("ios",), "1.2", "2.0-beta")
        drafted = draft(
            "é/😀", payload=bytes(range(256)), by_retention=False, conditions=conditions
        )
        await store.append([drafted])
        store = await maker.open()
        assert (await store.read(CHAT, 0, 1, BIG)).oplogs == [oplog_of(drafted, 1)]

    async def test_of_nothing_is_nothing(self, maker: Maker) -> None:
        store = await maker.open()
        assert await store.append([]) == []

    async def test_cancelling_the_caller_does_not_undo_it(self, maker: Maker) -> None:
        store = await maker.open()
        maker.gate.shut()
        call = asyncio.create_task(store.append(drafts(2)))
        await maker.gate.reached()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        maker.gate.open()
        assert await store.append(drafts(3)) == [
            Appended(1, duplicate=True),
            Appended(2, duplicate=True),
            Appended(3),
        ]

    async def test_shares_a_commit_among_all_that_wait(self, maker: Maker) -> None:
        store = await maker.open()
        maker.gate.shut()
        first = asyncio.create_task(store.append([draft("first")]))
        await maker.gate.reached()
        passed = maker.gate.passed
        others = [store.append([draft(f"other-{number}")]) for number in range(50)]
        waiting = asyncio.gather(*others)
        await asyncio.sleep(0)
        maker.gate.open()
        await first
        await waiting
        assert maker.gate.passed == passed + 2
        assert store.stats().commits == 2
        assert store.stats().committed == 51


class TestDuplicates:
    async def test_in_one_call(self, maker: Maker) -> None:
        store = await maker.open()
        answers = await store.append([draft("a"), draft("a"), draft("b"), draft("a")])
        assert answers == [
            Appended(1),
            Appended(1, duplicate=True),
            Appended(2),
            Appended(1, duplicate=True),
        ]
        assert await ids(store) == [1, 2]

    async def test_later_and_after_reopening(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append(drafts(3))
        assert await store.append([draft("m2")]) == [Appended(2, duplicate=True)]
        store = await maker.open()
        assert await store.append([draft("m2")]) == [Appended(2, duplicate=True)]
        assert await last(store) == 3

    async def test_of_what_is_in_flight_waits_for_it(self, maker: Maker) -> None:
        store = await maker.open()
        maker.gate.shut()
        first = asyncio.create_task(store.append([draft("a")]))
        await maker.gate.reached()
        second = asyncio.create_task(store.append([draft("a")]))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not second.done()
        maker.gate.open()
        assert await first == [Appended(1)]
        assert await second == [Appended(1, duplicate=True)]

    async def test_of_what_fails_in_flight_is_not_answered_either(self, maker: Maker) -> None:
        store = await maker.open()
        maker.gate.shut()
        first = asyncio.create_task(store.append([draft("a")]))
        await maker.gate.reached()
        second = asyncio.create_task(store.append([draft("a")]))
        await asyncio.sleep(0)
        maker.gate.break_(OSError("broken"))
        for call in (first, second):
            with pytest.raises(OutcomeUnknown):
                await call

    async def test_of_another_channel_is_none(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a")])
        assert await store.append([draft("a", NEWS)]) == [Appended(1)]

    async def test_after_the_trim_is_none(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a", expires_at_ms=10), draft("b")])
        await store.trim(10, 100)
        assert await store.append([draft("a"), draft("b")]) == [
            Appended(3),
            Appended(2, duplicate=True),
        ]


class TestRead:
    async def test_begins_after_the_asked_id(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append(drafts(300))
        assert await ids(store, after=255) == list(range(256, 301))
        assert await ids(store, after=300) == []

    async def test_stops_at_the_count(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append(drafts(5))
        page = await store.read(CHAT, 1, 2, BIG)
        assert ([oplog.id for oplog in page.oplogs], page.upto) == ([2, 3], 3)
        page = await store.read(CHAT, 3, 2, BIG)
        assert ([oplog.id for oplog in page.oplogs], page.upto) == ([4, 5], 5)

    @pytest.mark.parametrize(
        "bytes_max, expected", [(0, [1]), (19, [1]), (20, [1, 2]), (25, [1, 2])]
    )
    async def test_stops_at_the_bytes_but_not_before_one(
        self, maker: Maker, bytes_max: int, expected: list[int]
    ) -> None:
        store = await maker.open()
        await store.append(drafts(5, size=10))
        page = await store.read(CHAT, 0, 100, bytes_max)
        assert ([oplog.id for oplog in page.oplogs], page.upto) == (expected, expected[-1])

    async def test_of_an_unknown_channel_or_a_point_from_the_future_is_empty(
        self, maker: Maker
    ) -> None:
        store = await maker.open()
        assert (await store.read(CHAT, 7, 10, BIG)).upto == 7
        await store.append(drafts(2))
        page = await store.read(CHAT, 9, 10, BIG)
        assert (page.oplogs, page.upto) == ([], 9)

    async def test_does_not_stray_into_other_channels(self, maker: Maker) -> None:
        store = await maker.open()
        near = [
            Channel("shop", "CHAT", "user:a"),
            Channel("shop", "CHAT", "user:ad"),
            Channel("shop", "CHAT", "user:ada1"),
            Channel("shop", "CHA", "user:ada"),
            Channel("shop", "CHATS", "user:ada"),
            Channel("sho", "CHAT", "user:ada"),
            Channel("shop2", "CHAT", "user:ada"),
            Channel("shop", "CHAT", "device:ada"),
        ]
        await store.append([draft("x", channel) for channel in near])
        await store.append(drafts(2))
        assert await ids(store) == [1, 2]
        assert set(await store.heads("shop", ["user:ada"])) == {CHAT, near[3], near[4]}

    async def test_tells_the_floor(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a", expires_at_ms=10), draft("b")])
        await store.trim(10, 100)
        page = await store.read(CHAT, 0, 10, BIG)
        assert ([oplog.id for oplog in page.oplogs], page.upto, page.floor) == ([2], 2, 1)


class TestVisibility:
    """What would not survive a power cut is not shown."""

    async def test_nothing_is_shown_before_it_is_durable(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("old")])
        await store.put_document("kind", "key", b"old")
        maker.gate.shut()
        calls = [
            asyncio.create_task(store.append([draft("new"), draft("new", NEWS)])),
            asyncio.create_task(store.put_document("kind", "key", b"new")),
            asyncio.create_task(store.put_document("kind", "other", b"new")),
        ]
        await maker.gate.reached()
        assert await ids(store) == [1]
        assert await ids(store, NEWS) == []
        assert await store.heads("shop", ["user:ada", "everyone"]) == {
            CHAT: Head(1, store.lineage[-1])
        }
        assert (await store.read(CHAT, 0, 10, BIG)).upto == 1
        assert await store.documents("kind") == {"key": b"old"}
        maker.gate.open()
        await asyncio.gather(*calls)
        assert await ids(store) == [1, 2]
        assert await ids(store, NEWS) == [1]
        assert await last(store, NEWS) == 1
        assert await store.documents("kind") == {"key": b"new", "other": b"new"}

    async def test_what_comes_after_it_is_not_shown_either(self, maker: Maker) -> None:
        store = await maker.open()
        maker.gate.shut()
        first = asyncio.create_task(store.append([draft("a")]))
        await maker.gate.reached()
        second = asyncio.create_task(store.append([draft("b")]))
        await asyncio.sleep(0)
        assert await store.heads("shop", ["user:ada"]) == {}
        maker.gate.open()
        assert await first == [Appended(1)]
        assert await second == [Appended(2)]


class TestHeads:
    async def test_of_several_targets(self, maker: Maker) -> None:
        store = await maker.open()
        pay = Channel("shop", "PAY", "user:ada")
        other = Channel("shop", "PAY", "user:bob")
        foreign = Channel("bank", "PAY", "user:ada")
        await store.append([draft("a", channel) for channel in (CHAT, pay, NEWS, other, foreign)])
        epoch = store.lineage[-1]
        for _ in range(2):
            heads = await store.heads("shop", ["user:ada", "device:d", "everyone"])
            assert heads == {CHAT: Head(1, epoch), pay: Head(1, epoch), NEWS: Head(1, epoch)}
            store = await maker.open()

    async def test_answers_are_the_callers_own(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append(drafts(1))
        (await store.heads("shop", ["user:ada"])).clear()
        assert await last(store) == 1

    async def test_follow_while_many_targets_are_asked_for(self, maker: Maker) -> None:
        store = await maker.open()
        channels = [Channel("shop", "CHAT", f"user:{number}") for number in range(6)]
        for round_ in range(1, 4):
            for channel in channels:
                await store.append([draft(f"m{round_}", channel)])
                assert await last(store, channel) == round_
            heads = await store.heads("shop", [channel.target for channel in channels])
            assert {head.last for head in heads.values()} == {round_}


class TestPoints:
    async def test_move_forward_only(self, maker: Maker) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        steps = [(5, 3), (4, 2), (5, 3), (4, 4), (6, 1)]
        points = []
        for received, processed in steps:
            store.advance([step(epoch, received, processed)])
            points.append((await store.points("shop", "phone"))[CHAT])
        reached = [(point.received, point.processed) for point in points]
        assert reached == [(5, 3), (5, 3), (5, 3), (5, 4), (6, 4)]

    async def test_survive_a_proper_close(self, maker: Maker) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        store.advance([step(epoch, 5, 3), step(epoch, 2, channel=NEWS)])
        store.advance([step(epoch, 9, device="tablet")])
        store = await maker.open()
        assert await store.points("shop", "phone") == {
            CHAT: SyncPoint(epoch, 5, 3),
            NEWS: SyncPoint(epoch, 2, 0),
        }
        assert await store.points("shop", "tablet") == {CHAT: SyncPoint(epoch, 9, 0)}
        assert await store.points("shop", "phon") == {}
        assert await store.points("sho", "phone") == {}

    async def test_ride_along_with_the_next_commit(self, maker: Maker) -> None:
        store = await maker.open()
        store.advance([step(store.lineage[-1], 5)])
        await store.append(drafts(1))
        assert len(await store.journal(CHAT, "phone", 0, 10)) == 1
        assert store.stats().commits == 1

    async def test_are_committed_soon_if_nothing_else_is(self, maker: Maker) -> None:
        store = await maker.open()
        maker.gate.shut()
        store.advance([step(store.lineage[-1], 5)])
        # No append at all: the gate is reached because the store commits by itself.
        await maker.gate.reached()
        maker.gate.open()
        store = await maker.open()
        assert await store.points("shop", "phone") == {CHAT: SyncPoint(store.lineage[-1], 5)}

    async def test_follow_the_lineage(self, maker: Maker, tmp_path: Path) -> None:
        store = await maker.open()
        await store.append(drafts(9))
        old = store.lineage[-1]
        store.advance([step(old, 5, 4, at_ms=1)])
        await store.append([draft("with the step")])
        await store.backup(tmp_path / "backup")
        store = await maker.restore(tmp_path / "backup")
        new = store.lineage[-1]
        store.advance([step(new, 2, 1, at_ms=2)])
        assert (await store.points("shop", "phone"))[CHAT] == SyncPoint(new, 2, 1)
        store.advance([step(old, 9, 9), step(12345, 9, 9)])
        assert (await store.points("shop", "phone"))[CHAT] == SyncPoint(new, 2, 1)
        store = await maker.open()
        assert await store.journal(CHAT, "phone", 1, 10) == [
            step(old, 5, 4, at_ms=1),
            step(new, 2, 1, at_ms=2),
        ]
        assert await store.journal(CHAT, "phone", 2, 10) == [step(old, 5, 4, at_ms=1)]

    async def test_too_many_steps_are_dropped_and_not_kept(self, maker: Maker) -> None:
        store = await maker.open(advances_max=10)
        epoch = store.lineage[-1]
        store.advance([step(epoch, 1, device=f"d{number}") for number in range(12)])
        assert await store.points("shop", "d9") != {}
        assert await store.points("shop", "d10") == {}
        await store.append(drafts(1))
        store.advance([step(epoch, 1, device="d10")])
        assert await store.points("shop", "d10") != {}


class TestJournal:
    async def test_tells_each_step_once_and_what_it_led_to(self, maker: Maker) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        store.advance([step(epoch, 3, 1, at_ms=10)])
        store.advance([step(epoch, 2, 1, at_ms=11)])
        store.advance([step(epoch, 1, 2, at_ms=12)])
        store.advance([step(epoch, 300, 300, at_ms=13), step(epoch, 4, 0, device="phone2")])
        await store.append(drafts(1))
        expected: list[Advance] = [
            step(epoch, 3, 1, at_ms=10),
            step(epoch, 3, 2, at_ms=12),
            step(epoch, 300, 300, at_ms=13),
        ]
        assert await store.journal(CHAT, "phone", 0, 10) == expected
        assert await store.journal(CHAT, "phone", 0, 2) == expected[:2]
        assert await store.journal(CHAT, "phone", 3, 10) == expected[2:]
        assert await store.journal(NEWS, "phone", 0, 10) == []

    async def test_is_trimmed_with_the_oplogs(self, maker: Maker) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        await store.append([draft(f"m{i}", expires_at_ms=i) for i in range(1, 5)])
        for received in range(1, 5):
            store.advance([step(epoch, received), step(epoch, received, device="tablet")])
        store.advance([step(epoch, 1, channel=NEWS)])
        await store.append([draft("commits the steps", NEWS)])
        await store.trim(2, 100)
        for device in ("phone", "tablet"):
            steps = await store.journal(CHAT, device, 0, 10)
            assert [each.received for each in steps] == [3, 4]
        assert len(await store.journal(NEWS, "phone", 0, 10)) == 1
        assert (await store.points("shop", "phone"))[CHAT].received == 4


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


class TestDocuments:
    async def test_are_put_replaced_and_deleted(self, maker: Maker) -> None:
        store = await maker.open()
        await store.put_document("config", "shop/CHAT", b"1")
        await store.put_document("config", "shop/é", b"")
        await store.put_document("configs", "shop/CHAT", b"other kind")
        await store.put_document("config", "shop/CHAT", b"2")
        store = await maker.open()
        assert await store.documents("config") == {"shop/CHAT": b"2", "shop/é": b""}
        await store.put_document("config", "shop/CHAT", None)
        await store.put_document("config", "never there", None)
        assert await store.documents("config") == {"shop/é": b""}
        assert await store.documents("conf") == {}

    async def test_last_of_several_in_one_commit_wins(self, maker: Maker) -> None:
        store = await maker.open()
        values = [b"1", None, b"3", b"2", None, b"4"]
        await asyncio.gather(*(store.put_document("k", "a", value) for value in values))
        assert await store.documents("k") == {"a": b"4"}


class TestBounds:
    async def test_a_full_queue_refuses_and_stores_nothing(self, maker: Maker) -> None:
        store = await maker.open(queue_bytes_max=10_000)
        maker.gate.shut()
        first = asyncio.create_task(store.append(drafts(1, size=4000)))
        await maker.gate.reached()
        second = asyncio.create_task(store.append(drafts(1, begin=2, size=5000)))
        await asyncio.sleep(0)
        assert store.stats().queued == 2
        with pytest.raises(Overloaded) as refusal:
            await store.append(drafts(1, begin=3, size=1000))
        assert refusal.value.retry_after_s > 0
        with pytest.raises(Overloaded):
            await store.put_document("k", "a", bytes(1000))
        maker.gate.open()
        await asyncio.gather(first, second)
        assert await ids(store) == [1, 2]
        assert store.stats().queued == 0
        assert await store.append(drafts(1, begin=3, size=1000)) == [Appended(3)]

    async def test_one_call_larger_than_the_queue_is_taken_when_nothing_waits(
        self, maker: Maker
    ) -> None:
        store = await maker.open(queue_bytes_max=10_000)
        assert len(await store.append(drafts(3, size=8000))) == 3

    async def test_many_groups_keep_their_order(self, maker: Maker) -> None:
        store = await maker.open()
        maker.gate.shut()
        first = asyncio.create_task(store.append([draft("first")]))
        await maker.gate.reached()
        calls = [
            asyncio.create_task(store.append(drafts(10, begin=10 * i, size=4000)))
            for i in range(1, 20)
        ]
        await asyncio.sleep(0)
        again = asyncio.create_task(store.append(drafts(1, begin=55)))
        await asyncio.sleep(0)
        maker.gate.open()
        await first
        given = [answer.id for call in calls for answer in await call]
        assert given == list(range(2, 192))
        assert await again == [Appended(47, duplicate=True)]
        assert await ids(store) == list(range(1, 192))


class TestFailure:
    async def test_in_flight_is_unknown_and_writes_end_but_reads_go_on(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append(drafts(3))
        await store.put_document("k", "a", b"1")
        maker.gate.shut()
        in_flight = asyncio.create_task(store.append(drafts(2, begin=4)))
        await maker.gate.reached()
        waiting = asyncio.create_task(store.append(drafts(2, begin=6)))
        document = asyncio.create_task(store.put_document("k", "a", b"2"))
        await asyncio.sleep(0)
        maker.gate.break_(OSError("the disk is on fire"))
        for call in (in_flight, waiting, document):
            with pytest.raises(OutcomeUnknown) as unknown:
                await call
            assert "on fire" in unknown.value.hint
        with pytest.raises(StoreUnavailable) as unavailable:
            await store.append(drafts(1, begin=8))
        assert "on fire" in unavailable.value.hint
        with pytest.raises(StoreUnavailable):
            await store.put_document("k", "b", b"1")
        with pytest.raises(StoreUnavailable):
            await store.trim(1, 1)
        store.advance([step(store.lineage[-1], 1)])
        assert await ids(store) == [1, 2, 3]
        assert await last(store) == 3
        assert await store.documents("k") == {"a": b"1"}
        assert "on fire" in store.stats().failed
        assert store.stats().queued == 0

    async def test_nothing_is_shown_later_either(self, maker: Maker) -> None:
        store = await maker.open()
        maker.gate.break_(OSError("broken"))
        with pytest.raises(OutcomeUnknown):
            await store.append([draft("a"), draft("a", NEWS)])
        for _ in range(3):
            assert await store.heads("shop", ["user:ada", "everyone"]) == {}
            assert await ids(store) == []
            await asyncio.sleep(0)

    async def test_closing_a_failed_store_is_fine(self, maker: Maker) -> None:
        store = await maker.open()
        maker.gate.break_(OSError("broken"))
        with pytest.raises(OutcomeUnknown):
            await store.append(drafts(1))
        await store.close()
        await store.close()


class TestClose:
    async def test_writes_what_waits(self, maker: Maker) -> None:
        store = await maker.open()
        call = asyncio.create_task(store.append(drafts(3)))
        await asyncio.sleep(0)
        store.advance([step(store.lineage[-1], 2)])
        await asyncio.gather(store.close(), store.close())
        assert len(await call) == 3
        store = await maker.open()
        assert await ids(store) == [1, 2, 3]
        assert (await store.points("shop", "phone"))[CHAT].received == 2

    async def test_ends_writing(self, maker: Maker) -> None:
        store = await maker.open()
        await store.close()
        with pytest.raises(StoreUnavailable):
            await store.append(drafts(1))
        with pytest.raises(StoreUnavailable):
            await store.put_document("k", "a", b"")


class TestBackup:
    async def test_holds_everything_appended_before(self, maker: Maker, tmp_path: Path) -> None:
        store = await maker.open()
        await store.append([draft("a", expires_at_ms=1), *drafts(3)])
        await store.trim(1, 10)
        await store.put_document("k", "a", b"1")
        store.advance([step(store.lineage[-1], 2, 1)])
        await store.append([draft("n", NEWS)])
        report = await store.backup(tmp_path / "backup")
        assert report.path == tmp_path / "backup"
        assert report.bytes > 0
        old = report.epoch
        assert old == store.lineage[-1]
        await store.append(drafts(2, begin=50))
        store = await maker.restore(tmp_path / "backup")
        new = store.lineage[-1]
        assert store.lineage == (old, new)
        assert new != old
        assert await ids(store) == [2, 3, 4]
        assert await store.documents("k") == {"a": b"1"}
        assert await store.points("shop", "phone") == {CHAT: SyncPoint(old, 2, 1)}
        assert len(await store.journal(CHAT, "phone", 0, 10)) == 1
        # Message ids are there, ids go on, and the head tells where the epochs part.
        assert await store.append(drafts(4)) == [
            *(Appended(oplog_id, duplicate=True) for oplog_id in (2, 3, 4)),
            Appended(5),
        ]
        assert await store.heads("shop", ["user:ada", "everyone"]) == {
            CHAT: Head(5, new, 1, 1, (Fork(old, 4),)),
            NEWS: Head(1, old),
        }

    async def test_again_and_again(self, maker: Maker, tmp_path: Path) -> None:
        store = await maker.open()
        for round_ in range(3):
            await store.append([draft(f"m{round_}")])
            await store.backup(tmp_path / f"backup-{round_}")
            store = await maker.restore(tmp_path / f"backup-{round_}")
        assert len(set(store.lineage)) == 4
        await store.append([draft("last")])
        head = (await store.heads("shop", ["user:ada"]))[CHAT]
        forks = tuple(Fork(store.lineage[i], i + 1) for i in range(3))
        assert head == Head(4, store.lineage[-1], 0, 0, forks)

    async def test_is_refused_over_something_that_exists(
        self, maker: Maker, tmp_path: Path
    ) -> None:
        store = await maker.open()
        (tmp_path / "taken").mkdir()
        with pytest.raises(InvalidRequest):
            await store.backup(tmp_path / "taken")

    async def test_goes_on_while_others_append(self, maker: Maker, tmp_path: Path) -> None:
        store = await maker.open()
        await store.append(drafts(100))
        backup = asyncio.create_task(store.backup(tmp_path / "backup"))
        for number in range(200, 250):
            await store.append(drafts(1, begin=number))
        await backup
        store = await maker.restore(tmp_path / "backup")
        found = await ids(store)
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= 100


async def test_far_future_is_never_trimmed(maker: Maker) -> None:
    store = await maker.open()
    await store.append([draft("a", expires_at_ms=2**53)])
    assert (await store.trim(FAR_MS, 10)).oplogs == 0
