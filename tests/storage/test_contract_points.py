"""The contract suite: sync points and the journal of their steps."""

import asyncio
from pathlib import Path

import pytest
from msgspec import structs

from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import Advance, Sent, Skip, SyncPoint, user_owner
from mobilesync.storage.contract import Store
from tests.storage.drafts import CHAT, NEWS, draft, drafts, step
from tests.storage.makers import Maker


async def committed(store: Store, *advances: Advance) -> list[Advance]:
    """The whole journal of `phone`, once `advances` are durable."""
    store.advance(advances)
    await store.put_documents([])
    return await store.journal(CHAT, "phone", -1, 1000)


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

    async def test_too_many_that_leave_no_step_are_dropped_too(self, maker: Maker) -> None:
        store = await maker.open(advances_max=10)
        epoch = store.lineage[-1]
        for begin in range(0, 20, 10):
            store.advance([step(epoch, 1, device=f"d{n}") for n in range(begin, begin + 10)])
            await store.put_documents([])
        waits = [structs.replace(step(epoch, 1, device=f"d{n}"), waits=1) for n in range(20)]
        store.advance(waits)
        found = [(await store.points("shop", f"d{n}"))[CHAT].waits for n in range(20)]
        assert found == [1] * 10 + [0] * 10

    async def test_what_a_device_waits_for_is_kept_without_a_step(self, maker: Maker) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        await committed(store, step(epoch, 3, 1))
        journal = await committed(store, structs.replace(step(epoch, 3, 1), waits=2))
        assert journal == [step(epoch, 3, 1)]
        store = await maker.open()
        assert await store.points("shop", "phone") == {CHAT: SyncPoint(epoch, 3, 1, waits=2)}
        journal = await committed(store, structs.replace(step(epoch, 3, 2), waits=1))
        assert journal[1:] == [step(epoch, 3, 2, before=3)]
        assert (await store.points("shop", "phone"))[CHAT].waits == 1

    async def test_what_was_sent_is_kept_until_it_is_received(self, maker: Maker) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        sent = []
        for advance in (
            structs.replace(step(epoch, 0), sent=4),
            step(epoch, 2),
            structs.replace(step(epoch, 0), sent=3),
            structs.replace(step(epoch, 0), sent=9),
            step(epoch, 9),
        ):
            store.advance([advance])
            point = (await store.points("shop", "phone"))[CHAT]
            sent.append((point.received, point.sent))
        assert sent == [(0, 4), (2, 4), (2, 4), (2, 9), (9, 0)]
        journal = await committed(store)
        assert [(each.received, each.sent) for each in journal] == [(0, 4), (2, 4), (2, 9), (9, 0)]

    async def test_of_a_user_are_apart_from_those_of_devices(self, maker: Maker) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        store.advance([step(epoch, 5, device=user_owner("ada")), step(epoch, 3, device="ada")])
        await store.put_documents([])
        for _ in range(2):
            assert await store.points("shop", "ada") == {CHAT: SyncPoint(epoch, 3)}
            assert await store.points("shop", user_owner("ada")) == {CHAT: SyncPoint(epoch, 5)}
            assert len(await store.journal(CHAT, user_owner("ada"), 0, 10)) == 1
            store = await maker.open()

    async def test_remember_refusals_that_may_be_undone(self, maker: Maker) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        skips = (Skip(1, 2, Reason.VERSION), Skip(3, 3, Reason.EXPIRED))
        store.advance([structs.replace(step(epoch, 5), skips=skips)])
        store = await maker.open()
        assert await store.points("shop", "phone") == {CHAT: SyncPoint(epoch, 5, refused=2)}


def restart(epoch: int, received: int, processed: int = 0) -> Advance:
    return structs.replace(step(epoch, received, processed), restarts=True)


def places(steps: list[Advance]) -> list[tuple[int, int, int]]:
    """(lap, received, processed) of each step."""
    return [(each.lap, each.received, each.processed) for each in steps]


