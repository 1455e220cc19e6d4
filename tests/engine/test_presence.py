"""Online and offline are told once each, also for those whom a dead server left online."""

from mobilesync.engine.happenings import Kind
from mobilesync.storage.disk import Disk
from tests.engine.ear import Ear
from tests.engine.world import World, passes, settle, simulated

BOTH: tuple[Kind, Kind] = ("device.online", "device.offline")


@simulated
async def test_a_session_is_told_when_it_opens_and_when_it_ends() -> None:
    ear = Ear(*BOTH)
    async with World(listener=ear) as world:
        phone = await world.online("d1", "ada")
        session = phone.session
        assert session is not None
        phone.bind("bob")
        await settle()
        phone.hang_up()
        assert ear.told == [
            ("device.online", {"device": "d1", "user": "ada", "session": session.id}),
            ("device.offline", {"device": "d1", "user": "bob", "session": session.id}),
        ]


@simulated
async def test_who_is_replaced_goes_before_the_other_comes() -> None:
    ear = Ear(*BOTH)
    async with World(listener=ear) as world:
        first, second = await world.online(), await world.online()
        assert first.session is not None
        assert second.session is not None
        said = [(kind.partition(".")[2], data["session"]) for kind, data in ear.told]
        one, two = first.session.id, second.session.id
        assert said == [("online", one), ("offline", one), ("online", two)]


@simulated
async def test_nobody_is_asked_who_does_not_want_to_know() -> None:
    ear = Ear()
    async with World(listener=ear) as world:
        phone = await world.online()
        phone.hang_up()
        assert ear.told == []


@simulated
async def test_whom_a_dead_server_left_online_is_told_of_by_the_next() -> None:
    disk = Disk((7,))
    async with World(disk=disk) as world:
        for n in range(450):
            device = world.device(f"d{n:03}")
            device.connect()
        gone = await world.online("gone")
        gone.hang_up()
        await passes(0.2)
        world.store.kill()
    ear = Ear("device.offline")
    async with World(disk=disk, listener=ear) as again:
        await passes(1)
        told = [data["device"] for data in ear.of("device.offline")]
        assert sorted(told) == [f"d{n:03}" for n in range(450)]
        known = await again.service.devices.find("demo", "d000")
        assert known is not None
        assert known.offline_since_ms
        await passes(1)
    async with World(disk=disk, listener=Ear("device.offline")) as third:
        await passes(1)
        assert isinstance(third.service.listener, Ear)
        assert third.service.listener.told == []
