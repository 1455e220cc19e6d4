"""The machine's clock, and chance that differs between devices."""

from mobilesync.client.clock import SystemClock, seeded_by_the_system


def test_the_clock_tells_both_times() -> None:
    clock = SystemClock()
    assert clock.wall_ms() > 1_600_000_000_000
    first = clock.monotonic_s()
    assert clock.monotonic_s() >= first


def test_two_devices_do_not_share_their_chance() -> None:
    assert seeded_by_the_system().random() != seeded_by_the_system().random()
