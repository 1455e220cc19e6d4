"""What goes wrong with links: cuts, silence, stalls, connects that hang."""

import random
from collections.abc import Callable

from mobilesync.sim.links import Network, Wire
from mobilesync.sim.loop import VirtualLoop
from mobilesync.sim.scenario import Scenario

CALM_JITTER_S = 0.004


class LinkFaults:
    """The network's trouble."""

    def __init__(
        self, scenario: Scenario, loop: VirtualLoop, rng: random.Random, network: Network
    ) -> None:
        self._scenario = scenario
        self._loop = loop
        self._rng = rng
        self._network = network
        self.strikes: dict[str, Callable[[], None]] = {
            "cut": self._cut,
            "half_open": self._half_open,
            "stall": self._stall,
            "hang": self._hang,
        }

    def begin(self) -> None:
        """Set what holds for the whole faulty phase."""
        weather = self._network.weather
        if "fragments" in self._scenario.faults:
            weather.fragment_share = self._rng.choice((0.3, 1.0))
            weather.jitter_s = self._rng.choice((CALM_JITTER_S, 0.2))

    def heal(self) -> None:
        """New links are good. One that is half-open stays so: its two ends must find out."""
        self._network.hang_share = 0.0
        self._network.weather.fragment_share = 0.0
        self._network.weather.jitter_s = CALM_JITTER_S

    def _wire(self) -> Wire | None:
        wires = list(self._network.wires.values())
        return self._rng.choice(wires) if wires else None

    def _cut(self) -> None:
        wire = self._wire()
        if wire is not None:
            learn = (self._rng.random() < 0.7, self._rng.random() < 0.7)
            wire.cut(server_learns=learn[0], device_learns=learn[1])

    def _half_open(self) -> None:
        wire = self._wire()
        if wire is not None:
            both = self._rng.choice(((True, True), (True, False), (False, True)))
            wire.mute(to_server=both[0], to_device=both[1])

    def _stall(self) -> None:
        wire = self._wire()
        if wire is not None:
            wire.stall(self._rng.random() * 20)

    def _hang(self) -> None:
        self._network.hang_share = 0.5
        self._loop.call_later(5.0, self._unhang)

    def _unhang(self) -> None:
        self._network.hang_share = 0.0
