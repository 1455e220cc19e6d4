"""Seeds draw different scenarios, and all kinds of faults are reached."""

import random

from mobilesync.sim.bizzes import RULE_KINDS
from mobilesync.sim.scenario import ATTRIBUTES, FAULT_KINDS, draw_attributes, scenario


def test_a_seed_is_a_scenario() -> None:
    assert scenario(random.Random(7)) == scenario(random.Random(7)) != scenario(random.Random(8))


def test_every_kind_of_fault_comes_up_and_some_seeds_have_none() -> None:
    drawn = [scenario(random.Random(seed)) for seed in range(100)]
    assert frozenset().union(*(each.faults for each in drawn)) == set(FAULT_KINDS)
    assert any(not each.faults for each in drawn)
    assert {len(each.apps) for each in drawn} == {1, 2}
    assert all(each.devices for each in drawn)
    assert frozenset().union(*(each.rules for each in drawn)) == set(RULE_KINDS)
    assert any(not each.rules for each in drawn)


def test_devices_say_something_of_themselves_now_and_then() -> None:
    said = [draw_attributes(random.Random(seed)) for seed in range(30)]
    assert {name for each in said for name, _ in each} == set(ATTRIBUTES)
    assert () in said
