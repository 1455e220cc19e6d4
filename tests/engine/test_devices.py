"""Devices are remembered with all they said, found by user, and listed page by page."""

from mobilesync.domain.conditions import Attributes
from mobilesync.engine.devices import Devices, KnownDevice
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.engine.world import passes, simulated


def _devices() -> tuple[Devices, MemoryStore]:
    store = MemoryStore(Disk((7,)))
    return Devices(store), store


@simulated
async def test_what_was_noted_is_found_at_once_and_after_a_restart() -> None:
    devices, store = _devices()
    known = KnownDevice(
        device="d1", user="ada", os="ios", app_version="1.8", attributes={"plan": "gold"}
    )
    devices.note("shop", known)
    assert await devices.find("shop", "d1") == known
    assert known.conditions_see == Attributes("ios", "1.8", {"plan": "gold"})
    await passes(0.2)
    assert await Devices(MemoryStore(store.disk)).find("shop", "d1") == known
    assert await devices.find("shop", "d") is None
    assert await devices.find("other", "d1") is None
    await store.close()


@simulated
async def test_what_was_put_is_durable_at_once() -> None:
    devices, store = _devices()
    known = KnownDevice(device="d1", user="ada", app_version="1.9", owes_offers=True)
    await devices.put("shop", known)
    store.kill()
    again = Devices(MemoryStore(store.disk))
    assert await again.find("shop", "d1") == known
    assert await again.of_user("shop", "ada", 9) == ["d1"]


@simulated
async def test_pages_go_on_after_the_last_device_and_stay_in_the_app() -> None:
    devices, store = _devices()
    names = [f"d{n}" for n in range(5)]
    for name in names:
        devices.note("shop", KnownDevice(device=name))
    devices.note("shop2", KnownDevice(device="foreign"))
    assert [each.device for each in await devices.page("shop", "", 3)] == names[:3]
    assert [each.device for each in await devices.page("shop", "d2", 3)] == names[3:]
    assert await devices.page("shop", "d4", 3) == []
    await store.close()


@simulated
async def test_a_user_has_all_devices_ever_used() -> None:
    devices, store = _devices()
    for device, user in (("d1", "ada"), ("d2", "ada"), ("d3", "ada2"), ("d1", "bob"), ("d4", "")):
        await devices.put("shop", KnownDevice(device=device, user=user))
    assert await devices.of_user("shop", "ada", 10) == ["d1", "d2"]
    assert await devices.of_user("shop", "ada", 1) == ["d1"]
    assert await devices.of_user("shop", "bob", 10) == ["d1"]
    assert await devices.of_user("shop", "", 10) == []
    await store.close()
