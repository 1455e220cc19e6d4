"""The devices' trouble: every app is opened again."""

import random

import pytest

from mobilesync.sim import history as h
from mobilesync.sim.device_faults import DeviceFaults
from mobilesync.sim.loop import pause
from mobilesync.sim.world import World
from tests.sim.small_world import of_kind, play, publication

KINDS = (
    "device_kill", "device_kill_at_seam", "device_close", "device_disk_full", "reinstall",
    "upgrade", "switch_user", "background", "stray", "token_trouble", "device_clock", "kick",
    "device_away", "retry_parked", "attributes",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_after_each_kind_every_device_has_everything(kind: str) -> None:
    async def act(built: World) -> None:
        faults = DeviceFaults(
            built.scenario,
            built.loop,
            random.Random(1),
            built.network,
            built.server,
            built.devices,
        )
        assert set(faults.strikes) == set(KINDS)
        for number in range(10):
            item = publication("everyone", f"m{number}")
            built.publisher.begin("shop", [item])
            faults.strikes[kind]()
            await pause(3)
            faults.bury_dead()
        await faults.heal()
        await pause(180)
        assert all(device.is_up for device in built.devices)

    built = play(act)
    last: dict[str, set[str]] = {}
    for fact in built.chronicle.history:
        if isinstance(fact, h.Installed):
            last[fact.device] = set()
        if isinstance(fact, h.HandlerFinished):
            last[fact.device].add(fact.message_id)
    wanted = {f"m{number}" for number in range(10)}
    assert all(done == wanted for name, done in last.items() if name.startswith("shop/"))
    killed = of_kind(built, h.DeviceKilled)
    assert bool(killed) == (
        kind
        in {"device_kill", "device_kill_at_seam", "device_close", "reinstall", "upgrade"}
        | {"device_away"}
    )