class TestLaps:
    async def test_a_restart_goes_back_and_what_follows_is_a_new_lap(self, maker: Maker) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        store.advance([step(epoch, 300, 5), restart(epoch, 2, 1)])
        assert (await store.points("shop", "phone"))[CHAT] == SyncPoint(epoch, 2, 1, restarts=1)
        store.advance([step(epoch, 1, 1), step(epoch, 4, 2)])
        store = await maker.open()
        assert (await store.points("shop", "phone"))[CHAT] == SyncPoint(epoch, 4, 2, restarts=1)
        journal = await committed(store, restart(epoch, 0), step(epoch, 9))
        assert places(journal) == [(0, 300, 5), (1, 2, 1), (1, 4, 2), (2, 0, 0), (2, 9, 0)]
        assert [each.before for each in journal] == [0, 2, 2, 0, 0]
        assert not any(each.restarts for each in journal)

    async def test_a_restart_on_the_spot_or_of_nothing_is_a_lap_too(self, maker: Maker) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        journal = await committed(store, restart(epoch, 5, 5), restart(epoch, 5, 5))
        assert places(journal) == [(1, 5, 5), (2, 5, 5)]
        journal = await committed(store, step(epoch, 5, 5))
        assert len(journal) == 2

    async def test_restarts_of_a_foreign_epoch_are_ignored(self, maker: Maker) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        journal = await committed(store, step(epoch, 5), restart(12345, 1))
        assert places(journal) == [(0, 5, 0)]

    async def test_laps_and_epochs_are_told_in_the_order_in_which_they_were_made(
        self, maker: Maker, tmp_path: Path
    ) -> None:
        store = await maker.open()
        old = store.lineage[-1]
        await committed(store, step(old, 5), restart(old, 1), step(old, 7))
        await store.backup(tmp_path / "backup")
        store = await maker.restore(tmp_path / "backup")
        new = store.lineage[-1]
        expected = [(old, 0, 5), (old, 1, 1), (old, 1, 7), (new, 1, 3), (new, 2, 0), (new, 2, 4)]
        journal = await committed(store, step(new, 3), restart(new, 0), step(new, 4))
        assert [(each.epoch, each.lap, each.received) for each in journal] == expected
        # Even one that goes back into an older epoch.
        journal = await committed(store, restart(old, 2), step(old, 6), step(new, 8))
        expected += [(old, 3, 2), (old, 3, 6), (new, 3, 8)]
        assert [(each.epoch, each.lap, each.received) for each in journal] == expected
        assert (await store.points("shop", "phone"))[CHAT] == SyncPoint(new, 8, restarts=3)
        for after in range(-1, 9):
            above = [each for each in journal if each.received > after]
            for count_max in (1, 3, 100):
                found = await store.journal(CHAT, "phone", after, count_max)
                assert found == above[:count_max]

    async def test_many_laps(self, maker: Maker) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        moves = [move for n in range(300) for move in (restart(epoch, 0), step(epoch, n))]
        journal = await committed(store, *moves)
        # Moving to 0, where the restart has put it, is no step.
        expected = [(lap, 0, 0) for lap in range(1, 301)]
        expected += [(n + 1, n, 0) for n in range(1, 300)]
        assert places(journal) == sorted(expected)
        assert len(await store.journal(CHAT, "phone", 298, 1000)) == 1

    async def test_are_trimmed_with_the_oplogs(self, maker: Maker) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        await store.append([draft(f"m{i}", expires_at_ms=i) for i in range(1, 6)])
        moves = [step(epoch, 2), step(epoch, 4), restart(epoch, 1), step(epoch, 3)]
        await committed(store, *moves, restart(epoch, 2))
        assert (await store.trim(2, 10)).oplogs == 2
        journal = await committed(store)
        assert places(journal) == [(0, 4, 0), (1, 3, 0)]
        journal = await committed(store, step(epoch, 5))
        assert places(journal) == [(0, 4, 0), (1, 3, 0), (2, 5, 0)]


