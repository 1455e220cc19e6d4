"""The token bucket: never more than burst + rate x time, never less when one keeps to it."""

from hypothesis import given
from hypothesis import strategies as st

from mobilesync.engine.rate import TokenBucket


def test_a_burst_then_the_rate() -> None:
    bucket = TokenBucket(10.0, 5, 0.0)
    assert bucket.take(5, 0.0) == 0.0
    assert bucket.take(1, 0.0) == 0.1
    assert bucket.take(1, 0.1) == 0.0
    assert bucket.take(1, 0.1) > 0


def test_what_is_refused_costs_nothing() -> None:
    bucket = TokenBucket(1.0, 2, 0.0)
    assert bucket.take(2, 0.0) == 0.0
    for _ in range(10):
        assert bucket.take(1, 0.5) == 0.5
    assert bucket.take(1, 1.0) == 0.0


def test_more_than_the_burst_waits_for_a_full_bucket() -> None:
    bucket = TokenBucket(1.0, 2, 0.0)
    assert bucket.take(3, 0.0) == 0.0
    assert bucket.take(3, 0.0) == 2.0
    assert bucket.take(3, 2.0) == 0.0


def test_a_clock_that_stands_still_gives_nothing() -> None:
    bucket = TokenBucket(1000.0, 1, 5.0)
    assert bucket.take(1, 5.0) == 0.0
    assert bucket.take(1, 5.0) > 0
    assert bucket.take(1, 4.0) > 0


COUNTS = st.integers(1, 20)
STEPS_S = st.floats(0, 10)


@given(
    rate=st.floats(0.1, 1e4),
    burst=st.integers(1, 1000),
    steps=st.lists(st.tuples(STEPS_S, COUNTS), max_size=50),
)
def test_never_more_than_burst_and_rate_allow(
    rate: float, burst: int, steps: list[tuple[float, int]]
) -> None:
    bucket = TokenBucket(rate, burst, 0.0)
    now_s = taken = 0.0
    for step_s, count in steps:
        now_s += step_s
        if bucket.take(count, now_s) == 0.0:
            taken += min(count, burst)
        assert taken <= burst + rate * now_s + 1e-6


@given(rate=st.floats(0.1, 1e4), burst=st.integers(1, 100), counts=st.lists(COUNTS, max_size=30))
def test_whoever_waits_as_told_gets_through(rate: float, burst: int, counts: list[int]) -> None:
    bucket = TokenBucket(rate, burst, 0.0)
    now_s = 0.0
    for count in counts:
        wait_s = bucket.take(count, now_s)
        if wait_s:
            now_s += wait_s + 1e-9
            assert bucket.take(count, now_s) == 0.0
