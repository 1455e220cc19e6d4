"""A plant patches the engine while its seed runs, and not a moment longer."""

from mobilesync.engine import arrival
from mobilesync.sim import SimOptions, run_seed
from mobilesync.sim.plant import Plant
from mobilesync.sim.plants import PLANTS
from tests.measurement import unmeasured


def test_patches_are_undone() -> None:
    before = vars(arrival)["resume"]
    with unmeasured():
        run_seed(0, SimOptions(plant="reset-omitted"))
    assert vars(arrival)["resume"] is before


def test_every_plant_says_what_it_breaks() -> None:
    for plant in PLANTS.values():
        assert plant.guarantees
        assert plant.__doc__ != Plant.__doc__
