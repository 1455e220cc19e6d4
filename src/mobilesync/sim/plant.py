"""What a planted bug is: a known mistake that some checker must find.

Strategy: a plant replaces a part of a simulated server or device by one with a mistake that a
person could make, or patches a name of the code under test while its seed runs. Without it the same
seeds pass.

Not here: the mistakes (plants.py, rule_plants.py).
"""

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from mobilesync.sim.device_store import WatchedStore
from mobilesync.sim.disk import DiskHabits, SimStore
from mobilesync.sim.scenario import Scenario
from mobilesync.sim.server import Parts
from mobilesync.storage.disk import Disk


class Plant(Parts):
    """No bug at all; every plant is one of these."""

    guarantees: frozenset[str] = frozenset()
    """What it breaks: at least one of them must be found."""
    store_class: type[WatchedStore] = WatchedStore
    server_store_class: type[SimStore] = SimStore
    patches: tuple[tuple[Any, str, Any], ...] = ()
    """(module, name, value): what the name stands for while the seed runs."""
    faults: frozenset[str] = frozenset()
    """What the bug needs to show itself."""
    kinds: frozenset[str] = frozenset()
    """The same, of the kinds of rules that publishes may have."""
    rules: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    """The same, of the rules of bizzes, by biz."""

    def scenario(self, drawn: Scenario) -> Scenario:
        """The scenario with what the bug needs."""
        rules = dict(self.rules)
        bizzes = tuple(
            msgspec.structs.replace(config, **rules.get(config.biz, {})) for config in drawn.bizzes
        )
        faults, kinds = drawn.faults | self.faults, drawn.rules | self.kinds
        return replace(drawn, faults=faults, rules=kinds, bizzes=bizzes)

    def store(self, disk: Disk, habits: DiskHabits, rng: random.Random) -> SimStore:
        return self.server_store_class(disk, habits, rng)