class TestJournal:
    async def test_shows_only_what_is_durable(self, maker: Maker) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        journal = await committed(store, step(epoch, 1))
        maker.gate.shut()
        store.advance([step(epoch, 2), step(epoch, 2, device="tablet")])
        call = asyncio.create_task(store.append([draft("a")]))
        assert await store.journal(CHAT, "phone", 0, 10) == journal
        await maker.gate.reached()
        store.advance([step(epoch, 3)])
        assert await store.journal(CHAT, "phone", 0, 10) == journal
        assert await store.journal(CHAT, "tablet", 0, 10) == []
        assert (await store.points("shop", "phone"))[CHAT].received == 3
        maker.gate.open()
        await call
        assert len(await store.journal(CHAT, "tablet", 0, 10)) == 1
        assert places(await committed(store)) == [(0, 1, 0), (0, 2, 0), (0, 3, 0)]

    @pytest.mark.parametrize("survives", [0.0, 0.5, 1.0])
    async def test_and_points_are_the_same_after_a_crash(
        self, maker: Maker, survives: float
    ) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        await committed(store, step(epoch, 1))
        maker.gate.shut()
        store.advance([step(epoch, 2, 1), step(epoch, 3, 2)])
        call = asyncio.create_task(store.append([draft("a")]))
        await maker.gate.reached()
        store = await maker.crash(survives)
        call.cancel()
        journal = await store.journal(CHAT, "phone", 0, 10)
        point = (await store.points("shop", "phone"))[CHAT]
        assert (journal[-1].received, journal[-1].processed) == (point.received, point.processed)
        assert places(journal) in ([(0, 1, 0)], [(0, 1, 0), (0, 2, 1), (0, 3, 2)])

    async def test_sends_and_skips_come_back_as_written(self, maker: Maker) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        sends = (Sent(4, 100), Sent(9, 2**50))
        skips = (Skip(1, 3, Reason.OS), Skip(5, 5, Reason.OVER_THRESHOLD))
        moves = [
            structs.replace(step(epoch, 4), sends=sends, sent=9),
            structs.replace(step(epoch, 5), skips=skips[1:]),
            structs.replace(step(epoch, 6), sends=sends[:1], skips=skips),
        ]
        await committed(store, *moves)
        store = await maker.open()
        found = await store.journal(CHAT, "phone", 0, 10)
        assert [(each.sends, each.skips) for each in found] == [
            (sends, ()),
            ((), skips[1:]),
            (sends[:1], skips),
        ]
        assert [(each.received, each.sent, each.before) for each in found] == [
            *((4, 9, 0), (5, 9, 4)),
            (6, 9, 5),
        ]

    @pytest.mark.parametrize("after", range(-1, 12))
    async def test_tells_what_was_only_sent_however_little_was_received(
        self, maker: Maker, after: int
    ) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        moves = [(0, 0), (0, 5), (1, 5), (3, 5), (4, 8), (5, 8), (8, 8), (8, 10), (10, 0)]
        for received, sent in moves:
            store.advance([structs.replace(step(epoch, received), sent=sent)])
        journal = await committed(store)
        assert [(each.received, each.sent) for each in journal] == [
            *((0, 0), (0, 5), (1, 5), (3, 5), (4, 8), (5, 8), (8, 0), (8, 10), (10, 0)),
        ]
        expected = [each for each in journal if max(each.received, each.sent) > after]
        for count_max in (1, 2, 100):
            found = await store.journal(CHAT, "phone", after, count_max)
            assert found == expected[:count_max]

    async def test_keeps_what_was_sent_of_oplogs_that_are_not_trimmed(self, maker: Maker) -> None:
        store = await maker.open()
        epoch = store.lineage[-1]
        await store.append([draft(f"m{i}", expires_at_ms=i) for i in range(1, 6)])
        await committed(store, *(structs.replace(step(epoch, 0), sent=sent) for sent in (2, 4)))
        await store.trim(2, 10)
        assert [each.sent for each in await committed(store)] == [4]
        await store.trim(4, 10)
        assert await committed(store) == []

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
