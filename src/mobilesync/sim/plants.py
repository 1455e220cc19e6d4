"""Planted bugs: known mistakes, each breaking one guarantee, to show that the checkers see them.

Strategy: a plant replaces parts of a simulated server or device by ones with a mistake that a
person could make. Without it the same seeds pass. The checkers are worth as much as what they catch.
"""

from mobilesync.sim.device import SimDevice
from mobilesync.sim.scenario import Scenario
from mobilesync.sim.server import Parts


class Plant(Parts):
    """No bug at all."""

    def scenario(self, drawn: Scenario) -> Scenario:
        """The scenario, perhaps with what the bug needs to show itself."""
        return drawn

    def device(self, device: SimDevice) -> SimDevice:
        """A device, before it starts."""
        return device


PLANTS: dict[str, Plant] = {}
