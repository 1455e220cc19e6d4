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

from mobilesync.domain.sync_point import Fork, Head, Resume, SyncPoint, next_head, resume
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
