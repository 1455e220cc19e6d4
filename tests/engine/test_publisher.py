"""Publish: all or nothing, durable when answered, woken afterwards whatever the caller does."""

import asyncio
from dataclasses import replace

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import (
    BizOffline,
    InvalidRequest,
    OutcomeUnknown,
    Overloaded,
    StoreUnavailable,
    TooLarge,
    UnknownApp,
    UnknownBiz,
)
from mobilesync.engine.options import PublisherLimits
from mobilesync.engine.publication import InvalidBatch, Publication
from mobilesync.engine.slices import SLICE
from mobilesync.protocol import messages as m
from tests.engine.world import APP, Gate, World, options, passes, settle, simulated

CHAT = ("CHAT", "user:u1")


def _item(payload: bytes = b"x", biz: str = "CHAT", target: str = "user:u1") -> Publication:
    return Publication(biz=biz, target=target, payload=payload)


@simulated
async def test_ids_follow_the_order_of_the_items() -> None:
    async with World() as world:
        published = await world.service.publisher.publish(
            APP, [_item(b"1"), _item(b"a", target="everyone"), _item(b"2"), _item(b"3")]
        )
        assert [each.id for each in published] == [1, 1, 2, 3]
        assert len({each.message_id for each in published}) == 4
        device = await world.online()
        assert device.got(*CHAT) == [b"1", b"2", b"3"]
        assert world.metrics.publishes == 1
        assert world.metrics.oplogs_appended == 4


@simulated
async def test_message_ids_that_were_made_are_nobody_elses_and_are_found() -> None:
    async with World() as world:
        here = await world.publish("user:u1", b"1")
        there = await world.publish("user:u2", b"1")
        assert here[0].message_id != there[0].message_id
        assert await world.store.find(Channel(APP, *CHAT), here[0].message_id) == 1
        with pytest.raises(InvalidRequest, match="invalid item"):
            await world.publish("user:u1", b"1", message_id=here[0].message_id)


@simulated
async def test_what_was_noted_of_a_refused_publish_is_forgotten() -> None:
    gate = Gate()
    gate.open()

    async def sync() -> None:
        await gate.passed()

    async with World(sync=sync) as world:
        world.store._queue_bytes_max = 2_000
        device = await world.online()
        gate = Gate()
        first = asyncio.create_task(world.publish("user:u1", b"1" * 1_500))
        await settle()
        with pytest.raises(Overloaded):
            await world.publish("user:u1", b"refused" * 200)
        gate.open()
        await first
        await world.publish("user:u1", b"2")
        await settle()
        assert device.got(*CHAT) == [b"1" * 1_500, b"2"]


@simulated
async def test_the_same_message_id_is_the_same_oplog() -> None:
    async with World() as world:
        device = await world.online()
        one = await world.publish("user:u1", b"1", message_id="m")
        two = await world.publish("user:u1", b"1 again", message_id="m")
        elsewhere = await world.publish("everyone", b"2", message_id="m")
        assert [(p.id, p.duplicate) for p in (*one, *two, *elsewhere)] == [
            (1, False),
            (1, True),
            (1, False),
        ]
        await settle()
        assert device.got(*CHAT) == [b"1"]
        assert world.metrics.oplogs_duplicate == 1
        assert world.metrics.oplogs_appended == 2


@simulated
async def test_the_answer_comes_after_the_sync() -> None:
    gate = Gate()
    gate.open()

    async def sync() -> None:
        await gate.passed()

    async with World(sync=sync) as world:
        device = await world.online()
        gate = Gate()
        publishing = asyncio.ensure_future(world.publish("user:u1", b"1"))
        await settle()
        assert not publishing.done()
        assert device.got(*CHAT) == []
        gate.open()
        assert (await publishing)[0].id == 1
        await settle()
        assert device.got(*CHAT) == [b"1"]


@simulated
async def test_a_cancelled_publish_is_pushed_all_the_same() -> None:
    gate = Gate()
    gate.open()

    async def sync() -> None:
        await gate.passed()

    async with World(sync=sync) as world:
        device = await world.online()
        gate = Gate()
        publishing = asyncio.ensure_future(world.publish("user:u1", b"1"))
        await settle()
        publishing.cancel()
        await settle()
        gate.open()
        await settle()
        assert device.got(*CHAT) == [b"1"]
        assert not world.service.publisher._followed


