"""Sync points of users, and thresholds: where a device goes on that finds a backlog."""

from mobilesync.domain.channel import Channel
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import Skip, SyncPoint, user_owner
from mobilesync.engine import places
from tests.engine.device import Device
from tests.engine.world import APP, EPOCH, World, settle, simulated

ADA = "user:u1"
PAY = ("PAY", ADA)
ONE = {"target_kind": "user", "scope": "appointed", "multi_device": False}


async def _together(world: World) -> tuple[Device, Device]:
    """Two devices of one user; the second is the newest."""
    first = await world.online("d1")
    return first, await world.online("d2")


@simulated
async def test_only_the_newest_device_of_a_user_gets_what_has_one_point() -> None:
    async with World() as world:
        await world.config("PAY", **ONE)
        first, second = await _together(world)
        await world.publish(ADA, b"1", biz="PAY")
        await settle()
        assert (first.got(*PAY), second.got(*PAY)) == ([], [b"1"])


@simulated
async def test_when_the_newest_has_gone_the_other_one_goes_on_without_repeats() -> None:
    async with World() as world:
        await world.config("PAY", **ONE)
        first, second = await _together(world)
        await world.publish(ADA, b"1", biz="PAY")
        await settle()
        second.hang_up()
        await world.publish(ADA, b"2", biz="PAY")
        await settle()
        assert first.got(*PAY) == [b"2"]
        assert first.received(*PAY) == 2
        point = (await world.store.points(APP, user_owner("u1")))[_channel()]
        assert point == SyncPoint(EPOCH, 2, 2)


@simulated
async def test_what_was_withheld_flows_when_the_newest_goes_without_having_got_it() -> None:
    async with World() as world:
        await world.config("PAY", **ONE)
        first, second = await _together(world)
        second.acking = False
        await world.publish(ADA, b"1", biz="PAY")
        await settle()
        assert second.got(*PAY) == [b"1"]
        second.hang_up()
        await settle()
        # It was never said to be saved there, so it must not be lost.
        assert first.got(*PAY) == [b"1"]


@simulated
async def test_a_new_phone_goes_on_where_the_user_is() -> None:
    async with World() as world:
        await world.config("PAY", **ONE)
        await world.publish(ADA, b"1", b"2", biz="PAY")
        old = await world.online("old")
        assert old.got(*PAY) == [b"1", b"2"]
        new = await world.online("new")
        await world.publish(ADA, b"3", biz="PAY")
        await settle()
        assert new.got(*PAY) == [b"3"]
        assert new.received(*PAY) == 3
        # And the old one, which knows 2, is told nothing twice either.
        new.hang_up()
        old.connect()
        await world.publish(ADA, b"4", biz="PAY")
        await settle()
        assert old.got(*PAY) == [b"1", b"2", b"4"]


@simulated
async def test_the_journal_says_that_it_was_elsewhere() -> None:
    async with World() as world:
        await world.config("PAY", **ONE)
        await world.publish(ADA, b"1", b"2", biz="PAY")
        await world.online("old")
        new = await world.online("new")
        new.ping()
        await settle()
        new.ack()
        await world.store.put_documents([])
        [step] = await world.store.journal(_channel(), "new", 0, 10)
        assert step.skips == (Skip(1, 2, int(Reason.ELSEWHERE)),)
        # For the user nothing was missed.
        steps = await world.store.journal(_channel(), user_owner("u1"), 0, 10)
        assert all(not each.skips for each in steps)


@simulated
async def test_a_device_far_behind_is_told_of_no_loss_when_the_user_has_it() -> None:
    async with World() as world:
        await world.config("PAY", retention_s=10, **ONE)
        phone = await world.online("phone")
        await world.publish(ADA, b"1", biz="PAY")
        await settle()
        phone.hang_up()
        tablet = await world.online("tablet")
        await world.publish(ADA, b"2", biz="PAY")
        await settle()
        assert tablet.got(*PAY) == [b"2"]
        world.clock.jump(20_000)
        await world.service.trim()
        tablet.hang_up()
        phone.connect()
        await settle()
        assert phone.welcomed
        assert not [reset for reset in phone.heard if getattr(reset, "resets", [])]


