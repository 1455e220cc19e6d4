"""What is not pushed: bizzes that are offline, and oplogs that have ended."""

from dataclasses import replace

from mobilesync.domain.channel import Channel
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import Skip
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import ResetReason
from tests.engine.world import APP, World, options, passes, settle, simulated

CHAT = ("CHAT", "user:u1")


async def skips(world: World) -> list[Skip]:
    """What the journal says that d1 was moved over."""
    await world.store.put_documents([])
    steps = await world.store.journal(Channel(APP, *CHAT), "d1", 0, 100)
    return [skip for step in steps for skip in step.skips]


ENDED = int(Reason.EXPIRED)


# Offline bizzes -----------------------------------------------------------------------------


@simulated
async def test_a_biz_that_is_offline_is_withheld_until_it_is_online() -> None:
    async with World() as world:
        device = await world.online()
        await world.config("ALERT")
        world.waker.deaf = True
        await world.publish("user:u1", b"1")
        await world.publish("user:u1", b"other", biz="ALERT")
        await world.config("CHAT", status="offline")
        world.waker.deaf = False
        world.waker.wake(APP, "user:u1")
        await settle()
        assert device.got("ALERT", "user:u1") == [b"other"]
        assert device.received(*CHAT) == 0
        await world.config("CHAT")
        await settle()
        assert device.got(*CHAT) == [b"1"]


@simulated
async def test_a_biz_that_goes_offline_while_a_page_is_read_is_withheld() -> None:
    async with World() as world:
        device = await world.online()
        gate = world.store.hold("read")
        await world.publish("user:u1", b"1")
        await settle()
        await world.config("CHAT", status="offline")
        gate.open()
        await settle()
        assert device.pushes() == []
        await world.config("CHAT")
        await settle()
        assert device.got(*CHAT) == [b"1"]


@simulated
async def test_a_biz_that_was_removed_offline_gives_back_its_backlog() -> None:
    async with World() as world:
        device = await world.online()
        world.waker.deaf = True
        await world.publish("user:u1", b"1")
        await world.config("CHAT", status="offline")
        world.waker.deaf = False
        await world.configs.remove(APP, "CHAT")
        await settle()
        assert device.got(*CHAT) == [b"1"]


# What has ended -----------------------------------------------------------------------------


@simulated
async def test_what_has_ended_is_not_pushed() -> None:
    async with World() as world:
        now_ms = world.clock.wall_ms()
        await world.publish("user:u1", b"short", valid_until_ms=now_ms + 1000)
        await world.publish("user:u1", b"long")
        await passes(1.0)
        device = await world.online()
        assert device.got(*CHAT) == [b"long"]


@simulated
async def test_retention_that_overtakes_a_session_is_told_by_a_reset() -> None:
    async with World() as world:
        await world.config("CHAT", retention_s=10)
        device = await world.online()
        await world.publish("user:u1", b"1")
        await settle()
        world.waker.deaf = True
        await world.publish("user:u1", b"2", b"3")
        await passes(20.0)
        await world.service.trim()
        await world.publish("user:u1", b"4")
        world.waker.deaf = False
        world.waker.wake(APP, "user:u1")
        await settle()
        (reset,) = device.all(m.Reset)
        assert isinstance(reset, m.Reset)
        assert (reset.floor, reset.reason) == (3, ResetReason.TRIMMED)
        assert device.got(*CHAT) == [b"1", b"4"]
        assert world.metrics.resets == 1
        assert await skips(world) == [Skip(2, 3, ENDED)]


@simulated
async def test_what_retention_has_ended_is_missed_even_if_it_is_not_trimmed_yet() -> None:
    for tail_bytes in (0, 1_000_000):
        async with World(replace(options(), tail_bytes=tail_bytes)) as world:
            await world.config("CHAT", retention_s=10)
            device = await world.online()
            await world.publish("user:u1", b"1")
            await settle()
            world.waker.deaf = True
            await world.publish("user:u1", b"2", b"3")
            await passes(20.0)
            await world.publish("user:u1", b"4")
            world.waker.deaf = False
            world.waker.wake(APP, "user:u1")
            await settle()
            (reset,) = device.all(m.Reset)
            assert isinstance(reset, m.Reset)
            assert (reset.floor, reset.reason) == (3, ResetReason.TRIMMED)
            assert device.got(*CHAT) == [b"1", b"4"]
            assert await skips(world) == [Skip(2, 3, ENDED)]


@simulated
async def test_a_reset_without_anything_after_it_is_told_too() -> None:
    async with World() as world:
        await world.config("CHAT", retention_s=10)
        device = await world.online()
        await world.publish("user:u1", b"1")
        await settle()
        world.waker.deaf = True
        await world.publish("user:u1", b"2")
        await passes(20.0)
        await world.service.trim()
        world.waker.deaf = False
        world.waker.wake(APP, "user:u1")
        await settle()
        assert device.received(*CHAT) == 2
        await world.publish("user:u1", b"3")
        await settle()
        assert device.got(*CHAT) == [b"1", b"3"]


@simulated
async def test_who_never_had_anything_has_missed_nothing() -> None:
    async with World() as world:
        await world.config("CHAT", retention_s=10)
        await world.publish("user:u1", b"1")
        await passes(20.0)
        await world.service.trim()
        device = await world.online()
        await world.publish("user:u1", b"2")
        await settle()
        assert device.all(m.Reset) == []
        assert device.got(*CHAT) == [b"2"]
        # But the proof says that it did not get it.
        assert await skips(world) == [Skip(1, 1, ENDED)]


@simulated
async def test_a_login_that_has_missed_something_leaves_proof_of_that() -> None:
    async with World() as world:
        await world.config("CHAT", retention_s=10)
        device = await world.online()
        await world.publish("user:u1", b"1")
        await settle()
        device.hang_up()
        await world.publish("user:u1", b"2", b"3")
        await passes(20.0)
        await world.service.trim()
        await world.publish("user:u1", b"4")
        device.connect()
        await settle()
        assert device.got(*CHAT) == [b"1", b"4"]
        assert await skips(world) == [Skip(2, 3, ENDED)]


@simulated
async def test_a_reset_does_not_make_received_what_was_passed_over_before_it() -> None:
    async with World() as world:
        await world.config("CHAT", retention_s=10)
        device = await world.online()
        device.acking = False
        await world.publish("user:u1", b"1", os=("ios",))
        await world.publish("user:u1", b"2")
        await settle()
        world.waker.deaf = True
        await world.publish("user:u1", b"3")
        await passes(20.0)
        world.waker.deaf = False
        world.waker.wake(APP, "user:u1")
        await settle()
        device.ack()
        await settle()
        assert await skips(world) == [Skip(1, 1, int(Reason.OS)), Skip(3, 3, ENDED)]
