"""Two times: one that jumps, one that does not."""

from mobilesync.sim.clock import WALL_BEGIN_MS, SimClock, true_ms
from mobilesync.sim.loop import pause, virtual_loop


def test_the_wall_jumps_and_the_monotonic_time_does_not() -> None:
    loop = virtual_loop()
    clock = SimClock(loop)
    loop.run_until_complete(loop.create_task(pause(1.5)))
    assert clock.wall_ms() == WALL_BEGIN_MS + 1500 == true_ms(loop)
    clock.jump(-10_000)
    assert clock.wall_ms() == WALL_BEGIN_MS - 8500
    assert clock.monotonic_s() == 1.5
    assert true_ms(loop) == WALL_BEGIN_MS + 1500
    loop.close()
