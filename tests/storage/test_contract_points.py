"""The contract suite: sync points and the journal of their steps."""

from pathlib import Path

from mobilesync.domain.sync_point import Advance, SyncPoint
from tests.storage.drafts import CHAT, NEWS, draft, drafts, step
from tests.storage.makers import Maker


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
            step(new, 2, 1, at_ms=2, before=2),
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
            step(epoch, 3, 2, at_ms=12, before=3),
            step(epoch, 300, 300, at_ms=13, before=3),
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
