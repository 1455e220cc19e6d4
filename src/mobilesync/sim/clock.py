"""Clocks of the simulation: waiting time is the loop's, wall time may be wrong and may jump.

A `SimClock` is what one process reads. Each server and each device has its own, so that their
wall times differ as they do in life.
"""

from mobilesync.sim.loop import VirtualLoop

WALL_BEGIN_MS = 1_700_000_000_000
"""The true wall time at the beginning of every run."""


def true_ms(loop: VirtualLoop) -> int:
    """The true wall time now: what a perfect clock shows."""
    return WALL_BEGIN_MS + round(loop.time() * 1000)


class SimClock:
    """A clock whose wall time is `offset_ms` away from the truth. Fits domain.clock.Clock."""

    __slots__ = ("_loop", "offset_ms")

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.offset_ms = 0

    def wall_ms(self) -> int:
        """Milliseconds since 1970, as this process believes."""
        return true_ms(self._loop) + self.offset_ms

    def monotonic_s(self) -> float:
        """Virtual seconds since the run began."""
        return self._loop.time()

    def jump(self, by_ms: int) -> None:
        """Move the wall time; the monotonic time goes on as it was."""
        self.offset_ms += by_ms
