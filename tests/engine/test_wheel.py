"""The timing wheel: never early, at most one tick late, nobody forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.engine.wheel import Wheel


class Sleeper:
    """Notes when it was checked; sleeps as it is told."""

    def __init__(self, *sleeps_s: float) -> None:
        self.sleeps_s = list(sleeps_s)
        self.checked: list[float] = []

    def check(self, now_s: float) -> float | None:
        self.checked.append(now_s)
        return now_s + self.sleeps_s.pop(0) if self.sleeps_s else None


def test_an_entry_is_checked_when_due_and_again_when_it_says() -> None:
    wheel = Wheel(1.0, 0.0)
    entry = Sleeper(5.0)
    wheel.add(entry, 2.5)
    for now_s in range(12):
        wheel.turn(float(now_s))
    assert entry.checked == [3.0, 9.0]
    assert len(wheel) == 0


def test_what_is_overdue_comes_with_the_next_tick() -> None:
    wheel = Wheel(1.0, 100.0)
    entry = Sleeper(-50.0)
    wheel.add(entry, 3.0)
    wheel.turn(100.0)
    assert entry.checked == []
    wheel.turn(101.0)
    wheel.turn(101.0)
    assert entry.checked == [101.0]
    wheel.turn(102.0)
    assert entry.checked == [101.0, 102.0]


def test_a_clock_that_slept_misses_nobody() -> None:
    wheel = Wheel(0.5, 0.0)
    entries = [Sleeper() for _ in range(100)]
    for number, entry in enumerate(entries):
        wheel.add(entry, float(number))
    wheel.turn(1e6)
    assert all(len(entry.checked) == 1 for entry in entries)


def test_the_same_entry_twice_in_a_slot_is_one() -> None:
    wheel = Wheel(1.0, 0.0)
    entry = Sleeper()
    wheel.add(entry, 1.2)
    wheel.add(entry, 1.4)
    assert len(wheel) == 1


def test_a_turn_can_be_taken_in_slices() -> None:
    wheel = Wheel(1.0, 0.0)
    entries = [Sleeper(1.0) for _ in range(10)]
    for entry in entries:
        wheel.add(entry, 0.5)
    assert wheel.turn(1.0, 4)
    assert sum(len(entry.checked) for entry in entries) == 4
    assert wheel.turn(1.0, 4)
    assert not wheel.turn(1.0, 4)
    assert all(entry.checked == [1.0] for entry in entries)
    assert len(wheel) == 10


class Broken:
    def check(self, now_s: float) -> float | None:
        raise ZeroDivisionError


def test_an_entry_that_fails_does_not_keep_others_from_their_check() -> None:
    wheel = Wheel(1.0, 0.0)
    entries = [Sleeper(), Sleeper()]
    wheel.add(entries[0], 0.5)
    wheel.add(Broken(), 0.5)
    wheel.add(entries[1], 0.5)
    with pytest.raises(ZeroDivisionError):
        wheel.turn(1.0)
    wheel.turn(2.0)
    assert all(len(entry.checked) == 1 for entry in entries)
    assert len(wheel) == 0


@given(
    tick_s=st.sampled_from([0.1, 0.5, 1.0, 3.0]),
    begin_s=st.floats(0, 1e6),
    entries=st.lists(st.lists(st.floats(0, 100), min_size=1, max_size=5), max_size=20),
    steps_s=st.lists(st.floats(0, 30), max_size=60),
    slice_size=st.integers(1, 5),
)
def test_never_early_and_at_most_a_tick_late(
    tick_s: float,
    begin_s: float,
    entries: list[list[float]],
    steps_s: list[float],
    slice_size: int,
) -> None:
    wheel = Wheel(tick_s, begin_s)
    sleepers = [Sleeper(*sleeps_s[1:]) for sleeps_s in entries]
    for sleeper, sleeps_s in zip(sleepers, entries, strict=True):
        wheel.add(sleeper, begin_s + sleeps_s[0])
    now_s = begin_s
    turns = [now_s]
    for step_s in [*steps_s, *([30.0] * 20)]:
        now_s += step_s
        turns.append(now_s)
        while wheel.turn(now_s, slice_size):
            pass
    for sleeper, sleeps_s in zip(sleepers, entries, strict=True):
        assert len(sleeper.checked) == len(sleeps_s)
        due_s = begin_s + sleeps_s[0]
        for checked_s, sleep_s in zip(sleeper.checked, [*sleeps_s[1:], 0.0], strict=True):
            assert checked_s >= due_s - 1e-6
            # The first turn that came a whole tick after it was due has checked it.
            late = [turn_s for turn_s in turns if turn_s >= due_s + 2 * tick_s]
            assert not late or checked_s <= late[0]
            due_s = checked_s + sleep_s
    assert len(wheel) == 0
