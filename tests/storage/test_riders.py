"""What rides along in a memory store's commits: what is shown, and what is on the disk when."""

from mobilesync.domain.sync_point import SyncPoint
from mobilesync.storage.contract import Document
from mobilesync.storage.disk import Disk
from mobilesync.storage.riders import Riders
from tests.storage.drafts import CHAT, step

PHONE = ("shop", "phone")


def note(value: bytes | None, key: str = "a") -> list[Document]:
    return [Document("k", key, value)]


def shown(riders: Riders) -> bytes | None:
    value = riders.documents("k", "", "", 0).get("a")
    assert riders.document(("k", "a")) == value
    return value


def test_nothing_rides_at_first_or_after_it_landed() -> None:
    disk = Disk((7,))
    riders = Riders(disk, 10)
    assert not riders
    riders.advance([step(7, 1)])
    assert riders
    riders.board()
    assert not riders
    assert disk.points == {}
    riders.land()
    assert disk.points == {PHONE: {CHAT: SyncPoint(7, 1)}}
    assert disk.journal == {(CHAT, "phone"): [step(7, 1)]}
    riders.note(note(b"1"))
    assert riders
    riders.board()
    riders.land()
    assert disk.documents == {("k", "a"): b"1"}


def test_all_is_shown_at_once() -> None:
    riders = Riders(Disk((7,)), 10)
    for received in (1, 2):
        riders.advance([step(7, received)])
        riders.note(note(b"%d" % received))
        for move in (riders.board, riders.land, riders.forget):
            assert riders.points(PHONE) == {CHAT: SyncPoint(7, received)}
            assert shown(riders) == b"%d" % received
            move()


def test_what_comes_while_a_commit_is_in_flight_rides_in_the_next() -> None:
    disk = Disk((7,))
    riders = Riders(disk, 10)
    riders.advance([step(7, 1)])
    riders.note(note(b"1"))
    riders.board()
    riders.advance([step(7, 2)])
    riders.note(note(None))
    riders.land()
    assert riders
    assert disk.points[PHONE][CHAT].received == 1
    assert disk.documents == {("k", "a"): b"1"}
    assert shown(riders) is None
    riders.board()
    riders.land()
    assert disk.points[PHONE][CHAT].received == 2
    assert disk.documents == {}


def test_a_document_that_is_put_overtakes_the_note_that_waits() -> None:
    disk = Disk((7,))
    riders = Riders(disk, 10)
    riders.note(note(b"noted"))
    riders.overtake([*note(b"put"), *note(b"put", "other")])
    assert not riders
    assert shown(riders) == b"noted"
    riders.board()
    assert shown(riders) == b"noted"
    disk.keep(*note(b"put"))
    riders.land()
    assert shown(riders) == b"put"


def test_a_note_after_it_stays() -> None:
    disk = Disk((7,))
    riders = Riders(disk, 10)
    riders.note(note(b"noted"))
    riders.overtake(note(b"put"))
    riders.note(note(b"again"))
    assert shown(riders) == b"again"
    riders.board()
    assert shown(riders) == b"again"
    disk.keep(*note(b"put"))
    riders.land()
    assert disk.documents == {("k", "a"): b"again"}


def test_each_has_its_bound() -> None:
    riders = Riders(Disk((7,)), 3)
    riders.advance([step(7, received) for received in range(1, 6)])
    assert riders.points(PHONE) == {CHAT: SyncPoint(7, 3)}
    riders.note([Document("k", str(number), b"") for number in range(5)])
    assert list(riders.documents("k", "", "", 0)) == ["0", "1", "2"]
    riders.board()
    riders.advance([step(7, 9)])
    assert riders.points(PHONE) == {CHAT: SyncPoint(7, 9)}


def test_forgotten_is_what_waits_and_what_rides() -> None:
    disk = Disk((7,))
    riders = Riders(disk, 10)
    riders.note(note(b"1"))
    riders.board()
    riders.advance([step(7, 1)])
    riders.forget()
    assert not riders
    assert shown(riders) is None
    riders.land()
    assert (disk.points, disk.documents) == ({}, {})


def test_the_points_answered_are_the_callers_own() -> None:
    riders = Riders(Disk((7,)), 10)
    riders.advance([step(7, 1)])
    riders.points(PHONE).clear()
    assert riders.points(PHONE) == {CHAT: SyncPoint(7, 1)}
