"""When something was made, for things that grow old.

Strategy: an age is taken by both of a clock's times, and the larger one counts. The monotonic time
stands still while a machine sleeps, and the wall time may be set back: a token that has really
expired must not look young by either.
"""

from mobilesync.domain.clock import Clock


class Moment:
    """Now, at the time of the call."""

    __slots__ = ("_clock", "_monotonic_s", "wall_s")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._monotonic_s = clock.monotonic_s()
        self.wall_s = clock.wall_ms() // 1000
        """Whole seconds since 1970 UTC, as the claims of a token have it."""

    def age_s(self) -> float:
        """How long ago that was, never negative."""
        by_wall_s = self._clock.wall_ms() / 1000 - self.wall_s
        return max(self._clock.monotonic_s() - self._monotonic_s, by_wall_s)
