"""Receivers: the devices that a target means, by id, page by page."""

from mobilesync.domain.channel import Channel
from mobilesync.engine.devices import Devices, KnownDevice
from mobilesync.engine.receivers import Receivers
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.engine.world import simulated


async def _receivers(*pairs: tuple[str, str]) -> tuple[Receivers, MemoryStore]:
    store = MemoryStore(Disk((7,)))
    devices = Devices(store)
    for device, user in pairs:
        await devices.put("shop", KnownDevice(device=device, user=user))
    return Receivers(devices), store


async def _names(receivers: Receivers, target: str, after: str = "", count: int = 9) -> list[str]:
    page = await receivers.page(Channel("shop", "CHAT", target), after, count)
    return [known.device for known in page]


@simulated
async def test_each_kind_of_target() -> None:
    receivers, store = await _receivers(("d1", "ada"), ("d10", "ada"), ("d2", "bob"), ("d3", ""))
    assert await _names(receivers, "everyone") == ["d1", "d10", "d2", "d3"]
    assert await _names(receivers, "everyone", "d1", 2) == ["d10", "d2"]
    assert await _names(receivers, "user:ada") == ["d1", "d10"]
    assert await _names(receivers, "user:ada", "d1") == ["d10"]
    assert await _names(receivers, "user:ada", count=1) == ["d1"]
    assert await _names(receivers, "user:nobody") == []
    assert await _names(receivers, "device:d2") == ["d2"]
    assert await _names(receivers, "device:d2", "d2") == []
    assert await _names(receivers, "device:d9") == []
    await store.close()


@simulated
async def test_a_users_device_is_known_by_who_is_on_it_now() -> None:
    receivers, store = await _receivers(("d1", "ada"), ("d1", "bob"))
    page = await receivers.page(Channel("shop", "CHAT", "user:ada"), "", 9)
    assert [(known.device, known.user) for known in page] == [("d1", "bob")]
    await store.close()
