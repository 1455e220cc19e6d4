"""Faults strike, and heal leaves nothing broken."""

from dataclasses import replace

from mobilesync.sim.faults import Faults
from mobilesync.sim.loop import pause
from mobilesync.sim.scenario import FAULT_KINDS
from mobilesync.sim.world import World
from tests.sim.small_world import play


def all_kinds(built: World) -> Faults:
    drawn = replace(built.scenario, faults=frozenset(FAULT_KINDS), fault_every_s=0.5)
    return Faults(
        drawn,
        built.loop,
        built.rng,
        built.chronicle,
        built.network,
        built.server,
        built.devices,
        built.publisher,
        built.operator,
        built.user_check,
    )


def test_after_heal_everybody_is_back() -> None:
    async def act(built: World) -> None:
        faults = all_kinds(built)
        faults.begin()
        await faults.strike_until(built.loop.time() + 120)
        await faults.heal()
        assert built.server.is_up
        assert built.server.clock.offset_ms == 0
        assert not built.server.habits.full
        assert all(device.is_up for device in built.devices)
        await pause(120)
        assert built.server.is_up
        assert all(device.is_up for device in built.devices)
        connected = {wire.device for wire in built.network.wires.values()}
        assert connected == {device.name for device in built.devices}

    for seed in range(3):
        built = play(act, seed)
        said = "\n".join(built.chronicle.trace.tail())
        assert "ServerKilled" in said
        assert "DeviceKilled" in said


def test_every_kind_has_its_strike_or_its_setting() -> None:
    settings = {"fragments", "slow_reads", "lost_answers", "late_handlers", "short_tokens"}

    async def act(built: World) -> None:
        strikes = set(all_kinds(built).strikes)
        assert strikes | settings == set(FAULT_KINDS)
        assert not strikes & settings

    play(act)
