"""Sync points: what waits, what is written, what is dropped."""

import pytest
from msgspec import structs
from rocksdict import Rdict

from mobilesync.domain.sync_point import SyncPoint
from mobilesync.storage.embedded import points as points_module
from mobilesync.storage.embedded.points import Points
from mobilesync.storage.embedded.tables import Tables
from tests.storage.drafts import CHAT, NEWS, step

OLD, NEW = 900, 5  # epochs are random: the older one may be the larger number


def commit(points: Points, tables: Tables) -> None:
    batch = tables.batch()
    points.write(batch)
    tables.write(batch)
    points.settle()


def test_the_same_before_and_after_the_commit(tables: Tables) -> None:
    points = Points(tables, (OLD, NEW), 10)
    points.advance(step(NEW, 3, 1))
    points.advance(step(NEW, 2, 2))
    points.advance(step(NEW, 1, channel=NEWS))
    expected = {CHAT: SyncPoint(NEW, 3, 2), NEWS: SyncPoint(NEW, 1)}
    assert len(points) == 2
    assert points.of_device("shop", "phone") == expected
    assert points.journal(CHAT, "phone", 0, 10) == []
    commit(points, tables)
    assert len(points) == 0
    assert points.of_device("shop", "phone") == expected
    assert points.journal(CHAT, "phone", 0, 10) == [
        step(NEW, 3, 1),
        step(NEW, 3, 2, before=3),
    ]
    points.advance(step(NEW, 3, 2))
    assert len(points) == 0
    tables.close()


def test_the_lineage_decides_and_not_the_number(tables: Tables) -> None:
    points = Points(tables, (OLD, NEW), 10)
    points.advance(step(OLD, 7))
    commit(points, tables)
    points.advance(step(NEW, 2))
    points.advance(step(OLD, 8))
    points.advance(step(777, 9))
    assert len(points) == 1
    assert points.of_device("shop", "phone") == {CHAT: SyncPoint(NEW, 2)}
    commit(points, tables)
    assert [each.epoch for each in points.journal(CHAT, "phone", 0, 10)] == [OLD, NEW]
    tables.close()


def test_the_journal_shows_a_step_once_it_is_durable(tables: Tables) -> None:
    points = Points(tables, (NEW,), 10)
    points.advance(step(NEW, 1))
    commit(points, tables)
    points.advance(step(NEW, 2))
    batch = tables.batch()
    points.write(batch)
    tables.write(batch)
    points.advance(step(NEW, 3))
    assert [each.received for each in points.journal(CHAT, "phone", 0, 10)] == [1]
    assert points.of_device("shop", "phone") == {CHAT: SyncPoint(NEW, 3)}
    # As after a failure: what waits is dropped, and of what was written nobody knows.
    points.forget()
    assert [each.received for each in points.journal(CHAT, "phone", 0, 10)] == [1]
    points.settle()
    assert [each.received for each in points.journal(CHAT, "phone", 0, 10)] == [1, 2]
    tables.close()


def test_points_that_leave_no_step_have_their_bound_too(tables: Tables) -> None:
    points = Points(tables, (NEW,), 2)
    for device in ("a", "b"):
        points.advance(step(NEW, 1, device=device))
    commit(points, tables)
    points.advance(step(NEW, 1, device="c"))
    commit(points, tables)
    for device in ("a", "b", "c"):
        points.advance(structs.replace(step(NEW, 1, device=device), waits=1))
    waits = [points.of_device("shop", device)[CHAT].waits for device in ("a", "b", "c")]
    assert (waits, len(points)) == ([1, 1, 0], 2)
    tables.close()


def test_a_lap_in_an_older_epoch_comes_after_those_before_it(tables: Tables) -> None:
    points = Points(tables, (OLD, NEW), 10)
    for epoch, received, restarts in ((OLD, 5, False), (NEW, 3, False), (OLD, 1, True)):
        points.advance(structs.replace(step(epoch, received), restarts=restarts))
        points.advance(step(epoch, received + 1))
    commit(points, tables)
    found = points.journal(CHAT, "phone", 0, 10)
    assert [(each.epoch, each.lap, each.received) for each in found] == [
        *((OLD, 0, 5), (OLD, 0, 6), (NEW, 0, 3), (NEW, 0, 4)),
        *((OLD, 1, 1), (OLD, 1, 2)),
    ]
    tables.close()


def test_at_the_bound_steps_are_dropped(tables: Tables) -> None:
    points = Points(tables, (NEW,), 3)
    for received in range(1, 6):
        points.advance(step(NEW, received))
    assert len(points) == 1
    assert points.of_device("shop", "phone") == {CHAT: SyncPoint(NEW, 3)}
    commit(points, tables)
    assert [each.received for each in points.journal(CHAT, "phone", 0, 10)] == [1, 2, 3]
    points.advance(step(NEW, 9))
    points.forget()
    assert len(points) == 0
    assert points.of_device("shop", "phone") == {CHAT: SyncPoint(NEW, 3)}
    tables.close()


def test_a_point_that_moves_again_is_not_read_again(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = Points(tables, (NEW,), 10)
    points.advance(step(NEW, 1))
    commit(points, tables)
    reads: list[bytes] = []
    read = tables.get

    def noted(table: Rdict, key: bytes) -> bytes | None:
        reads.append(key)
        return read(table, key)

    monkeypatch.setattr(tables, "get", noted)
    points.advance(step(NEW, 2))
    commit(points, tables)
    points.advance(step(NEW, 1))
    assert len(points) == 0
    assert reads == []
    points.advance(step(NEW, 1, channel=NEWS))
    assert len(reads) == 1
    tables.close()


def test_points_that_are_kept_are_bounded(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points_module, "RECENT_MAX", 1)
    points = Points(tables, (NEW,), 10)
    for received in (1, 2):
        points.advance(step(NEW, received))
        points.advance(step(NEW, received, channel=NEWS))
        assert len(points._recent) == 1
    commit(points, tables)
    points.advance(step(NEW, 1))
    assert len(points) == 0
    assert points.of_device("shop", "phone") == {CHAT: SyncPoint(NEW, 2), NEWS: SyncPoint(NEW, 2)}
    tables.close()


def test_what_was_dropped_is_a_step_again(tables: Tables) -> None:
    points = Points(tables, (NEW,), 10)
    points.advance(step(NEW, 1))
    points.forget()
    points.advance(step(NEW, 1))
    assert len(points) == 1
    tables.close()
