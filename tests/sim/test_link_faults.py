"""The network's trouble: devices find their way back."""

import random

import pytest

from mobilesync.sim.link_faults import LinkFaults
from mobilesync.sim.loop import pause
from mobilesync.sim.world import World
from tests.sim.small_world import play


@pytest.mark.parametrize("kind", ["cut", "half_open", "stall", "hang"])
def test_after_each_kind_everybody_is_connected_again(kind: str) -> None:
    async def act(built: World) -> None:
        faults = LinkFaults(built.scenario, built.loop, random.Random(1), built.network)
        await pause(10)
        before = set(built.network.wires)
        for _ in range(10):
            faults.strikes[kind]()
            await pause(1)
        faults.heal()
        await pause(200)
        connected = {wire.device for wire in built.network.wires.values()}
        assert connected == {device.name for device in built.devices}
        if kind in {"cut", "half_open"}:
            assert set(built.network.wires) != before, "some had to connect anew"

    play(act)
