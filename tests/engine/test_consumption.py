"""Consumed by one: processed on one device, not shown on the others, and nothing else withdrawn."""

from collections.abc import Sequence

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import Overloaded
from mobilesync.domain.oplog import Appended, Draft, WithdrawalReason
from mobilesync.engine import consumption
from mobilesync.protocol.messages import IdRange, Withdrawal
from tests.engine.world import APP, World, passes, settle, simulated

ADA = "user:u1"
PLACE = ("RING", ADA)
RING = Channel(APP, *PLACE)
ONE = {"target_kind": "user", "scope": "appointed", "consumed_by": "one"}


async def _fates(world: World) -> dict[int, WithdrawalReason]:
    page = await world.store.read(RING, 0, 100, 10_000)
    return {each.id: each.withdrawn.reason for each in page.oplogs if each.withdrawn is not None}


@simulated
async def test_a_device_that_comes_later_does_not_see_it() -> None:
    async with World() as world:
        await world.config("RING", **ONE)
        await world.publish(ADA, b"1", b"2", biz="RING")
        first = await world.online("d1")
        assert first.got(*PLACE) == [b"1", b"2"]
        second = await world.online("d2")
        assert second.got(*PLACE) == []
        await world.publish(ADA, b"3", biz="RING")
        await settle()
        # Both were online: both got it, and then it is withdrawn.
        assert await _fates(world) == dict.fromkeys([1, 2, 4], WithdrawalReason.CONSUMED)


@simulated
async def test_what_is_only_received_is_still_for_the_others() -> None:
    async with World() as world:
        await world.config("RING", **ONE)
        await world.publish(ADA, b"1", biz="RING")
        first = world.device("d1")
        first.processing = False
        first.connect()
        await settle()
        second = await world.online("d2")
        assert second.got(*PLACE) == [b"1"]


@simulated
async def test_devices_that_hold_it_are_told_but_not_the_one_that_has_processed_it() -> None:
    async with World() as world:
        await world.config("RING", **ONE)
        devices = [world.device(name) for name in ("d1", "d2")]
        for device in devices:
            device.features = ["withdrawals"]
            device.processing = False
            device.connect()
        await settle()
        await world.publish(ADA, b"1", biz="RING")
        await settle()
        first, second = devices
        first.processing = True
        first.points[PLACE] = second.points[PLACE].__class__(*PLACE, first.epoch, 1, 1)
        first.ack()
        await settle()
        assert second.saved[PLACE][-1].withdraws == Withdrawal([IdRange(1, 1)], 2)
        assert len(first.saved[PLACE]) == 1


@simulated
async def test_what_the_device_was_passed_over_is_not_consumed() -> None:
    async with World() as world:
        await world.config("RING", **ONE)
        await world.publish(ADA, b"ios", biz="RING", os=("ios",))
        await world.publish(ADA, b"all", biz="RING")
        android = world.device("d1")
        android.os = "android"
        android.connect()
        await settle()
        assert list(await _fates(world)) == [2]
        ios = world.device("d2")
        ios.os = "ios"
        ios.connect()
        await settle()
        assert ios.got(*PLACE) == [b"ios"]


@simulated
async def test_a_crash_before_the_withdrawal_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with World() as world:
        await world.config("RING", **ONE)
        await world.publish(ADA, b"1", biz="RING")

        async def never(drafts: Sequence[Draft]) -> list[Appended]:
            await passes(1e6)
            return []

        monkeypatch.setattr(world.service.consumption, "_append", never)
        await world.online("d1")
        await passes(0.2)
        assert await _fates(world) == {}
        world.store.kill()
        async with World(disk=world.disk) as again:
            await settle()
            assert list(await _fates(again)) == [1]
            second = await again.online("d2")
            assert second.got(*PLACE) == []
            await passes(0.2)
            assert consumption.KIND not in {kind for kind, _ in again.disk.documents}


@simulated
async def test_other_bizzes_and_channels_are_left_alone() -> None:
    async with World() as world:
        await world.online("d1")
        await world.publish(ADA, b"1")
        await settle()
        page = await world.store.read(Channel(APP, "CHAT", ADA), 0, 10, 100)
        assert [each.withdrawn for each in page.oplogs] == [None]


@simulated
async def test_a_store_that_is_busy_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with World() as world:
        await world.config("RING", **ONE)
        await world.publish(ADA, b"1", biz="RING")
        append = world.service.consumption._append
        refused: list[int] = []

        async def busy(drafts: Sequence[Draft]) -> list[Appended]:
            if not refused:
                refused.append(1)
                raise Overloaded("full")
            return await append(drafts)

        monkeypatch.setattr(world.service.consumption, "_append", busy)
        await world.online("d1")
        await passes(2)
        assert list(await _fates(world)) == [1]


@simulated
async def test_what_an_earlier_session_was_passed_over_is_not_consumed_by_a_later_one() -> None:
    async with World() as world:
        await world.config("RING", **ONE)
        await world.publish(ADA, b"all", biz="RING")
        await world.publish(ADA, b"ios", biz="RING", os=("ios",))
        await world.publish(ADA, b"all", biz="RING")
        phone = world.device("d1")
        phone.os, phone.processing = "android", False
        phone.connect()
        await settle()
        assert phone.received(*PLACE) == 3
        phone.hang_up()
        phone.connect()
        await settle()
        point = phone.points[PLACE]
        phone.points[PLACE] = point.__class__(*PLACE, point.epoch, 3, 3)
        phone.ack()
        await settle()
        assert sorted(await _fates(world)) == [1, 3]


@simulated
async def test_what_ended_before_the_device_could_get_it_is_not_consumed() -> None:
    async with World() as world:
        await world.config("RING", **ONE)
        soon_ms = world.clock.wall_ms() + 1_000
        await world.publish(ADA, b"short", biz="RING", valid_until_ms=soon_ms)
        await world.publish(ADA, b"long", biz="RING")
        await passes(5)
        device = await world.online("d1")
        assert device.got(*PLACE) == [b"long"]
        assert list(await _fates(world)) == [2]


@simulated
async def test_what_was_processed_while_nobody_listened_is_consumed_by_the_next_hello() -> None:
    async with World() as world:
        await world.config("RING", **ONE)
        await world.publish(ADA, b"1", biz="RING")
        device = world.device("d1")
        device.processing = False
        device.connect()
        await settle()
        device.hang_up()
        point = device.points[PLACE]
        device.points[PLACE] = point.__class__(*PLACE, point.epoch, 1, 1)
        assert await _fates(world) == {}
        device.connect()
        await settle()
        assert list(await _fates(world)) == [1]


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    joined = consumption._joined([(1, 1), (5, 6)], [(2, 3), (8, 8)])
    assert joined == [(1, 3), (5, 6), (8, 8)]
    monkeypatch.setattr(consumption, "WAITING_RANGES_MAX", 2)
    assert consumption._joined(joined, [(10, 12)]) == [(1, 3), (5, 12)]
