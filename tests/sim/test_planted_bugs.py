"""Each planted bug is caught within a few seeds, by a checker of a guarantee that it breaks."""

import functools

import pytest

from mobilesync.sim import Report, SimOptions, run_seed
from mobilesync.sim.plants import PLANTS
from tests.measurement import unmeasured

SEEDS_MAX = 12


@functools.cache
def healthy(seed: int) -> Report:
    return run_seed(seed)


@pytest.mark.parametrize("plant", PLANTS)
def test_caught_and_only_because_of_the_plant(plant: str) -> None:
    wanted = PLANTS[plant].guarantees
    options = SimOptions(plant=plant)
    with unmeasured():
        reports = (run_seed(seed, options) for seed in range(SEEDS_MAX))
        caught = next((report for report in reports if report.guarantees() & wanted), None)
        if caught is None:
            pytest.fail(f"{plant} was not caught by {sorted(wanted)} within {SEEDS_MAX} seeds")
        assert caught.trace_tail, "a failing seed shows the end of its trace"
        assert healthy(caught.seed).findings == ()
    # And measured: it does the same once more.
    assert run_seed(caught.seed, options) == caught


def test_every_guarantee_and_every_rule_that_is_checked_has_a_plant() -> None:
    planted = frozenset().union(*(plant.guarantees for plant in PLANTS.values()))
    rules = {
        "WITHHELD",
        "ONE-POINT",
        "CONSUMED",
        "WITHDRAWN",
        "THRESHOLD",
        "KEYS",
        "OPERATOR",
        "SCHEDULED",
    }
    assert planted >= {f"G{number}" for number in range(1, 10)} | rules