@simulated
async def test_stop_gives_up_what_cancelled_publishes_wait_for() -> None:
    gate = Gate()
    gate.open()

    async def sync() -> None:
        await gate.passed()

    async with World(sync=sync) as world:
        gate = Gate()
        publishing = asyncio.ensure_future(world.publish("user:u1", b"1"))
        await settle()
        publishing.cancel()
        await settle()
        assert world.service.publisher._followed
        await world.service.stop()
        assert not world.service.publisher._followed
        gate.open()


@simulated
async def test_an_unknown_outcome_is_told_and_what_was_stored_is_pushed() -> None:
    broken = False

    async def sync() -> None:
        if broken:
            raise OSError("the disk is gone")

    async with World(sync=sync) as world:
        broken = True
        with pytest.raises(OutcomeUnknown):
            await world.publish("user:u1", b"1")
        with pytest.raises(StoreUnavailable):
            await world.publish("user:u1", b"2")
        assert world.metrics.publishes_refused == {"OUTCOME_UNKNOWN": 1, "STORE_UNAVAILABLE": 1}


# What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong, field",
    [
        (Publication(biz="no name", target="everyone", payload=b""), "biz"),
        (Publication(biz="CHAT", target="nobody", payload=b""), "target"),
        (Publication(biz="CHAT", target="user:", payload=b""), "user"),
        (Publication(biz="CHAT", target="everyone", payload=b"x" * 65537), "payload"),
        (Publication(biz="CHAT", target="everyone", payload=b"", message_id="a\n"), "message_id"),
        (
            Publication(biz="CHAT", target="everyone", payload=b"", valid_until_ms=1),
            "valid_until_ms",
        ),
        (Publication(biz="CHAT", target="everyone", payload=b"", os=("",)), "os"),
        (
            Publication(biz="CHAT", target="everyone", payload=b"", app_version_min="x"),
            "app_version",
        ),
        (Publication(biz="OFF", target="everyone", payload=b""), "biz"),
    ],
)
def test_one_wrong_item_refuses_the_whole_call(wrong: Publication, field: str) -> None:
    @simulated
    async def scenario() -> None:
        async with World() as world:
            await world.config("OFF", status="offline")
            before = dict(world.disk.documents)
            items = [_item(), wrong, _item(biz="NEW"), wrong]
            with pytest.raises(InvalidBatch) as caught:
                await world.service.publisher.publish(APP, items)
            assert [index for index, _ in caught.value.items] == [1, 3]
            assert {error.field for _, error in caught.value.items} == {field}
            assert all(error.hint for _, error in caught.value.items)
            assert world.disk.oplogs == {}
            assert world.disk.documents == before, "not even a biz came into being"
            assert world.metrics.publishes_refused == {"INVALID_BATCH": 1}

    scenario()


@simulated
async def test_unknown_apps_and_bizzes() -> None:
    async with World(replace(options(), create_biz_on_first_use=False)) as world:
        with pytest.raises(UnknownApp):
            await world.publish("everyone", b"", app="nowhere")
        with pytest.raises(InvalidRequest):
            await world.publish("everyone", b"", app="NOT A NAME")
        with pytest.raises(InvalidBatch) as caught:
            await world.publish("everyone", b"", biz="NEW")
        assert isinstance(caught.value.items[0][1], UnknownBiz)


@simulated
async def test_an_offline_biz_refuses_publishes() -> None:
    async with World() as world:
        await world.config("CHAT", status="offline")
        with pytest.raises(InvalidBatch) as caught:
            await world.publish("everyone", b"")
        assert isinstance(caught.value.items[0][1], BizOffline)


@simulated
async def test_bounds_of_a_call() -> None:
    limits = PublisherLimits(payload_bytes_max=10, batch_items_max=3, batch_bytes_max=25)
    async with World(replace(options(), publisher=limits)) as world:
        publish = world.service.publisher.publish
        with pytest.raises(InvalidRequest, match="nothing to publish"):
            await publish(APP, [])
        await publish(APP, [_item(b"x" * 10), _item(b"x" * 10), _item(b"x" * 5)])
        for items in ([_item()] * 4, [_item(b"x" * 9)] * 3):
            with pytest.raises(TooLarge) as caught:
                await publish(APP, items)
            assert caught.value.hint
        with pytest.raises(InvalidBatch) as wrong:
            await publish(APP, [_item(b"x" * 11)])
        assert isinstance(wrong.value.items[0][1], TooLarge)


