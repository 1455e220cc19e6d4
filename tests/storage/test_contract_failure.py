"""The contract suite: bounds, failure, closing, backup and restore."""

import asyncio
from pathlib import Path

import pytest

from mobilesync.domain.conditions import Conditions
from mobilesync.domain.errors import (
    InvalidRequest,
    OutcomeUnknown,
    Overloaded,
    StoreUnavailable,
)
from mobilesync.domain.oplog import Appended
from mobilesync.domain.sync_point import Fork, Head, SyncPoint
from mobilesync.storage.contract import Document
from tests.storage.drafts import CHAT, NEWS, draft, drafts, ids, last, step
from tests.storage.makers import Maker


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
            await store.put_documents([Document("k", "a", bytes(1000))])
        maker.gate.open()
        await asyncio.gather(first, second)
        assert await ids(store) == [1, 2]
        assert store.stats().queued == 0
        assert await store.append(drafts(1, begin=3, size=1000)) == [Appended(3)]

    async def test_all_that_is_kept_counts_and_not_only_payloads(self, maker: Maker) -> None:
        store = await maker.open(queue_bytes_max=10_000)
        maker.gate.shut()
        first = asyncio.create_task(store.append([draft("a")]))
        await maker.gate.reached()
        audience = Conditions(users=tuple(f"user-{number:04}" for number in range(1_000)))
        with pytest.raises(Overloaded):
            await store.append([draft("b", conditions=audience)])
        with pytest.raises(Overloaded):
            await store.append([draft("b")], lambda _: [Document("k", "a", bytes(10_000))])
        maker.gate.open()
        await first
        assert await store.append([draft("c")]) == [Appended(2)]
        assert await store.documents("k") == {}

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
        await store.put_documents([Document("k", "a", b"1")])
        maker.gate.shut()
        in_flight = asyncio.create_task(store.append(drafts(2, begin=4)))
        await maker.gate.reached()
        waiting = asyncio.create_task(store.append(drafts(2, begin=6)))
        document = asyncio.create_task(store.put_documents([Document("k", "a", b"2")]))
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
            await store.put_documents([Document("k", "b", b"1")])
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
            await store.put_documents([Document("k", "a", b"")])


class TestBackup:
    async def test_holds_everything_appended_before(self, maker: Maker, tmp_path: Path) -> None:
        store = await maker.open()
        await store.append([draft("a", expires_at_ms=1), *drafts(3)])
        await store.trim(1, 10)
        await store.put_documents([Document("k", "a", b"1")])
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
