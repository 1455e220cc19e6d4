"""The waker: who watches is told, whoever does not is not, and nothing is kept of the rest."""

import pytest

from mobilesync.engine.slices import SLICE
from mobilesync.engine.waker import Waker
from tests.engine.world import settle, simulated


class Listener:
    def __init__(self) -> None:
        self.woken: list[str] = []

    def wake(self, target: str) -> None:
        self.woken.append(target)


def test_only_watchers_of_the_app_and_target_are_woken() -> None:
    waker = Waker()
    one, other, foreign = Listener(), Listener(), Listener()
    waker.watch("a", "user:1", one)
    waker.watch("a", "user:2", other)
    waker.watch("b", "user:1", foreign)
    waker.wake("a", "user:1")
    assert (one.woken, other.woken, foreign.woken) == (["user:1"], [], [])


def test_watching_twice_is_watching_once() -> None:
    waker = Waker()
    listener = Listener()
    waker.watch("a", "everyone", listener)
    waker.watch("a", "everyone", listener)
    waker.wake("a", "everyone")
    assert listener.woken == ["everyone"]
    waker.unwatch("a", "everyone", listener)
    waker.wake("a", "everyone")
    assert listener.woken == ["everyone"]


def test_nothing_is_kept_of_targets_that_nobody_watches() -> None:
    waker = Waker()
    one, two = Listener(), Listener()
    waker.watch("a", "everyone", one)
    waker.watch("a", "everyone", two)
    waker.unwatch("a", "everyone", one)
    assert list(waker.watchers("a", "everyone")) == [two]
    waker.unwatch("a", "everyone", two)
    waker.unwatch("a", "everyone", two)
    waker.unwatch("a", "never", two)
    assert waker._sleepers == {}
    assert list(waker.watchers("a", "everyone")) == []


def test_a_watcher_may_leave_while_it_is_told() -> None:
    waker = Waker()

    class Leaver(Listener):
        def wake(self, target: str) -> None:
            super().wake(target)
            waker.unwatch("a", target, self)
            waker.watch("a", target, late)

    late = Listener()
    leavers = [Leaver() for _ in range(5)]
    for leaver in leavers:
        waker.watch("a", "everyone", leaver)
    waker.wake("a", "everyone")
    assert [leaver.woken for leaver in leavers] == [["everyone"]] * 5
    assert late.woken == []


@simulated
async def test_many_watchers_are_told_in_slices() -> None:
    waker = Waker()
    listeners = [Listener() for _ in range(SLICE * 3)]
    for listener in listeners:
        waker.watch("a", "everyone", listener)
    waker.wake("a", "everyone")
    assert sum(len(listener.woken) for listener in listeners) == SLICE
    await settle()
    assert [len(listener.woken) for listener in listeners] == [1] * SLICE * 3


@simulated
async def test_a_wake_in_the_middle_of_a_walk_is_not_lost_nor_multiplied() -> None:
    waker = Waker()
    listeners = [Listener() for _ in range(SLICE * 2)]
    for listener in listeners:
        waker.watch("a", "everyone", listener)
    for _ in range(50):
        waker.wake("a", "everyone")
    late = Listener()
    waker.watch("a", "everyone", late)
    await settle()
    assert [len(listener.woken) for listener in listeners] == [2] * SLICE * 2
    assert len(late.woken) == 1
    assert waker._walks == {}


@simulated
async def test_a_watcher_that_fails_in_a_walk_costs_its_slice_only() -> None:
    class Broken(Listener):
        def wake(self, target: str) -> None:
            raise ZeroDivisionError

    waker = Waker()
    listeners = [Broken(), *[Listener() for _ in range(SLICE * 2)]]
    for listener in listeners:
        waker.watch("a", "everyone", listener)
    with pytest.raises(ZeroDivisionError):
        waker.wake("a", "everyone")
    await settle()
    assert waker._walks == {}
    assert [len(listener.woken) for listener in listeners[SLICE:]] == [1] * (SLICE + 1)


def test_watchers_are_told_in_the_order_in_which_they_came() -> None:
    """Else a simulated run would not replay."""
    waker = Waker()
    order: list[int] = []

    class Numbered:
        def __init__(self, number: int) -> None:
            self.number = number

        def wake(self, target: str) -> None:
            order.append(self.number)

    for number in range(50):
        waker.watch("a", "everyone", Numbered(number))
    waker.wake("a", "everyone")
    assert order == list(range(50))
