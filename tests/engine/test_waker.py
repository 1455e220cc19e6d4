"""The waker: who watches is told, whoever does not is not, and nothing is kept of the rest."""

from mobilesync.engine.waker import Waker


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
