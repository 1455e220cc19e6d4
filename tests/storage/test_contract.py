"""The contract suite: what every store promises of oplogs, over each implementation."""

import asyncio

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Conditions
from mobilesync.domain.errors import (
    OutcomeUnknown,
)
from mobilesync.domain.message_id import made_message_id, series_of, whole_message_id
from mobilesync.domain.oplog import Appended, oplog_of
from mobilesync.domain.sync_point import Head
from mobilesync.storage.contract import Document
from tests.storage.drafts import BIG, CHAT, NEWS, draft, drafts, ids, last
from tests.storage.makers import Maker


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

    async def test_a_made_message_id_is_completed_and_found(self, maker: Maker) -> None:
        store = await maker.open()
        series = series_of(7)
        first, second = made_message_id(series, 1), made_message_id(series, 2)
        answers = await store.append([draft(first), draft("given"), draft(second)])
        assert answers == [Appended(1), Appended(2), Appended(3)]
        whole = whole_message_id(second, 3)
        for _ in range(2):
            oplogs = (await store.read(CHAT, 0, 10, BIG)).oplogs
            assert [each.message_id for each in oplogs][1:] == ["given", whole]
            assert await store.find(CHAT, whole) == 3
            assert await store.find(CHAT, whole_message_id(second, 2)) == 0
            assert await store.find(CHAT, whole_message_id(first, 3)) == 0
            assert await store.find(CHAT, second) == 0
            assert await store.find(NEWS, whole) == 0
            assert await store.append([draft(whole)]) == [Appended(3, duplicate=True)]
            store = await maker.open()

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
        await store.put_documents([Document("kind", "key", b"old")])
        maker.gate.shut()
        calls = [
            asyncio.create_task(store.append([draft("new"), draft("new", NEWS)])),
            asyncio.create_task(store.put_documents([Document("kind", "key", b"new")])),
            asyncio.create_task(store.put_documents([Document("kind", "other", b"new")])),
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
