"""What goes wrong, and when: one task that strikes until the calm begins.

Strategy: every now and then one of the scenario's kinds of faults is chosen and done to a seeded
victim. What a fault breaks comes back by itself after a seeded while. `heal` ends all of it, and
from then on nothing fails.

Not here: which kinds a seed has (scenario.py), what they do (server_faults.py, link_faults.py,
device_faults.py, operator_faults.py).
"""

import random

from mobilesync.sim.chronicle import Chronicle
from mobilesync.sim.device import SimDevice
from mobilesync.sim.device_faults import DeviceFaults
from mobilesync.sim.link_faults import LinkFaults
from mobilesync.sim.links import Network
from mobilesync.sim.loop import VirtualLoop, pause
from mobilesync.sim.operator import SimOperator
from mobilesync.sim.operator_faults import OperatorFaults
from mobilesync.sim.publisher import GIVE_UP_S, SimPublisher
from mobilesync.sim.scenario import Scenario
from mobilesync.sim.server import SimServer
from mobilesync.sim.server_faults import ServerFaults
from mobilesync.sim.user_check import SimUserCheck


class Faults:
    """The trouble of one run."""

    def __init__(
        self,
        scenario: Scenario,
        loop: VirtualLoop,
        rng: random.Random,
        chronicle: Chronicle,
        network: Network,
        server: SimServer,
        devices: list[SimDevice],
        publisher: SimPublisher,
        operator: SimOperator,
        user_check: SimUserCheck,
    ) -> None:
        self._scenario = scenario
        self._loop = loop
        self._rng = rng
        self._chronicle = chronicle
        self._publisher = publisher
        self._server_faults = ServerFaults(scenario, loop, rng, server)
        self._link_faults = LinkFaults(scenario, loop, rng, network)
        self._device_faults = DeviceFaults(scenario, loop, rng, network, server, devices)
        self._people = OperatorFaults(scenario, rng, operator, publisher, user_check, devices)
        self.strikes = {
            **self._server_faults.strikes,
            **self._link_faults.strikes,
            **self._device_faults.strikes,
            **self._people.strikes,
        }

    def begin(self) -> None:
        """Set what holds for the whole faulty phase."""
        self._server_faults.begin()
        self._link_faults.begin()
        self._device_faults.begin()
        self._people.begin()
        if "lost_answers" in self._scenario.faults:
            self._publisher.lose_answers = 0.2
            self._publisher.hang_up_s = self._rng.choice((0.002, 0.01, GIVE_UP_S))

    async def strike_until(self, end_s: float) -> None:
        """One fault after the other, until the virtual time `end_s`."""
        kinds = [kind for kind in self.strikes if kind in self._scenario.faults]
        while self._loop.time() < end_s:
            await pause(self._rng.expovariate(1 / self._scenario.fault_every_s))
            self._device_faults.bury_dead()
            self._server_faults.back_up()
            if kinds:
                kind = self._rng.choice(kinds)
                self._chronicle.say("faults", kind)
                self.strikes[kind]()

    async def heal(self) -> None:
        """Nothing fails from now on, and everything that is down comes back."""
        self._publisher.lose_answers, self._publisher.hang_up_s = 0.0, GIVE_UP_S
        self._link_faults.heal()
        await self._server_faults.heal()
        await self._people.heal()
        await self._device_faults.heal()

    def act_in_calm(self) -> None:
        """What people do need not end when the trouble does."""
        self._people.act_in_calm()
