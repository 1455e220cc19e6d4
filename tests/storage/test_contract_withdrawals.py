"""The contract suite: oplogs that withdraw others of their channel."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mobilesync.domain.oplog import Appended, Oplog, WithdrawalReason, Withdrawn
from mobilesync.storage.contract import Store
from tests.storage.drafts import BIG, CHAT, NEWS, draft, drafts, ids, withdrawal
from tests.storage.makers import Maker

RECALLED, CONSUMED = WithdrawalReason.RECALLED, WithdrawalReason.CONSUMED
AT_MS = 1000
"""When the drafts of these tests are published."""


async def oplogs(store: Store) -> dict[int, Oplog]:
    return {oplog.id: oplog for oplog in (await store.read(CHAT, 0, 1000, BIG)).oplogs}


async def withdrawn(store: Store) -> dict[int, int]:
    """Which oplogs are withdrawn, and by which."""
    found = await oplogs(store)
    return {n: oplog.withdrawn.by_id for n, oplog in found.items() if oplog.withdrawn is not None}


class TestWithdrawals:
    async def test_a_recall_leaves_all_but_the_payload(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a", key="k"), draft("b"), draft("c")])
        before = await oplogs(store)
        assert await store.append([withdrawal("w", (1, 2))]) == [Appended(4)]
        for _ in range(2):
            after = await oplogs(store)
            assert after[3] == before[3]
            for oplog_id in (1, 2):
                left = after[oplog_id]
                assert left.payload == b""
                assert left.withdrawn == Withdrawn(4, RECALLED, AT_MS)
                assert left.key == before[oplog_id].key
                assert left.message_id == before[oplog_id].message_id
                assert left.expires_at_ms == before[oplog_id].expires_at_ms
            assert after[4].details is not None
            assert after[4].details.withdraws is not None
            assert after[4].details.withdraws.ids == ((1, 2),)
            store = await maker.open()

    async def test_a_consumption_leaves_the_payload_and_tells_by_whom(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a")])
        await store.append([withdrawal("w", (1, 1), reason=CONSUMED, by="tablet")])
        left = (await oplogs(store))[1]
        assert left.payload == b"payload"
        assert left.withdrawn == Withdrawn(2, CONSUMED, AT_MS, "tablet")

    @pytest.mark.parametrize(
        "ranges, expected",
        [
            ([(1, 1)], [1]),
            ([(2, 4)], [2, 3, 4]),
            ([(1, 2), (4, 5)], [1, 2, 4, 5]),
            ([(1, 2**53)], [1, 2, 3, 4, 5]),
            ([(5, 9)], [5]),
            ([(6, 9)], []),
            ([(7, 2**53)], []),
        ],
    )
    async def test_names_ranges_of_ids(
        self, maker: Maker, ranges: list[tuple[int, int]], expected: list[int]
    ) -> None:
        store = await maker.open()
        await store.append([*drafts(5), draft("other", NEWS)])
        await store.append([withdrawal("w", *ranges)])
        assert list(await withdrawn(store)) == expected
        assert (await store.read(NEWS, 0, 1, BIG)).oplogs[0].withdrawn is None

    async def test_of_a_channel_without_oplogs_withdraws_nothing(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([withdrawal("w", (1, 9))])
        assert await withdrawn(store) == {}
        assert await ids(store) == [1]

    async def test_a_duplicate_withdraws_nothing(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append(drafts(2))
        await store.append([withdrawal("w", (1, 1))])
        again = await store.append([withdrawal("w", (1, 2)), withdrawal("m2", (1, 2))])
        assert again == [Appended(3, duplicate=True), Appended(2, duplicate=True)]
        assert await withdrawn(store) == {1: 3}

    async def test_a_withdrawal_is_never_withdrawn(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append(drafts(1))
        await store.append([withdrawal("w", (1, 1))])
        await store.append([withdrawal("v", (1, 9))])
        assert await withdrawn(store) == {1: 2}
        found = await oplogs(store)
        assert all(found[n].details is not None for n in (2, 3))


class TestAgain:
    """Once recalled, always recalled; what was only consumed can still be recalled."""

    @pytest.mark.parametrize(
        "first, second, by_id, reason",
        [
            (RECALLED, RECALLED, 2, RECALLED),
            (RECALLED, CONSUMED, 2, RECALLED),
            (CONSUMED, CONSUMED, 2, CONSUMED),
            (CONSUMED, RECALLED, 3, RECALLED),
        ],
    )
    @pytest.mark.parametrize("together", ["one call", "one commit", "two commits", "in flight"])
    async def test_in_any_company(
        self,
        maker: Maker,
        together: str,
        first: WithdrawalReason,
        second: WithdrawalReason,
        by_id: int,
        reason: WithdrawalReason,
    ) -> None:
        store = await maker.open()
        await store.append([draft("a")])
        one = withdrawal("one", (1, 1), reason=first, by="one")
        two = withdrawal("two", (1, 1), reason=second, by="two")
        if together == "one call":
            await store.append([one, two])
        elif together == "one commit":
            await asyncio.gather(store.append([one]), store.append([two]))
        elif together == "two commits":
            await store.append([one])
            await store.append([two])
        else:
            maker.gate.shut()
            in_flight = asyncio.create_task(store.append([one]))
            await maker.gate.reached()
            waiting = asyncio.create_task(store.append([two]))
            await asyncio.sleep(0)
            assert await withdrawn(store) == {}
            maker.gate.open()
            await in_flight
            assert await withdrawn(store) in ({1: 2}, {1: by_id})
            await waiting
        for _ in range(2):
            left = (await oplogs(store))[1]
            assert left.withdrawn is not None
            assert (left.withdrawn.by_id, left.withdrawn.reason) == (by_id, reason)
            assert left.withdrawn.by == ("one" if by_id == 2 else "two")
            assert left.payload == (b"" if reason is RECALLED else b"payload")
            store = await maker.open()


class TestVisibility:
    async def test_what_is_not_durable_at_the_call_stays(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a")])
        maker.gate.shut()
        in_flight = asyncio.create_task(store.append([draft("b")]))
        await maker.gate.reached()
        calls = [
            asyncio.create_task(store.append([draft("c"), withdrawal("w", (1, 9)), draft("d")])),
            asyncio.create_task(store.append([withdrawal("v", (1, 9))])),
        ]
        await asyncio.sleep(0)
        maker.gate.open()
        await asyncio.gather(in_flight, *calls)
        assert await withdrawn(store) == {1: 4}
        assert await ids(store) == [1, 2, 3, 4, 5, 6]

    async def test_nothing_is_withdrawn_before_that_is_durable(self, maker: Maker) -> None:
        """Else a power cut could give back what a device was already told not to expect."""
        store = await maker.open()
        await store.append([draft("a", key="k"), draft("b")])
        before = await oplogs(store)
        maker.gate.shut()
        call = asyncio.create_task(store.append([withdrawal("w", (1, 2))]))
        await maker.gate.reached()
        assert await oplogs(store) == before
        assert await store.newest_of_key(CHAT, "k", 1) == [before[1]]
        assert (await store.read(CHAT, 0, 10, 10)).oplogs == [before[1]], "its bytes count"
        maker.gate.open()
        await call
        assert await withdrawn(store) == {1: 3, 2: 3}
        assert (await store.newest_of_key(CHAT, "k", 1))[0].payload == b""

    async def test_nor_when_it_fails(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a")])
        before = await oplogs(store)
        maker.gate.break_(OSError("broken"))
        call = asyncio.create_task(store.append([withdrawal("w", (1, 1))]))
        await asyncio.gather(call, return_exceptions=True)
        assert await oplogs(store) == before

    @pytest.mark.parametrize("survives", [0.0, 0.3, 0.7, 1.0])
    async def test_after_a_crash_both_are_there_or_neither(
        self, maker: Maker, survives: float
    ) -> None:
        store = await maker.open()
        await store.append(drafts(20, size=100))
        maker.gate.shut()
        call = asyncio.create_task(store.append([withdrawal("w", (1, 20))]))
        await maker.gate.reached()
        store = await maker.crash(survives)
        call.cancel()
        left = await oplogs(store)
        assert await withdrawn(store) == (dict.fromkeys(range(1, 21), 21) if 21 in left else {})

    async def test_survive_backup_and_restore(self, maker: Maker, tmp_path: Path) -> None:
        store = await maker.open()
        await store.append(drafts(2))
        await store.append([withdrawal("w", (1, 1))])
        before = await oplogs(store)
        await store.backup(tmp_path / "backup")
        await store.append([withdrawal("v", (2, 2))])
        store = await maker.restore(tmp_path / "backup")
        assert await oplogs(store) == before
        await store.append([withdrawal("x", (1, 2))])
        assert await withdrawn(store) == {1: 3, 2: 4}


class TestTrim:
    @pytest.mark.parametrize("first", ["trim", "withdrawal"])
    @pytest.mark.parametrize("behind_another", [False, True])
    async def test_what_is_trimmed_in_the_same_commit_stays_gone(
        self, maker: Maker, first: str, behind_another: bool
    ) -> None:
        store = await maker.open()
        await store.append([draft("a", expires_at_ms=1), draft("b", expires_at_ms=1), draft("c")])
        calls: list[asyncio.Future[Any]] = []
        if behind_another:
            maker.gate.shut()
            calls.append(asyncio.create_task(store.append([draft("in flight", NEWS)])))
            await maker.gate.reached()
        trim, append = store.trim(1, 10), store.append([withdrawal("w", (1, 3))])
        both = (trim, append) if first == "trim" else (append, trim)
        # They begin in this order, before the disk answers.
        calls.extend(asyncio.ensure_future(each) for each in both)
        await asyncio.sleep(0)
        maker.gate.open()
        await asyncio.gather(*calls)
        for _ in range(2):
            assert await withdrawn(store) == {3: 4}
            assert await ids(store) == [3, 4]
            assert await store.find(CHAT, "a") == 0
            store = await maker.open()

    async def test_a_withdrawn_oplog_ends_when_it_would_have(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a", expires_at_ms=5, key="k"), draft("b", expires_at_ms=9)])
        await store.append([withdrawal("w", (1, 2))])
        assert (await store.trim(4, 10)).oplogs == 0
        assert (await store.trim(5, 10)).oplogs == 1
        assert await ids(store) == [2, 3]
        assert await store.newest_of_key(CHAT, "k", 1) == []
        assert await store.find(CHAT, "a") == 0
