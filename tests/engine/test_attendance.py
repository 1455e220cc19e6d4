"""Who comes is noted, who goes too, and whoever listens is told."""

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import StoreUnavailable
from mobilesync.domain.sync_point import SyncPoint
from tests.engine.world import APP, EPOCH, World, passes, settle, simulated

CHAT = Channel(APP, "CHAT", "everyone")


@simulated
async def test_a_device_is_known_by_what_it_said() -> None:
    async with World() as world:
        phone = world.device()
        phone.os, phone.app_version, phone.attributes = "ios", "1.8", {"plan": "gold"}
        begin_ms = world.clock.wall_ms()
        phone.connect()
        await settle()
        known = await world.service.devices.find(APP, "d1")
        assert known is not None
        assert (known.user, known.os, known.app_version) == ("u1", "ios", "1.8")
        assert known.attributes == {"plan": "gold"}
        assert known.first_seen_ms == known.online_since_ms >= begin_ms
        assert known.offline_since_ms == 0
        await passes(5)
        phone.hang_up()
        gone = await world.service.devices.find(APP, "d1")
        assert gone is not None
        assert gone.offline_since_ms >= known.online_since_ms + 5_000
        await passes(5)
        phone.connect()
        await settle()
        back = await world.service.devices.find(APP, "d1")
        assert back is not None
        assert back.first_seen_ms == known.first_seen_ms
        assert back.online_since_ms > gone.offline_since_ms
        assert back.offline_since_ms == 0


@simulated
async def test_a_device_is_found_by_all_its_users() -> None:
    async with World() as world:
        phone = await world.online("d1", "ada")
        phone.bind("bob")
        await settle()
        devices = world.service.devices
        assert (
            await devices.of_user(APP, "ada", 9) == await devices.of_user(APP, "bob", 9) == ["d1"]
        )
        known = await devices.find(APP, "d1")
        assert known is not None
        assert known.user == "bob"


@simulated
async def test_a_replaced_session_does_not_say_that_the_device_has_gone() -> None:
    async with World() as world:
        await world.online("d1")
        again = await world.online("d1")
        await settle()
        known = await world.service.devices.find(APP, "d1")
        assert known is not None
        assert known.offline_since_ms == 0
        assert not again.closed


@simulated
async def test_listeners_are_told_who_comes_and_who_goes() -> None:
    async with World() as world:
        told: list[tuple[str, str]] = []
        attendance = world.service.attendance
        attendance.on_arrived.append(lambda session: told.append(("came", session.user)))
        attendance.on_left.append(lambda session: told.append(("went", session.user)))
        phone = await world.online()
        phone.bind("u2")
        await settle()
        phone.hang_up()
        stranger = world.device("d2")
        stranger.dial()
        stranger.hang_up()
        assert told == [("came", "u1"), ("came", "u2"), ("went", "u2")]


@simulated
async def test_a_lost_store_is_a_new_lap_of_the_record() -> None:
    async with World() as world:
        await world.publish("everyone", b"1")
        phone = await world.online()
        phone.hang_up()
        phone.lose_store()
        phone.acking = False
        phone.connect()
        await settle()
        points = await world.store.points(APP, "d1")
        assert points[CHAT] == SyncPoint(EPOCH, 0, 0, restarts=1)


@simulated
async def test_an_offer_that_cannot_be_stored_costs_no_session() -> None:
    async with World() as world:
        await world.publish("everyone", b"2.0", app_version_min="2.0")
        await world.publish("everyone", b"all")
        phone = await world.online()
        phone.hang_up()
        phone.app_version = "2.0"

        async def refuse(*_: object) -> int:
            raise StoreUnavailable("full")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(world.service.offers, "offer", refuse)
            phone.connect()
            await settle()
        assert phone.welcomed
        phone.hang_up()
        phone.app_version = "2.1"
        phone.connect()
        await settle()
        assert phone.got("CHAT", "device:d1") == [b"2.0"]
