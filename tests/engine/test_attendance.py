"""Who comes is noted, who goes too, and whoever listens is told."""

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import StoreUnavailable
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import Skip, SyncPoint
from mobilesync.engine.acks import Progress
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import CloseCode
from tests.engine.world import APP, EPOCH, Gate, World, passes, settle, simulated

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


@simulated
async def test_what_a_device_is_now_is_on_the_disk_before_its_welcome() -> None:
    gate = Gate()
    gate.open()

    async def sync() -> None:
        await gate.passed()

    async with World(sync=sync) as world:
        phone = world.device()
        phone.app_version = "1.8"
        gate = Gate()
        phone.connect()
        await settle()
        assert phone.heard == []
        gate.open()
        await settle()
        assert phone.welcomed
        assert b"1.8" in world.disk.documents["device", f"{APP}\0d1"]
        # The same device again costs no commit.
        await passes(1)
        gate = Gate()
        phone.hang_up()
        phone.connect()
        await settle()
        assert phone.welcomed
        gate.open()


@simulated
async def test_a_device_that_cannot_be_put_on_record_comes_back_later() -> None:
    broken: list[int] = []

    async def sync() -> None:
        if broken:
            raise OSError("no space left")

    async with World(sync=sync) as world:
        known = await world.online("d1")
        known.hang_up()
        await passes(1)
        broken.append(1)
        stranger = world.device("d2")
        stranger.connect()
        known.connect()
        await settle()
        assert stranger.close_code() is CloseCode.STORE_UNAVAILABLE
        assert known.welcomed, "it has not changed"


@simulated
async def test_a_crash_between_the_record_and_the_offers_loses_no_offer() -> None:
    async with World() as world:
        await world.publish("everyone", b"2.0", app_version_min="2.0")
        await world.publish("everyone", b"all")
        phone = await world.online()
        phone.hang_up()
        await passes(1)
        phone.app_version = "2.0"

        async def die(*_: object) -> int:
            world.store.kill()
            raise StoreUnavailable("dead")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(world.service.offers, "offer", die)
            phone.connect()
            await settle()
        known = await world.service.devices.find(APP, "d1")
        assert known is not None
        assert (known.app_version, known.owes_offers) == ("2.0", True)
        async with World(disk=world.disk) as again:
            phone.sessions = again.sessions
            phone.connect()
            await settle()
            assert phone.got("CHAT", "device:d1") == [b"2.0"]
            after = await again.service.devices.find(APP, "d1")
            assert after is not None
            assert not after.owes_offers


@simulated
async def test_a_replay_is_over_once_its_device_has_lost_its_store() -> None:
    async with World() as world:
        await world.publish("everyone", b"1", b"2")
        phone = await world.online()
        phone.hang_up()
        await world.service.interventions.replay(CHAT, "d1", 1)
        phone.lose_store()
        phone.connect()
        await settle()
        assert phone.got("CHAT", "everyone") == [b"1", b"2"]
        assert len(world.service.replays) == 0
        phone.hang_up()
        phone.connect()
        await settle()
        welcome = phone.heard[0]
        assert isinstance(welcome, m.Welcome)
        assert welcome.resets == []


@simulated
async def test_a_replay_for_another_user_of_the_device_waits_for_them() -> None:
    async with World() as world:
        place = Channel(APP, "CHAT", "user:u1")
        await world.publish("user:u1", b"1", b"2")
        phone = await world.online("d1", "u1")
        phone.hang_up()
        await world.service.interventions.replay(place, "d1", 0)
        phone.user = "u2"
        phone.connect()
        await settle()
        assert len(world.service.replays) == 1


@simulated
async def test_what_a_hello_makes_up_for_is_told_with_what_was_passed_over() -> None:
    async with World() as world:
        told: list[Progress] = []
        world.sessions.on_progress.append(lambda _, progress: told.append(progress))
        await world.publish("everyone", b"1", os=("ios",))
        await world.publish("everyone", b"2", rollout_percent=0)
        await world.publish("everyone", b"3")
        phone = await world.online()
        # The store has lost what was acked, but not what is known of the device.
        world.disk.points.clear()
        world.disk.journal.clear()
        world.store.kill()
        async with World(disk=world.disk) as again:
            again.sessions.on_progress.append(lambda _, progress: told.append(progress))
            told.clear()
            phone.sessions = again.sessions
            phone.connect()
            await settle()
            skips = (Skip(1, 1, int(Reason.OS)), Skip(2, 2, int(Reason.ROLLOUT)))
            assert told == [Progress(CHAT, 0, 3, 0, 3, skips, skips)]
            await again.store.put_documents([])
            [step] = await again.store.journal(CHAT, "d1", 0, 9)
            assert step.skips == skips


@simulated
async def test_a_store_that_has_failed_serves_who_is_new_and_not_who_has_changed() -> None:
    async with World() as world:
        known = await world.online()
        known.hang_up()
        await passes(1)
        await world.publish("everyone", b"1")

        async def refuse(*_: object) -> None:
            raise StoreUnavailable("full")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(world.service.devices, "put", refuse)
            new = await world.online("d2")
            assert new.got("CHAT", "everyone") == [b"1"]
            known.app_version = "9.0"
            known.connect()
            await settle()
            assert known.close_code() is CloseCode.STORE_UNAVAILABLE
        known.connect()
        await settle()
        assert known.got("CHAT", "everyone") == [b"1"]
