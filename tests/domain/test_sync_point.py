"""The resume rule against history itself (spec §7.2).

`History` keeps what no store can: the whole content of every timeline, and for each device exactly
what it holds. From that the right answer is plain, without epochs or forks: a device continues
after the longest part that it has in common with the present, or above what retention has taken.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.names import check_owner
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import (
    Advance,
    Fork,
    Head,
    Resume,
    Sent,
    Skip,
    SyncPoint,
    advanced,
    is_step,
    next_head,
    resume,
    step_to,
    user_owner,
)
from mobilesync.protocol.codes import ResetReason


@dataclass(frozen=True)
class Snapshot:
    """A store at one moment: what a backup holds."""

    lineage: tuple[int, ...]
    head: Head | None
    content: tuple[int, ...]
    """All that was ever appended in this timeline; index + 1 is the id."""


@dataclass
class Device:
    point: SyncPoint | None = None
    held: tuple[int, ...] = ()
    """What the ids up to its sync point were when it got them."""


@dataclass
class History:
    now: Snapshot = field(default_factory=lambda: Snapshot((1,), None, ()))
    backups: list[Snapshot] = field(default_factory=list)
    devices: list[Device] = field(default_factory=lambda: [Device() for _ in range(3)])
    appended: int = 0
    epochs: int = 1
    reasons: set[ResetReason | None] = field(default_factory=set)

    def run(self, steps: Sequence[tuple[str, int]]) -> None:
        for name, number in steps:
            getattr(self, name)(number)

    def append(self, count: int) -> None:
        lineage, head, content = self.now.lineage, self.now.head, self.now.content
        for _ in range(count):
            self.appended += 1
            content = (*content, self.appended)
            head = next_head(head, lineage[-1], len(content))
        self.now = Snapshot(lineage, head, content)

    def back_up(self, _: int) -> None:
        self.backups.append(self.now)

    def restore(self, which: int) -> None:
        if self.backups:
            old = self.backups[which % len(self.backups)]
            self.epochs += 1
            self.now = Snapshot((*old.lineage, self.epochs), old.head, old.content)

    def trim(self, share: int) -> None:
        head = self.now.head
        if head is not None:
            floor = max(head.floor, head.last * share // 6)
            head = Head(head.last, head.epoch, floor, max(floor, head.trimmed), head.forks)
            self.now = Snapshot(self.now.lineage, head, self.now.content)

    def connect(self, which: int) -> None:
        device = self.devices[which % 3]
        found = resume(device.point, self.now.head, self.now.lineage)
        self.reasons.add(found.reset)
        self.judge(device, found)
        self.push(device, found.cursor, which // 3)

    def judge(self, device: Device, found: Resume) -> None:
        floor = self.now.head.floor if self.now.head else 0
        if device.point is None:
            assert found == Resume(0)
            return
        if device.point.epoch not in self.now.lineage:
            assert found == Resume(floor, ResetReason.FOREIGN)
            return
        pairs = zip(device.held, self.now.content, strict=False)
        common = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
        if common is None:
            common = min(len(device.held), len(self.now.content))
        assert found.cursor >= common, "what it holds would be repeated"
        assert found.cursor <= max(common, floor), "something would be lost"
        if common < len(device.held):
            assert found.reset is ResetReason.RESTORED
        elif found.cursor > common:
            assert found.reset is ResetReason.TRIMMED
        elif device.point.epoch != self.now.lineage[-1]:
            assert found.reset is ResetReason.RENAMED
        else:
            assert found.reset is None

    def push(self, device: Device, cursor: int, count: int) -> None:
        received = min(len(self.now.content), cursor + count)
        device.point = SyncPoint(self.now.lineage[-1], received)
        device.held = self.now.content[:received]


NAMES = ["append", "append", "back_up", "restore", "trim", "connect", "connect"]
STEPS = st.tuples(st.sampled_from(NAMES), st.integers(0, 11))
# The backup that came to life was made while the channel stood still in its own epoch: a device
# of that epoch must not take the new oplogs under old ids for its own.
STOOD_STILL = [
    *[("append", 1), ("back_up", 0), ("restore", 0), ("back_up", 0)],
    *[("append", 1), ("connect", 9), ("restore", 1), ("append", 1), ("connect", 0)],
]


@given(st.lists(STEPS, max_size=40))
@example(STOOD_STILL)
def test_nothing_is_lost_and_nothing_repeated(steps: list[tuple[str, int]]) -> None:
    history = History()
    history.run(steps)


def test_nothing_is_lost_in_two_thousand_random_histories() -> None:
    # Evenly drawn steps meet forks of forks far oftener than Hypothesis, which prefers the simple.
    for seed in range(2_000):
        chance = random.Random(seed)
        steps = [(chance.choice(NAMES), chance.randrange(12)) for _ in range(40)]
        try:
            History().run(steps)
        except AssertionError as wrong:
            pytest.fail(f"seed {seed}: {wrong}")


def test_the_model_meets_every_reason_that_can_occur() -> None:
    history = History()
    history.run(STOOD_STILL)
    assert history.reasons == {None, ResetReason.RESTORED}
    history.run([("append", 9), ("trim", 3), ("connect", 0), ("back_up", 0), ("restore", 2)])
    history.run([("connect", 0), ("restore", 0), ("connect", 0)])
    # FUTURE is a store that has forgotten without saying so: no history leads there.
    every = set(ResetReason) - {ResetReason.FUTURE, ResetReason.REWOUND}
    assert history.reasons == {None, *every}


def test_the_model_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def naive(point: SyncPoint | None, head: Head | None, lineage: tuple[int, ...]) -> Resume:
        """As if ids meant the same in every epoch."""
        last = head.last if head else 0
        return Resume(0) if point is None else Resume(min(point.received, last))

    monkeypatch.setattr("tests.domain.test_sync_point.resume", naive)
    history = History()
    with pytest.raises(AssertionError, match="something would be lost"):
        history.run(STOOD_STILL)


@given(
    st.none() | st.builds(SyncPoint, st.integers(1, 5), st.integers(0, 30)),
    st.none() | st.builds(Head, st.integers(0, 30), st.integers(1, 5), st.integers(0, 30)),
    st.lists(st.integers(1, 5), min_size=1, unique=True),
)
def test_whatever_a_device_claims_it_is_answered(
    point: SyncPoint | None, head: Head | None, lineage: list[int]
) -> None:
    if head is not None and head.floor > head.last:
        head = Head(head.last, head.epoch, head.last)
    found = resume(point, head, lineage)
    assert 0 <= found.cursor <= (head.last if head else 0)


class TestNextHead:
    def test_the_first_oplog_of_a_channel(self) -> None:
        assert next_head(None, 7, 3) == Head(3, 7)

    def test_the_same_epoch_leaves_no_fork(self) -> None:
        assert next_head(Head(3, 7, 1, 2), 7, 5) == Head(5, 7, 1, 2)

    def test_a_new_epoch_leaves_one_where_the_old_one_ended(self) -> None:
        assert next_head(Head(3, 7, 1, 2), 8, 4) == Head(4, 8, 1, 2, (Fork(7, 3),))

    def test_forks_pile_up_in_order(self) -> None:
        head = next_head(next_head(next_head(None, 1, 1), 2, 2), 3, 3)
        assert head.forks == (Fork(1, 1), Fork(2, 2))

    def test_ids_never_go_back(self) -> None:
        with pytest.raises(AssertionError):
            next_head(Head(3, 7), 7, 3)


CHANNEL = Channel("shop", "CHAT", "user:ada")
ERAS = {900: 0, 5: 1}
"""Epochs are random: the older one may be the larger number."""
OLD, NEW = 900, 5
IDS = st.integers(0, 6)
ADVANCES = st.builds(
    Advance,
    st.just(CHANNEL),
    st.just("phone"),
    st.sampled_from([OLD, NEW, 77]),
    IDS,
    IDS,
    st.integers(0, 9),
    sent=IDS,
    skips=st.lists(st.builds(Skip, IDS, IDS, st.sampled_from(list(Reason)))).map(tuple),
    waits=st.integers(-1, 2),
    restarts=st.sampled_from([False, False, False, True]),
)


def move(
    received: int,
    processed: int = 0,
    epoch: int = NEW,
    *,
    sent: int = 0,
    waits: int = -1,
    restarts: bool = False,
    skips: tuple[Skip, ...] = (),
) -> Advance:
    return Advance(
        *(CHANNEL, "phone", epoch, received, processed, 3),
        sent=sent,
        waits=waits,
        restarts=restarts,
        skips=skips,
    )


def after(old: SyncPoint | None, *advances: Advance) -> SyncPoint:
    """The point after `advances`, each of which brings something new."""
    for advance in advances:
        old = advanced(old, advance, ERAS)
        assert old is not None
    assert old is not None
    return old


class TestAdvanced:
    @pytest.mark.parametrize(
        "old, advance, new",
        [
            (None, move(0), SyncPoint(NEW, 0)),
            (None, move(3, 2), SyncPoint(NEW, 3, 2)),
            (None, move(3, epoch=77), None),
            (SyncPoint(NEW, 3, 2), move(4, 1), SyncPoint(NEW, 4, 2)),
            (SyncPoint(NEW, 3, 2), move(2, 3), SyncPoint(NEW, 3, 3)),
            (SyncPoint(NEW, 3, 2), move(3, 2), None),
            (SyncPoint(NEW, 3, 2), move(1, 1), None),
            (SyncPoint(OLD, 3, 2), move(1, 1), SyncPoint(NEW, 1, 1)),
            (SyncPoint(NEW, 1, 1), move(3, 2, OLD), None),
            (SyncPoint(NEW, 1, 1), move(3, 2, 77), None),
        ],
    )
    def test_forward_only(
        self, old: SyncPoint | None, advance: Advance, new: SyncPoint | None
    ) -> None:
        assert advanced(old, advance, ERAS) == new

    @pytest.mark.parametrize(
        "old, advance, sent",
        [
            (None, move(3, sent=5), 5),
            (None, move(3, sent=3), 0),
            (None, move(3, sent=2), 0),
            (SyncPoint(NEW, 3, 0, 5), move(4), 5),
            (SyncPoint(NEW, 3, 0, 5), move(5), 0),
            (SyncPoint(NEW, 3, 0, 5), move(0, sent=8), 8),
            (SyncPoint(NEW, 3, 0, 5), move(9, sent=8), 0),
            (SyncPoint(OLD, 3, 0, 5), move(1), 0),
            (SyncPoint(NEW, 3, 0, 5), move(1, restarts=True), 0),
            (SyncPoint(NEW, 3, 0, 5), move(1, sent=2, restarts=True), 2),
        ],
    )
    def test_sent_is_above_received_or_nothing(
        self, old: SyncPoint | None, advance: Advance, sent: int
    ) -> None:
        assert after(old, advance).sent == sent

    def test_a_restart_puts_it_anywhere_in_the_lineage(self) -> None:
        old = SyncPoint(NEW, 9, 8, 12, 1, 2)
        assert after(old, move(2, 1, restarts=True)) == SyncPoint(NEW, 2, 1, 0, 2)
        assert after(old, move(20, 1, restarts=True)) == SyncPoint(NEW, 20, 1, 0, 2)
        assert after(old, move(2, 1, OLD, restarts=True)) == SyncPoint(OLD, 2, 1, 0, 2)
        assert advanced(old, move(2, 1, 77, restarts=True), ERAS) is None
        assert after(None, move(0, restarts=True)) == SyncPoint(NEW, 0, 0, 0, 1)

    def test_a_restart_on_the_spot_is_one_too(self) -> None:
        old = SyncPoint(NEW, 9, 8)
        new = after(old, move(9, 8, restarts=True))
        assert new == SyncPoint(NEW, 9, 8, 0, 1)
        assert is_step(old, new)

    def test_laps_are_counted_across_epochs(self) -> None:
        assert after(SyncPoint(OLD, 9, 0, 0, 3), move(1)).restarts == 3

    def test_what_it_waits_for_changes_without_a_step(self) -> None:
        old = SyncPoint(NEW, 5, 3)
        new = after(old, move(5, 3, waits=2))
        assert new == SyncPoint(NEW, 5, 3, 0, 0, 2)
        assert not is_step(old, new)
        assert after(new, move(5, 4)).waits == 2, "it did not say"
        assert after(new, move(5, 4, waits=0)).waits == 0
        assert after(new, move(5, 5)).waits == 0, "there is none after it"

    def test_a_late_ack_does_not_say_what_it_waits_for(self) -> None:
        old = SyncPoint(NEW, 5, 3, 0, 0, 2)
        assert advanced(old, move(4, 2, waits=1), ERAS) is None
        assert after(old, move(6, 2, waits=1)).waits == 2

    def test_it_remembers_the_highest_refusal_that_a_change_may_undo(self) -> None:
        skips = (Skip(1, 2, Reason.OS), Skip(3, 4, Reason.EXPIRED), Skip(5, 6, Reason.VERSION))
        point = after(None, move(9, skips=skips))
        assert point.refused == 6
        assert after(point, move(10, skips=(Skip(10, 10, Reason.RECALLED),))).refused == 6
        assert after(point, move(10, skips=(Skip(10, 10, Reason.AUDIENCE),))).refused == 10
        assert after(point, move(1, restarts=True)).refused == 6

    @given(st.lists(ADVANCES, max_size=12))
    def test_it_never_goes_back_inside_a_lap(self, advances: list[Advance]) -> None:
        point: SyncPoint | None = None
        for advance in advances:
            new = advanced(point, advance, ERAS)
            if new is None:
                continue
            assert new != point
            assert new.sent == 0 or new.sent > new.received
            if point is not None:
                laps = new.restarts - point.restarts
                assert laps == advance.restarts
                if not laps:
                    was, now = (
                        (ERAS[each.epoch], each.received, each.processed, each.sent)
                        for each in (point, new)
                    )
                    assert was[0] <= now[0]
                    if was[0] == now[0]:
                        assert max(was[1], was[3]) <= max(now[1], now[3])
                        assert was[1:3] <= now[1:3]
                        assert was[2] <= now[2]
                    assert is_step(point, new) == (was != now)
                else:
                    assert is_step(point, new)
            point = new


class TestStep:
    def test_tells_where_the_point_was_after_it(self) -> None:
        old = SyncPoint(NEW, 5, 3, 9, 2)
        advance = structs.replace(
            move(7, 1, sent=4, waits=2),
            sends=(Sent(9, 1),),
            skips=(Skip(6, 6, Reason.OS),),
        )
        step = step_to(old, after(old, advance), advance)
        assert (step.received, step.processed, step.sent, step.lap) == (7, 3, 9, 2)
        assert (step.sends, step.skips, step.at_ms) == (advance.sends, advance.skips, 3)
        assert (step.waits, step.restarts) == (-1, False), "the journal has no place for them"

    @pytest.mark.parametrize(
        "old, advance, covered",
        [
            (None, move(3), [1, 2, 3]),
            (SyncPoint(NEW, 3), move(5), [4, 5]),
            (SyncPoint(NEW, 3), move(3, 1), []),
            (SyncPoint(NEW, 3), move(0, sent=9), []),
            (SyncPoint(NEW, 3), move(1, restarts=True), []),
            (SyncPoint(NEW, 3), move(9, restarts=True), []),
            (None, move(9, restarts=True), []),
            (SyncPoint(OLD, 7), move(2), []),
            (SyncPoint(OLD, 7), move(9), [8, 9]),
        ],
    )
    def test_covers_the_ids_that_it_moved_over(
        self, old: SyncPoint | None, advance: Advance, covered: list[int]
    ) -> None:
        step = step_to(old, after(old, advance), advance)
        assert list(range(step.before + 1, step.received + 1)) == covered

    def test_the_first_one_is_always_told(self) -> None:
        assert is_step(None, SyncPoint(NEW, 0))


def test_no_device_is_called_like_the_owner_of_a_users_points() -> None:
    assert user_owner("ada") != user_owner("bob")
    with pytest.raises(InvalidRequest):
        check_owner(user_owner("ada"), "device")
