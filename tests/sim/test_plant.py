"""A plant gives the seed what its bug needs."""

import random

from mobilesync.sim.plant import Plant
from mobilesync.sim.scenario import scenario


class Needy(Plant):
    faults = frozenset({"recall"})
    kinds = frozenset({"keys"})
    rules = (("CHAT", {"repush_threshold": 3}),)


def test_a_scenario_with_what_the_bug_needs() -> None:
    drawn = scenario(random.Random(1))
    needy = Needy().scenario(drawn)
    assert needy.faults == drawn.faults | {"recall"}
    assert needy.rules == drawn.rules | {"keys"}
    rules = {config.biz: config for config in needy.bizzes}
    assert rules["CHAT"].repush_threshold == 3
    assert [config for config in needy.bizzes if config.biz != "CHAT"] == [
        config for config in drawn.bizzes if config.biz != "CHAT"
    ]


def test_a_plant_without_needs_changes_nothing() -> None:
    drawn = scenario(random.Random(1))
    assert Plant().scenario(drawn) == drawn
