"""Heartbeats: the server waits longer than was announced, the client's interval finds its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.protocol.heartbeat import FORGET_BEATS, Rhythm, deadline_s, rhythm
from mobilesync.protocol.limits import BEAT_S_MAX

BEATS = st.integers(1, BEAT_S_MAX)


class TestDeadline:
    @given(st.integers(0, BEAT_S_MAX), BEATS)
    def test_a_client_that_keeps_its_word_is_never_given_up(self, announced: int, top: int) -> None:
        promised = announced if 0 < announced <= top else top
        assert deadline_s(announced, top) >= promised + 30

    @given(st.integers(0, BEAT_S_MAX), BEATS)
    def test_a_dead_one_is_given_up_in_bounded_time(self, announced: int, top: int) -> None:
        assert deadline_s(announced, top) <= top * 1.5 + 30

    def test_silence_about_it_counts_as_the_maximum(self) -> None:
        assert deadline_s(0, 540) == deadline_s(540, 540)


@given(st.tuples(BEATS, BEATS).map(sorted), st.lists(st.booleans(), max_size=200))
def test_the_interval_stays_in_its_bounds(bounds: list[int], beats: list[bool]) -> None:
    low, high = bounds
    pace = rhythm(low, high)
    for answered in beats:
        before = pace.interval_s
        pace = pace.answered() if answered else pace.lost()
        assert low <= pace.interval_s <= high
        assert pace.stable < FORGET_BEATS
        assert pace.interval_s >= before if answered else pace.interval_s <= before


@given(st.lists(st.booleans(), max_size=50))
def test_a_good_network_is_found_again_whatever_came_before(beats: list[bool]) -> None:
    pace = rhythm(60, 540)
    for answered in beats:
        pace = pace.answered() if answered else pace.lost()
    for _ in range(200):
        pace = pace.answered()
    assert pace.interval_s == 540


@given(st.integers(80, 600))
def test_a_network_that_forgets_is_settled_under(forgets_s: int) -> None:
    """A link dies when the interval reaches `forgets_s`; most beats must then come through."""
    pace = rhythm(60, 540)
    lost = 0
    for _ in range(500):
        if pace.interval_s >= forgets_s:
            lost += 1
            pace = pace.lost()
        else:
            pace = pace.answered()
    assert lost <= 25
    if forgets_s > 540:
        assert lost == 0


def test_a_loss_at_the_shortest_interval_blames_nobody() -> None:
    assert rhythm(60, 540).lost() == Rhythm(60, 540, 60)


@pytest.mark.parametrize("bounds", [(0, 1), (2, 1)])
def test_bounds_upside_down_are_our_own_mistake(bounds: tuple[int, int]) -> None:
    with pytest.raises(AssertionError):
        rhythm(*bounds)
