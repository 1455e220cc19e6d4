"""Sync points: what waits, what is written, what is dropped."""

from mobilesync.domain.sync_point import SyncPoint
from mobilesync.storage.embedded.points import Points
from mobilesync.storage.embedded.tables import Tables
from tests.storage.drafts import CHAT, NEWS, step

OLD, NEW = 900, 5  # epochs are random: the older one may be the larger number


def commit(points: Points, tables: Tables) -> None:
    batch = tables.batch()
    points.write(batch)
    tables.write(batch)


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