@simulated
async def test_the_rate_is_each_apps_own() -> None:
    limits = PublisherLimits(rate_per_s=10.0, burst=20, batch_items_max=20)
    async with World(replace(options(), publisher=limits)) as world:
        await world.publish("everyone", *[b"x"] * 20)
        with pytest.raises(Overloaded) as caught:
            await world.publish("everyone", *[b"x"] * 5)
        assert caught.value.retry_after_s == pytest.approx(0.5)
        await world.publish("everyone", b"x", app="other")
        await passes(0.51)
        await world.publish("everyone", *[b"x"] * 5)
        assert world.metrics.publishes_refused == {"OVERLOADED": 1}


@simulated
async def test_a_full_store_refuses_and_stores_nothing() -> None:
    gate = Gate()
    gate.open()

    async def sync() -> None:
        await gate.passed()

    async with World(sync=sync) as world:
        world.store._queue_bytes_max = 1000
        gate = Gate()
        waiting: list[asyncio.Future[object]] = []
        for _ in range(10):
            waiting.append(asyncio.ensure_future(world.publish("everyone", b"x" * 100)))
            await settle()
        gate.open()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, Overloaded)]
        stored = world.disk.oplogs[Channel(APP, "CHAT", "everyone")]
        assert len(stored) == 10 - len(refused)
        assert refused
        assert all(error.retry_after_s > 0 for error in refused)


# When oplogs end -----------------------------------------------------------------------------


@pytest.mark.parametrize("until_s, by_retention", [(None, True), (30, False), (3600, True)])
def test_retention_or_validity_ends_an_oplog(until_s: int | None, by_retention: bool) -> None:
    @simulated
    async def scenario() -> None:
        async with World() as world:
            await world.config("CHAT", retention_s=60)
            now_ms = world.clock.wall_ms()
            until_ms = None if until_s is None else now_ms + until_s * 1000
            await world.publish("everyone", b"", valid_until_ms=until_ms)
            (oplog,) = world.disk.oplogs[Channel(APP, "CHAT", "everyone")]
            assert oplog.expires_by_retention is by_retention
            assert oplog.expires_at_ms == now_ms + min(until_s or 60, 60) * 1000

    scenario()


# Notices -------------------------------------------------------------------------------------


@simulated
async def test_notices_go_to_who_is_online_and_are_not_stored() -> None:
    async with World() as world:
        await world.config("TYPING", persistent=False)
        one, two, other = [await world.online(f"d{n}", u) for n, u in enumerate(("u1", "u1", "u2"))]
        (published,) = await world.publish("user:u1", b"...", biz="TYPING")
        await settle()
        assert published.id == 0
        assert published.message_id
        for device in (one, two):
            (notice,) = device.all(m.Notice)
            assert isinstance(notice, m.Notice)
            assert (notice.biz, notice.target, notice.payload) == ("TYPING", "user:u1", b"...")
        assert other.all(m.Notice) == []
        assert world.disk.oplogs == {}
        assert world.metrics.notices == 2
        late = await world.online("d9", "u1")
        assert late.all(m.Notice) == []


@simulated
async def test_a_batch_may_hold_both() -> None:
    async with World() as world:
        await world.config("TYPING", persistent=False)
        device = await world.online()
        published = await world.service.publisher.publish(
            APP, [_item(b"1"), _item(b"...", biz="TYPING"), _item(b"2")]
        )
        await settle()
        assert [each.id for each in published] == [1, 0, 2]
        assert device.got(*CHAT) == [b"1", b"2"]
        assert len(device.all(m.Notice)) == 1


@simulated
async def test_a_notice_to_many_does_not_hold_up_the_loop() -> None:
    async with World() as world:
        await world.config("TYPING", persistent=False)
        for number in range(SLICE * 2 + 1):
            world.device(f"d{number}").connect()
        await settle()
        publishing = asyncio.ensure_future(world.publish("everyone", b"...", biz="TYPING"))
        reached: list[int] = []
        while not publishing.done():
            await asyncio.sleep(0)
            reached.append(world.metrics.notices)
        assert {SLICE, SLICE * 2} <= set(reached)
        assert world.metrics.notices == SLICE * 2 + 1
