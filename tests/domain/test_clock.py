"""The shape of a clock: what a test hands in is one."""

from mobilesync.domain.clock import Clock


class Stopped:
    """A clock that stands still."""

    def wall_ms(self) -> int:
        return 1_000

    def monotonic_s(self) -> float:
        return 2.0


def test_any_object_with_both_times_is_a_clock() -> None:
    clock: Clock = Stopped()
    assert (clock.wall_ms(), clock.monotonic_s()) == (1_000, 2.0)
