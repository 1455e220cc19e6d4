"""The server's trouble: it always comes back, with what it should have."""

import random

import pytest

from mobilesync.sim import history as h
from mobilesync.sim.loop import pause
from mobilesync.sim.server_faults import ServerFaults
from mobilesync.sim.world import World
from tests.sim.small_world import of_kind, play, publication


@pytest.mark.parametrize(
    "kind", ["server_kill", "server_kill_at_sync", "power_cut", "disk_full", "drain"]
)
def test_after_each_kind_the_server_serves_again(kind: str) -> None:
    async def act(built: World) -> None:
        faults = ServerFaults(built.scenario, built.loop, random.Random(1), built.server)
        faults.strikes[kind]()
        for number in range(8):
            item = publication("everyone", f"m{number}")
            built.publisher.begin("shop", [item])
            await pause(1)
        await pause(60)
        await faults.heal()
        await pause(60)
        assert built.publisher.busy() == 0
        assert built.server.is_up

    built = play(act)
    assert of_kind(built, h.ServerKilled)


def test_a_restore_needs_a_backup() -> None:
    async def act(built: World) -> None:
        faults = ServerFaults(built.scenario, built.loop, random.Random(1), built.server)
        faults.strikes["restore"]()
        assert not of_kind(built, h.ServerKilled)
        for _ in range(100):
            faults.back_up()
        faults.strikes["restore"]()
        assert of_kind(built, h.ServerKilled)
        await pause(20)
        assert built.server.is_up

    built = play(act)
    assert len(of_kind(built, h.Restored)) == 1
