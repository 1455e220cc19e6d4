"""Cursor and window: what is under way is counted once, and only acks take it away."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mobilesync.engine.window import Cursor, UnderWay, Window


def _under_way(upto: int, size: int = 10, count: int = 1) -> UnderWay:
    return UnderWay(upto, size, count, 0)


def test_a_cursor_begins_where_the_device_is() -> None:
    cursor = Cursor(5, 9)
    assert (cursor.received, cursor.told, cursor.read, cursor.processed) == (5, 5, 5, 5)


def test_the_first_push_may_exceed_the_window_alone() -> None:
    window, cursor = Window(100, 10), Cursor(0)
    assert window.room() == (100, 10)
    window.push(cursor, _under_way(1, size=5000))
    assert window.room() == (0, 0)
    window.ack(cursor, 1)
    assert window.room() == (100, 10)


def test_the_window_closes_by_count_too() -> None:
    window, cursor = Window(1000, 2), Cursor(0)
    window.push(cursor, _under_way(2, count=2))
    assert window.room() == (0, 0)


def test_acks_are_cumulative_and_may_be_repeated() -> None:
    window, cursor = Window(1000, 100), Cursor(0)
    for upto in (3, 6, 9):
        window.push(cursor, _under_way(upto))
    assert [answered.upto for answered in window.ack(cursor, 6)] == [3, 6]
    assert window.ack(cursor, 6) == []
    assert window.ack(cursor, 2) == []
    assert cursor.received == 6
    assert (window.bytes, window.count) == (10, 1)
    assert [answered.upto for answered in window.ack(cursor, 9)] == [9]
    assert cursor.pushes is None, "an idle cursor holds nothing"


def test_an_ack_inside_a_push_moves_the_point_but_not_the_window() -> None:
    window, cursor = Window(1000, 100), Cursor(0)
    window.push(cursor, _under_way(10))
    assert window.ack(cursor, 4) == []
    assert cursor.received == 4
    assert window.count == 1


def test_forget_gives_back_what_was_under_way() -> None:
    window, one, two = Window(1000, 100), Cursor(0), Cursor(0)
    window.push(one, _under_way(1))
    window.push(one, _under_way(2))
    window.push(two, _under_way(1, size=7))
    window.forget(one)
    window.forget(one)
    assert (window.bytes, window.count) == (7, 1)


def test_what_cannot_be_is_a_bug() -> None:
    window, cursor = Window(1000, 100), Cursor(5)
    with pytest.raises(AssertionError):
        window.push(cursor, _under_way(5))
    with pytest.raises(AssertionError):
        window.ack(cursor, 6)


class WindowMachine(RuleBasedStateMachine):
    """Any pushes, skips and acks in three channels against a plain list of what is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.window = Window(100, 10)
        self.cursors = [Cursor(0) for _ in range(3)]
        self.under_way: list[tuple[int, UnderWay]] = []

    channels = st.integers(0, 2)

    @precondition(lambda self: self.window.room() != (0, 0))
    @rule(channel=channels, step=st.integers(1, 5), size=st.integers(1, 60))
    def push(self, channel: int, step: int, size: int) -> None:
        cursor = self.cursors[channel]
        pushed = UnderWay(cursor.read + step, size, step, 0)
        self.window.push(cursor, pushed)
        self.under_way.append((channel, pushed))

    @rule(channel=channels, step=st.integers(1, 5))
    def skip(self, channel: int, step: int) -> None:
        self.cursors[channel].read += step

    @rule(channel=channels, back=st.integers(0, 20))
    def ack(self, channel: int, back: int) -> None:
        cursor = self.cursors[channel]
        received = max(0, cursor.told - back)
        answered = self.window.ack(cursor, received)
        mine = [u for c, u in self.under_way if c == channel and u.upto <= received]
        assert answered == mine
        self.under_way = [(c, u) for c, u in self.under_way if c != channel or u not in mine]

    @rule(channel=channels)
    def forget(self, channel: int) -> None:
        self.window.forget(self.cursors[channel])
        self.cursors[channel] = Cursor(0)
        self.under_way = [(c, u) for c, u in self.under_way if c != channel]

    @invariant()
    def the_sums_agree(self) -> None:
        assert self.window.bytes == sum(u.bytes for _, u in self.under_way)
        assert self.window.count == sum(u.oplogs for _, u in self.under_way)

    @invariant()
    def the_order_of_places_holds(self) -> None:
        for cursor in self.cursors:
            assert cursor.processed <= cursor.received <= cursor.told <= cursor.read


TestWindowMachine = WindowMachine.TestCase