@simulated
async def test_of_a_backlog_only_the_newest_are_pushed() -> None:
    async with World() as world:
        await world.config("NEWS", repush_threshold=2)
        await world.publish("everyone", b"1", b"2", b"3", b"4", b"5", biz="NEWS")
        phone = await world.online()
        assert phone.got("NEWS", "everyone") == [b"4", b"5"]
        await world.store.put_documents([])
        steps = await world.store.journal(_channel("NEWS", "everyone"), "d1", 0, 10)
        assert [skip for step in steps for skip in step.skips] == [
            Skip(1, 3, int(Reason.OVER_THRESHOLD))
        ]


@simulated
async def test_what_comes_while_it_is_online_is_no_backlog() -> None:
    async with World() as world:
        await world.config("NEWS", repush_threshold=2)
        phone = await world.online()
        await world.publish("everyone", *(b"%d" % n for n in range(9)), biz="NEWS")
        await settle()
        assert len(phone.got("NEWS", "everyone")) == 9


@simulated
async def test_the_newest_are_counted_among_those_that_the_device_may_see() -> None:
    async with World() as world:
        await world.config("NEWS", repush_threshold=2)
        await world.publish("everyone", b"1", b"2", b"3", biz="NEWS")
        await world.publish("everyone", *[b"ios"] * 200, biz="NEWS", os=("ios",))
        phone = world.device()
        phone.os = "android"
        phone.connect()
        await settle()
        assert phone.got("NEWS", "everyone") == [b"2", b"3"]


@simulated
async def test_a_long_backlog_for_others_is_looked_through_in_slices() -> None:
    async with World() as world:
        await world.config("NEWS", repush_threshold=1)
        await world.publish("everyone", b"1", biz="NEWS")
        many = places.CHUNK_IDS_MIN * (places.CHUNKS_BEFORE_OTHERS + 2)
        for _ in range(0, many, 500):
            await world.publish("everyone", *[b"ios"] * 500, biz="NEWS", os=("ios",))
        phone = world.device()
        phone.os = "android"
        phone.connect()
        await settle()
        await settle()
        assert phone.got("NEWS", "everyone") == [b"1"]


@simulated
async def test_a_biz_that_comes_online_again_has_a_backlog() -> None:
    async with World() as world:
        await world.config("NEWS", repush_threshold=1)
        phone = await world.online()
        await world.publish("everyone", b"0", biz="NEWS")
        await settle()
        phone.acking = False
        phone.hang_up()
        await world.publish("everyone", b"1", b"2", biz="NEWS")
        await world.config("NEWS", repush_threshold=1, status="offline")
        phone.connect()
        await settle()
        assert phone.got("NEWS", "everyone") == [b"0"]
        await world.config("NEWS", repush_threshold=1)
        await settle()
        assert phone.got("NEWS", "everyone") == [b"0", b"2"]


def _channel(biz: str = "PAY", target: str = ADA) -> Channel:
    return Channel(APP, biz, target)


@simulated
async def test_what_a_hello_says_no_other_device_gets_either() -> None:
    async with World() as world:
        await world.config("PAY", **ONE)
        await world.publish("user:u1", b"1", biz="PAY")
        first = world.device("d1")
        first.acking = False
        first.connect()
        await settle()
        first.hang_up()
        first.connect()
        await settle()
        first.hang_up()
        second = await world.online("d2")
        assert first.got("PAY", "user:u1") == [b"1"]
        assert second.got("PAY", "user:u1") == []


@simulated
async def test_a_device_that_has_lost_its_store_does_not_put_the_users_point_back() -> None:
    async with World() as world:
        await world.config("PAY", **ONE)
        await world.publish("user:u1", b"1", b"2", biz="PAY")
        first = await world.online("d1")
        first.hang_up()
        place = ("PAY", "user:u1")
        first.points[place] = first.points[place].__class__(*place, EPOCH, 1, 1)
        first.connect()
        await settle()
        first.hang_up()
        second = await world.online("d2")
        assert second.got("PAY", "user:u1") == []
