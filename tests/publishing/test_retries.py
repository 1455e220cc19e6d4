"""The schedule of tries: jittered, bounded, and never sooner than advised."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.publishing.retries import WAIT_MAX_S, Retries


@given(
    failures=st.integers(1, 200),
    advised_s=st.floats(-1, 1000),
    seed=st.integers(),
)
def test_waits_keep_their_bounds(failures: int, advised_s: float, seed: int) -> None:
    retries = Retries(tries=100, first_wait_s=0.5, wait_max_s=8)
    wait_s = retries.wait_s(failures, advised_s, random.Random(seed))
    if failures >= 100 or advised_s > WAIT_MAX_S:
        assert wait_s is None
    else:
        assert wait_s is not None
        jitter_max_s = min(8, 0.5 * 2 ** (failures - 1))
        assert max(0.0, advised_s) <= wait_s <= max(0.0, advised_s) + jitter_max_s


def test_two_callers_do_not_come_back_together() -> None:
    waits = {Retries().wait_s(3, 5.0, random.Random(seed)) for seed in range(50)}
    assert len(waits) == 50


@pytest.mark.parametrize(
    "bounds",
    [{"tries": 0}, {"first_wait_s": -1}, {"first_wait_s": 11}, {"wait_max_s": 301}],
)
def test_schedules_that_make_no_sense(bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="tries"):
        Retries(**bounds)  # type: ignore[arg-type]  # that is the point
