"""Planted bugs with rules make scenarios that a service takes (that they are caught:
test_planted_bugs.py)."""

import random

import pytest

from mobilesync.domain.sync_config import check_sync_config
from mobilesync.sim.plant import Plant
from mobilesync.sim.plants import PLANTS
from mobilesync.sim.rule_plants import RULE_PLANTS
from mobilesync.sim.scenario import FAULT_KINDS, scenario


@pytest.mark.parametrize("plant", RULE_PLANTS.values())
def test_what_they_need_is_there(plant: type[Plant]) -> None:
    for seed in range(20):
        drawn = plant().scenario(scenario(random.Random(seed)))
        assert plant.faults <= drawn.faults <= set(FAULT_KINDS)
        assert plant.kinds <= drawn.rules
        for config in drawn.bizzes:
            check_sync_config(config)


def test_they_are_among_all_plants() -> None:
    assert RULE_PLANTS.items() <= PLANTS.items()
    assert len(RULE_PLANTS) >= 12
