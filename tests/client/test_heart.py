"""The heartbeat, on a loop whose time the test moves."""

from collections.abc import Callable
from typing import Any

import pytest

from mobilesync.client.heart import UNLEARNED, Heart, continued
from mobilesync.protocol.heartbeat import Rhythm, deadline_s
from mobilesync.protocol.limits import BEAT_S_MAX


class Timer:
    def __init__(self) -> None:
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True

    def cancelled(self) -> bool:
        return self._cancelled


class Timers:
    """Stands in for the loop: keeps what is called later."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._waiting: list[tuple[float, Callable[[], None], Timer]] = []

    def call_later(self, seconds: float, then: Callable[[], None]) -> Any:
        timer = Timer()
        self._waiting.append((self.now_s + seconds, then, timer))
        return timer

    def pass_(self, seconds: float) -> None:
        """Let time go by."""
        until = self.now_s + seconds
        while True:
            due = [each for each in self._waiting if each[0] <= until and not each[2].cancelled()]
            if not due:
                break
            first = min(due, key=lambda each: each[0])
            self._waiting.remove(first)
            self.now_s = first[0]
            first[1]()
        self.now_s = until

    @property
    def count(self) -> int:
        return sum(not each[2].cancelled() for each in self._waiting)


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    made = Timers()
    monkeypatch.setattr("asyncio.get_running_loop", lambda: made)
    return made


class Body:
    """A heart with the rest around it."""

    def __init__(self, beat_min_s: int = 60, beat_max_s: int = 540) -> None:
        self.pings: list[int] = []
        self.deaths = 0
        self.bounds = (beat_min_s, beat_max_s)
        self.heart = Heart(UNLEARNED, 10, self.pings.append, self.die)

    def start(self) -> None:
        self.heart.start(*self.bounds)

    def die(self) -> None:
        self.deaths += 1


def test_it_beats_when_due_and_grows_with_answers(timers: Timers) -> None:
    body = Body()
    body.start()
    timers.pass_(59)
    assert body.pings == []
    for seconds in (1, 60, 60):
        timers.pass_(seconds)
        body.heart.heard(pong=True)
    assert len(body.pings) == 3
    assert body.heart.pace.interval_s == 120
    assert timers.count == 1


def test_it_never_comes_later_than_it_announced(timers: Timers) -> None:
    body = Body()
    body.start()
    announced_s, last_s = 0.0, 0.0
    for _ in range(200):
        before = len(body.pings)
        while len(body.pings) == before:
            timers.pass_(1)
        if announced_s:
            assert timers.now_s - last_s <= announced_s
            assert timers.now_s - last_s < deadline_s(int(announced_s), 540)
        announced_s, last_s = body.pings[-1], timers.now_s
        timers.pass_(9)
        body.heart.heard(pong=True)
    assert body.heart.pace.interval_s == 540


def test_silence_after_a_ping_is_death_and_is_remembered(timers: Timers) -> None:
    body = Body()
    body.heart.pace = Rhythm(60, 540, 180)
    body.start()
    timers.pass_(180)
    assert (len(body.pings), body.deaths) == (1, 0)
    timers.pass_(10)
    assert body.deaths == 1
    assert (body.heart.pace.interval_s, body.heart.pace.ceiling_s) == (120, 180)
    assert timers.count == 0
    timers.pass_(10_000)
    assert (len(body.pings), body.deaths) == (1, 1)


def test_anything_heard_is_life_but_only_a_pong_lets_it_grow(timers: Timers) -> None:
    body = Body()
    body.start()
    for _ in range(9):
        timers.pass_(60)
        body.heart.heard(pong=False)
    assert (body.deaths, body.heart.pace.interval_s) == (0, 60)
    body.heart.heard(pong=True)
    body.heart.heard(pong=True)
    assert body.heart.pace.stable == 1


def test_while_deaf_silence_proves_nothing_and_it_goes_on_beating(timers: Timers) -> None:
    body = Body()
    body.start()
    body.heart.deafen(True)
    timers.pass_(300)
    assert body.deaths == 0
    assert len(body.pings) == 4
    body.heart.deafen(False)
    timers.pass_(100)
    assert body.deaths == 1


def test_an_unread_pong_gets_its_time_after_deafness(timers: Timers) -> None:
    body = Body()
    body.start()
    timers.pass_(60)
    body.heart.deafen(True)
    timers.pass_(9)
    body.heart.deafen(False)
    timers.pass_(9)
    body.heart.heard(pong=True)
    timers.pass_(20)
    assert body.deaths == 0


def test_a_beat_on_demand_tests_the_link_once(timers: Timers) -> None:
    body = Body()
    body.heart.beat()
    assert body.pings == []
    body.start()
    body.heart.beat()
    body.heart.beat()
    assert len(body.pings) == 1
    body.heart.stop()
    body.heart.stop()
    body.heart.heard(pong=True)
    assert timers.count == 0


def test_what_was_learned_goes_into_the_next_session_within_its_bounds() -> None:
    assert continued(UNLEARNED, 60, 540).interval_s == 60
    learned = continued(UNLEARNED, 60, 540).lost()
    assert continued(learned, 30, 45).interval_s == 45
    assert continued(learned, 100, 540).interval_s == 100
    assert continued(UNLEARNED, 0, 0).interval_s == 1
    assert continued(UNLEARNED, 10_000, 20_000).interval_s == BEAT_S_MAX
