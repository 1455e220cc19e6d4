"""The real clock: one time for people, one for waiting."""

import time

from mobilesync.domain.clock import Clock
from mobilesync.engine.clock import SystemClock


def test_wall_time_is_the_machines() -> None:
    clock: Clock = SystemClock()
    before, now, after = time.time(), clock.wall_ms(), time.time()
    assert int(before * 1000) <= now <= after * 1000 + 1


def test_monotonic_time_never_goes_back() -> None:
    clock = SystemClock()
    times = [clock.monotonic_s() for _ in range(100)]
    assert times == sorted(times)
    assert isinstance(clock.wall_ms(), int)
