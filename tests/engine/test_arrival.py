"""What a device says against what is known of it: three ways to differ, and where it goes on."""

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import (
    Advance,
    Fork,
    Head,
    Resume,
    Skip,
    SyncPoint,
    advanced,
    step_to,
)
from mobilesync.engine.acks import Progress
from mobilesync.engine.arrival import Arrival, Entry, gaps
from mobilesync.engine.replays import Replay
from mobilesync.protocol.codes import ResetReason

CHAT = Channel("shop", "CHAT", "everyone")
PAY = Channel("shop", "PAY", "user:ada")
OLD, NOW = 5, 7
HEAD = Head(20, NOW)


def _entry(
    said: dict[Channel, SyncPoint],
    known: dict[Channel, SyncPoint],
    *,
    head: Head = HEAD,
    replay: Replay | None = None,
    shared: dict[Channel, SyncPoint] | None = None,
    recovered: dict[Channel, tuple[Skip, ...]] | None = None,
) -> Entry:
    arrival = Arrival(
        "d1",
        points=known,
        shared=shared or {},
        replays={replay.channel: replay} if replay else {},
        recovered=recovered or {},
    )
    heads = dict.fromkeys((CHAT, PAY), head)
    return Entry(said, heads, arrival, (OLD, NOW), 1000)


def test_hello_is_an_ack_with_what_was_recovered() -> None:
    skips = (Skip(11, 12, int(Reason.OS)),)
    entry = _entry(
        {CHAT: SyncPoint(NOW, 12, 11)}, {CHAT: SyncPoint(NOW, 10, 10)}, recovered={CHAT: skips}
    )
    assert entry.place(CHAT) == Resume(12)
    assert entry.advances() == [Advance(CHAT, "d1", NOW, 12, 11, 1000, skips=skips)]


def test_a_device_that_says_less_begins_a_new_lap_there() -> None:
    entry = _entry({CHAT: SyncPoint(NOW, 4, 4)}, {CHAT: SyncPoint(NOW, 10, 10)})
    assert entry.place(CHAT) == Resume(4)
    assert entry.advances() == [Advance(CHAT, "d1", NOW, 4, 4, 1000, restarts=True)]


def test_a_device_that_says_nothing_begins_anew() -> None:
    known = {CHAT: SyncPoint(NOW, 10, 10, restarts=2), PAY: SyncPoint(NOW, 0, 0)}
    entry = _entry({}, known)
    assert entry.laps() == {CHAT: 3}
    assert entry.advances() == [Advance(CHAT, "d1", NOW, 0, 0, 1000, restarts=True)]


def test_a_point_of_an_older_epoch_says_nothing_of_a_lost_store() -> None:
    head = Head(20, OLD)
    entry = _entry({CHAT: SyncPoint(OLD, 4, 4)}, {CHAT: SyncPoint(NOW, 10, 10)}, head=head)
    assert entry.place(CHAT) == Resume(4, ResetReason.RENAMED)
    assert not entry.advances()[0].restarts


def test_points_of_channels_that_do_not_exist_prove_nothing() -> None:
    made = Entry({CHAT: SyncPoint(NOW, 0)}, {}, Arrival("d1"), (NOW,), 1)
    assert made.advances() == []


class TestReplay:
    REPLAY = Replay(CHAT, "d1", 3, 10, 900)

    def test_the_point_is_put_back_in_a_new_lap(self) -> None:
        known = {CHAT: SyncPoint(NOW, 10, 10)}
        entry = _entry({CHAT: SyncPoint(NOW, 10, 9)}, known, replay=self.REPLAY)
        assert entry.place(CHAT) == Resume(3, ResetReason.REWOUND)
        assert entry.advances() == [Advance(CHAT, "d1", NOW, 3, 3, 1000, restarts=True)]

    def test_not_below_what_is_still_there(self) -> None:
        head = Head(20, NOW, floor=6, trimmed=6)
        entry = _entry({CHAT: SyncPoint(NOW, 10, 9)}, {}, head=head, replay=self.REPLAY)
        assert entry.place(CHAT) == Resume(6, ResetReason.REWOUND)

    def test_a_device_that_has_followed_is_left_alone(self) -> None:
        entry = _entry({CHAT: SyncPoint(NOW, 5, 5)}, {}, replay=self.REPLAY)
        assert entry.place(CHAT) == Resume(5)


class TestShared:
    HEAD = Head(20, NOW, floor=15, trimmed=15)

    def test_what_the_user_has_elsewhere_was_not_missed(self) -> None:
        entry = _entry(
            {PAY: SyncPoint(NOW, 4, 4)}, {}, head=self.HEAD, shared={PAY: SyncPoint(NOW, 15, 15)}
        )
        assert entry.place(PAY) == Resume(4)

    def test_it_is_told_the_epoch_all_the_same(self) -> None:
        head = Head(20, OLD, floor=15, trimmed=15)
        shared = {PAY: SyncPoint(OLD, 15, 15)}
        entry = _entry({PAY: SyncPoint(OLD, 4, 4)}, {}, head=head, shared=shared)
        assert entry.place(PAY) == Resume(4, ResetReason.RENAMED)

    @pytest.mark.parametrize("shared", [None, SyncPoint(NOW, 10, 10)])
    def test_what_nobody_has_was_missed(self, shared: SyncPoint | None) -> None:
        entry = _entry(
            {PAY: SyncPoint(NOW, 4, 4)},
            {},
            head=self.HEAD,
            shared={PAY: shared} if shared else None,
        )
        assert entry.place(PAY) == Resume(15, ResetReason.TRIMMED)


