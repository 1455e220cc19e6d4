"""Ages by two times, of which the larger counts."""

from mobilesync.transports.moment import Moment
from tests.transports.push_services import StoppedClock


def test_an_age_grows_with_time() -> None:
    clock = StoppedClock()
    moment = Moment(clock)
    assert moment.age_s() == 0
    clock.advance(90.5)
    assert moment.age_s() == 90.5
    assert moment.wall_s == 1_700_000_000


def test_a_wall_time_that_is_set_back_makes_nothing_young() -> None:
    clock = StoppedClock()
    moment = Moment(clock)
    clock.advance(60.0)
    clock.wall_s -= 3600.0
    assert moment.age_s() == 60


def test_a_machine_that_slept_grew_older() -> None:
    clock = StoppedClock()
    moment = Moment(clock)
    clock.wall_s += 3600.0
    assert moment.age_s() == 3600
