"""What is told besides oplogs: notices, and what a device must not see."""

from mobilesync.domain.channel import Channel
from mobilesync.domain.sync_point import SyncPoint
from mobilesync.engine.session import Session
from mobilesync.protocol import messages as m
from tests.engine.device import Device
from tests.engine.world import APP, EPOCH, World, options, settle, simulated

CHAT = ("CHAT", "user:u1")


# Notices ------------------------------------------------------------------------------------


@simulated
async def test_notices_are_dropped_for_those_who_do_not_keep_up() -> None:
    async with World() as world:
        await world.config("TYPING", persistent=False)
        slow, quick = await world.online("d1"), await world.online("d2")
        slow.link.hold()
        for _ in range(10):
            await world.publish("everyone", b"x" * 20_000, biz="TYPING")
            await settle()
        assert world.metrics.notices == 10 + 3
        assert world.metrics.notices_dropped == 7
        assert slow.link.buffered_bytes() <= world.sessions.options.buffered_bytes_max
        slow.link.release()
        await settle()
        assert len(slow.all(m.Notice)) == 3
        assert len(quick.all(m.Notice)) == 10


@simulated
async def test_a_notice_of_the_largest_size_gets_through() -> None:
    async with World() as world:
        await world.config("TYPING", persistent=False)
        device = await world.online()
        payload = b"x" * world.service.options.publisher.payload_bytes_max
        await world.publish("everyone", payload, biz="TYPING")
        await settle()
        assert len(device.all(m.Notice)) == 1


@simulated
async def test_a_notice_for_the_old_user_does_not_reach_the_new_one() -> None:
    async with World() as world:
        await world.config("TYPING", persistent=False)
        device = await world.online()
        gate = world.store.hold("heads")
        device.bind("u2")
        await settle()
        await world.publish("user:u1", b"secret", biz="TYPING")
        await world.publish("user:u2", b"early", biz="TYPING")
        await world.publish("everyone", b"all", biz="TYPING")
        gate.open()
        await settle()
        await world.publish("user:u1", b"secret", biz="TYPING")
        await world.publish("user:u2", b"new", biz="TYPING")
        await settle()
        notices = [n.payload for n in device.heard if isinstance(n, m.Notice)]
        assert notices == [b"all", b"new"]
        session = device.session
        assert session is not None
        assert not session.notice("user:u1", b"frame")


# What is skipped ----------------------------------------------------------------------------


@simulated
async def test_what_a_device_must_not_see_is_told_with_the_next_pong() -> None:
    async with World() as world:
        device = await world.online()
        await world.publish("user:u1", b"1")
        await world.publish("user:u1", b"ios", os=("ios",))
        await settle()
        assert [push.upto for push in device.pushes()] == [1], "nothing is sent for a skip alone"
        device.ping()
        await settle()
        assert [(p.after, p.upto, len(p.oplogs)) for p in device.pushes()] == [(0, 1, 1), (1, 2, 0)]
        device.ping()
        await settle()
        assert len(device.pushes()) == 2
        points = await world.store.points(APP, "d1")
        assert points[Channel(APP, *CHAT)] == SyncPoint(EPOCH, 2, 2, refused=2)


@simulated
async def test_what_was_skipped_is_covered_by_the_next_push() -> None:
    async with World() as world:
        device = await world.online()
        await world.publish("user:u1", b"ios", os=("ios",))
        await settle()
        await world.publish("user:u1", b"2")
        await settle()
        assert [(p.after, p.upto) for p in device.pushes()] == [(0, 2)]
        device.ping()
        await settle()
        assert len(device.pushes()) == 1


@simulated
async def test_skips_are_not_told_ahead_of_what_the_pump_holds() -> None:
    """The pump has a frame in hand for the channel, and reads on, when a Ping comes."""
    async with World(options(push_count=1)) as world:
        device = await world.online()
        world.waker.deaf = True
        await world.publish("user:u1", b"1")
        await world.publish("user:u1", b"ios", os=("ios",))
        await world.publish("everyone", b"a", b"b")
        world.waker.deaf = False
        # Page by page in turn: 1, a, the one for ios, b.
        gate = world.store.hold("read", spare=3)
        for target in ("user:u1", "everyone"):
            world.waker.wake(APP, target)
        await settle()
        assert gate.waiting == 1
        assert _session(device).skipped
        assert device.pushes() == []
        device.ping()
        await settle()
        gate.open()
        await settle()
        device.ping()
        await settle()
        assert device.got(*CHAT) == [b"1"]
        assert device.received(*CHAT) == 2
        assert device.got("CHAT", "everyone") == [b"a", b"b"]


def _session(device: Device) -> Session:
    assert device.session is not None
    return device.session