class TestGaps:
    LINEAGE = (OLD, NOW)

    def gaps(
        self, said: dict[Channel, SyncPoint], known: dict[Channel, SyncPoint], head: Head = HEAD
    ) -> dict[Channel, tuple[int, int]]:
        heads = dict.fromkeys((CHAT, PAY), head)
        return gaps(said, heads, Arrival("d1", points=known), self.LINEAGE)

    def test_where_more_is_said_than_recorded(self) -> None:
        said = {CHAT: SyncPoint(NOW, 12), PAY: SyncPoint(NOW, 9)}
        known = {CHAT: SyncPoint(NOW, 10), PAY: SyncPoint(NOW, 9)}
        assert self.gaps(said, known) == {CHAT: (10, 12)}
        assert self.gaps(said, {}) == {CHAT: (0, 12), PAY: (0, 9)}

    def test_a_restore_has_taken_the_record_of_what_is_still_true(self) -> None:
        head = Head(20, NOW, forks=(Fork(OLD, 9),))
        restored, renamed = SyncPoint(OLD, 12), SyncPoint(OLD, 8)
        known = {PAY: SyncPoint(OLD, 6)}
        assert self.gaps({CHAT: restored, PAY: renamed}, known, head) == {CHAT: (0, 9), PAY: (6, 8)}

    def test_what_is_no_place_to_go_on_from_says_nothing(self) -> None:
        head = Head(20, NOW, floor=15)
        foreign, future, trimmed = SyncPoint(99, 5), SyncPoint(NOW, 21), SyncPoint(NOW, 5)
        assert self.gaps({CHAT: foreign, PAY: future}, {}, head) == {}
        assert self.gaps({CHAT: trimmed}, {}, head) == {}


def test_what_a_restore_took_from_the_record_is_told_by_hello() -> None:
    skips = (Skip(3, 3, int(Reason.VERSION)),)
    head = Head(20, NOW, forks=(Fork(OLD, 9),))
    entry = _entry({CHAT: SyncPoint(OLD, 12, 12)}, {}, head=head, recovered={CHAT: skips})
    assert entry.place(CHAT) == Resume(9, ResetReason.RESTORED)
    assert entry.advances() == [Advance(CHAT, "d1", NOW, 9, 9, 1000, skips=skips)]


class TestResets:
    """What a Reset says goes into the record, so that the next step covers what it should."""

    def test_after_a_restore_the_record_goes_on_at_the_fork(self) -> None:
        head = Head(20, NOW, forks=(Fork(OLD, 6),))
        known = {CHAT: SyncPoint(OLD, 10, 10)}
        entry = _entry({CHAT: SyncPoint(OLD, 10, 9)}, known, head=head)
        assert entry.place(CHAT) == Resume(6, ResetReason.RESTORED)
        [advance] = entry.advances()
        assert advance == Advance(CHAT, "d1", NOW, 6, 6, 1000)
        point = advanced(known[CHAT], advance, {OLD: 0, NOW: 1})
        assert point is not None
        assert step_to(known[CHAT], point, advance).before == 6

    def test_a_store_of_strangers_begins_a_lap(self) -> None:
        entry = _entry({CHAT: SyncPoint(99, 10, 9)}, {CHAT: SyncPoint(NOW, 8, 8)})
        assert entry.place(CHAT) == Resume(0, ResetReason.FOREIGN)
        assert entry.advances() == [Advance(CHAT, "d1", NOW, 0, 0, 1000, restarts=True)]

    def test_what_was_trimmed_is_told_by_the_ack(self) -> None:
        head = Head(20, NOW, floor=15, trimmed=15)
        entry = _entry({CHAT: SyncPoint(NOW, 4, 4)}, {CHAT: SyncPoint(NOW, 4, 4)}, head=head)
        assert entry.place(CHAT) == Resume(15, ResetReason.TRIMMED)
        assert entry.advances() == []


class TestProgress:
    """What Hello makes up for is news for whoever wants to know of acks."""

    SKIPS = (Skip(11, 11, int(Reason.OS)), Skip(12, 12, int(Reason.EXPIRED)))

    def test_only_what_was_the_same_then_goes_into_the_journal(self) -> None:
        known = {CHAT: SyncPoint(NOW, 10, 8)}
        entry = _entry({CHAT: SyncPoint(NOW, 13, 13)}, known, recovered={CHAT: self.SKIPS})
        assert entry.advances() == [
            Advance(CHAT, "d1", NOW, 13, 13, 1000, skips=self.SKIPS[:1]),
        ]
        assert list(entry.progress()) == [Progress(CHAT, 10, 13, 8, 13, self.SKIPS, self.SKIPS)]

    def test_nothing_new_is_no_progress(self) -> None:
        entry = _entry({CHAT: SyncPoint(NOW, 10, 9)}, {CHAT: SyncPoint(NOW, 10, 9)})
        assert entry.acks()
        assert list(entry.progress()) == []

    def test_who_has_lost_its_store_has_made_none(self) -> None:
        entry = _entry({CHAT: SyncPoint(NOW, 4, 4)}, {CHAT: SyncPoint(NOW, 10, 9)})
        assert entry.acks() == []
        assert list(entry.progress()) == []

    def test_nor_has_who_is_told_that_its_point_is_from_elsewhere(self) -> None:
        foreign = _entry({CHAT: SyncPoint(99, 10, 9)}, {})
        future = _entry({CHAT: SyncPoint(NOW, 21, 21)}, {})
        assert foreign.acks() == future.acks() == []
