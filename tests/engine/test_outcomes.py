"""Whoever asked is told once what became of an oplog, and what was never delivered."""

from typing import Any

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import InvalidRequest, MobilesyncError, NotFound, Overloaded
from mobilesync.engine import outcomes
from mobilesync.engine.outcomes import KIND
from mobilesync.storage.disk import Disk
from tests.engine.ear import Ear
from tests.engine.world import APP, World, passes, settle, simulated

ADA = "user:u1"
CHAT = Channel(APP, "CHAT", ADA)


async def _refusal(world: World, **item: Any) -> MobilesyncError:
    with pytest.raises(MobilesyncError) as refused:
        await world.publish(item.pop("target", ADA), b"x", **item)
    error = refused.value
    [(_, inner)] = getattr(error, "items", [(0, error)])
    assert isinstance(inner, MobilesyncError)
    return inner


@simulated
async def test_processed_by_the_first_device_that_has_it() -> None:
    ear = Ear()
    async with World(listener=ear) as world:
        await world.publish(ADA, b"1", callback="orders", message_id="m1")
        slow, quick = world.device("slow"), world.device("quick")
        slow.processing = False
        slow.connect()
        await settle()
        assert ear.outcomes() == []
        quick.connect()
        await settle()
        assert ear.outcomes() == [(1, "processed", "quick")]
        [(_, data)] = ear.told
        assert data["message_id"] == "m1"
        assert data["received_by"] == ["slow", "quick"]
        await passes(0.2)
        assert len(world.service.outcomes) == 0
        assert KIND not in {kind for kind, _ in world.disk.documents}


@simulated
async def test_at_its_end_it_was_delivered_or_not() -> None:
    ear = Ear("oplog.undelivered")
    async with World(listener=ear) as world:
        until_ms = world.clock.wall_ms() + 10_000
        await world.publish(ADA, b"1", callback="orders", valid_until_ms=until_ms)
        phone = world.device()
        phone.processing = False
        phone.connect()
        await settle()
        await world.publish("user:nobody", b"2", callback="orders", valid_until_ms=until_ms)
        await world.publish("user:nobody", b"3", valid_until_ms=until_ms)
        await passes(11)
        await world.service.trim()
        ends = sorted((outcome, device) for _, outcome, device in ear.outcomes())
        assert ends == [("delivered", ""), ("undelivered", "")]
        missed = [data["id"] for kind, data in ear.told if kind == "oplog.undelivered"]
        assert sorted(missed) == [1, 2]


@simulated
async def test_what_a_device_was_passed_over_it_has_not_processed() -> None:
    ear = Ear("oplog.processed", "oplog.delivered")
    async with World(listener=ear) as world:
        await world.publish(ADA, b"1", callback="orders", os=("ios",))
        await world.publish(ADA, b"2")
        await world.online()
        assert ear.outcomes() == []
        told = [(kind, data["ids"]) for kind, data in ear.told]
        assert told == [("oplog.delivered", [[2, 2]]), ("oplog.processed", [[2, 2]])]
        assert ear.told[0][1] | {"ids": 0} == {
            "biz": "CHAT",
            "target": ADA,
            "device": "d1",
            "user": "u1",
            "lap": 0,
            "ids": 0,
        }


@simulated
async def test_a_recalled_oplog_ends_so() -> None:
    ear = Ear()
    async with World(listener=ear) as world:
        await world.publish(ADA, b"1", callback="orders")
        await world.service.interventions.recall(CHAT, 1)
        await world.online()
        assert ear.outcomes() == [(1, "recalled", "")]


@simulated
async def test_what_is_awaited_survives_a_crash() -> None:
    disk = Disk((7,))
    async with World(disk=disk) as world:
        world.service.outcomes._listener = Ear()
        await world.publish(ADA, b"1", callback="orders")
        phone = world.device()
        phone.processing = False
        phone.connect()
        await passes(0.2)
        world.store.kill()
    ear = Ear()
    async with World(disk=disk, listener=ear) as again:
        assert len(again.service.outcomes) == 1
        phone.sessions = again.sessions
        phone.connect()
        await settle()
        point = phone.points["CHAT", ADA]
        phone.points["CHAT", ADA] = point.__class__("CHAT", ADA, point.epoch, 1, 1)
        phone.ack()
        await settle()
        assert ear.outcomes() == [(1, "processed", "d1")]


@simulated
async def test_a_callback_needs_a_webhook_and_somebody_to_wait_for() -> None:
    async with World(listener=Ear()) as world:
        assert isinstance(await _refusal(world, callback="nobody"), NotFound)
        refused = await _refusal(world, target="everyone", callback="orders")
        assert isinstance(refused, InvalidRequest)
        assert len(world.service.outcomes) == 0


@simulated
async def test_no_more_than_so_many_are_awaited() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outcomes, "WAITING_MAX", 2)
        async with World(listener=Ear("oplog.undelivered")) as world:
            await world.publish(ADA, b"1", b"2", callback="orders")
            with pytest.raises(Overloaded):
                await world.publish(ADA, b"3", callback="orders")
            await world.publish(ADA, b"4")
            assert len(world.service.outcomes) == 2


@simulated
async def test_many_that_end_at_once_are_told_in_slices() -> None:
    ear = Ear()
    async with World(listener=ear) as world:
        until_ms = world.clock.wall_ms() + 1_000
        many = outcomes.DUE_MAX + 5
        for _ in range(0, many, 67):
            await world.publish(ADA, *[b"x"] * 67, callback="orders", valid_until_ms=until_ms)
        await passes(2)
        await world.service.trim()
        assert len(ear.outcomes()) == -(-many // 67) * 67
