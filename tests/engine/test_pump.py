"""The pump: everything in order to everybody, nobody forgotten, nobody served at others' cost."""

import asyncio

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import StoreUnavailable
from mobilesync.engine.session import Session
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import CloseCode
from tests.engine.world import APP, Gate, World, failing, options, passes, settle, simulated

CHAT = ("CHAT", "user:u1")


def _numbers(count: int, begin: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(begin, begin + count)]


@simulated
async def test_live_and_backlog_are_one() -> None:
    async with World(options(push_count=7)) as world:
        await world.publish("user:u1", *_numbers(50))
        device = world.device()
        device.connect()
        await world.publish("user:u1", *_numbers(50, 50))
        await settle()
        assert device.got(*CHAT) == _numbers(100)


@simulated
async def test_nothing_new_sends_nothing() -> None:
    async with World() as world:
        device = await world.online()
        await world.publish("user:u2", b"not mine")
        await world.publish("device:d2", b"not mine")
        await world.publish("everyone", b"not mine", app="other")
        writes = device.link.writes
        world.sessions.wake_all_targets(_session(world))
        await passes(50.0)
        assert device.link.writes == writes


@simulated
async def test_channels_merge_into_one_write() -> None:
    async with World() as world:
        for biz in ("A", "B", "C"):
            for target in ("user:u1", "device:d1", "everyone"):
                await world.publish(target, b"x", biz=biz)
        device = world.device()
        device.connect()
        await settle()
        assert len(device.pushes()) == 9
        assert device.link.writes == 2, "Welcome, and all pushes"


@simulated
async def test_many_wakes_are_one_turn() -> None:
    async with World() as world:
        await world.online()
        before = world.metrics.pump_turns
        for _ in range(100):
            world.waker.wake(APP, "user:u1")
        await settle()
        assert world.metrics.pump_turns - before <= 2


# Bounds -------------------------------------------------------------------------------------


@simulated
async def test_the_window_bounds_what_is_under_way() -> None:
    async with World(options(window_count=10, push_count=4)) as world:
        device = await world.online()
        device.acking = False
        await world.publish("user:u1", *_numbers(35))
        sizes: list[int] = []
        while device.received(*CHAT) < 35:
            await settle()
            sizes.append(device.received(*CHAT))
            assert _session(world).window.count <= 10
            device.ack()
            await settle()
        assert sizes == [10, 20, 30]
        assert device.got(*CHAT) == _numbers(35)


@simulated
async def test_the_window_bounds_bytes_too() -> None:
    async with World(options(window_bytes=1000, push_bytes=1000)) as world:
        device = await world.online()
        device.acking = False
        await world.publish("user:u1", *[b"x" * 300] * 10)
        await settle()
        assert 0 < _session(world).window.bytes <= 1000 + 300
        while device.received(*CHAT) < 10:
            device.ack()
            await settle()
        assert len(device.got(*CHAT)) == 10


@simulated
async def test_an_oplog_larger_than_the_window_goes_alone() -> None:
    async with World(options(window_bytes=100, push_bytes=100)) as world:
        device = await world.online()
        device.acking = False
        await world.publish("user:u1", b"x" * 5000, b"y" * 5000)
        await settle()
        assert device.received(*CHAT) == 1
        device.ack()
        await settle()
        assert device.received(*CHAT) == 2


@simulated
async def test_a_closed_window_does_not_stop_other_sessions() -> None:
    async with World(options(window_count=2, push_count=1)) as world:
        stuck, other = await world.online("d1"), await world.online("d2")
        stuck.acking = False
        await world.publish("user:u1", *_numbers(20))
        await settle()
        assert stuck.received(*CHAT) == 2
        assert other.received(*CHAT) == 20


@simulated
async def test_a_full_link_waits_until_it_has_drained() -> None:
    async with World(options(push_bytes=50_000)) as world:
        device = await world.online()
        device.link.hold()
        await world.publish("user:u1", *[b"x" * 40_000] * 10)
        await settle()
        chosen = world.sessions.options
        most = chosen.buffered_bytes_max + chosen.push_bytes + 50_000
        assert chosen.buffered_bytes_max < device.link.buffered_bytes() <= most
        assert _session(world).behind
        device.link.release()
        await settle()
        assert len(device.got(*CHAT)) == 10
        assert device.link.most_buffered <= most


@simulated
async def test_a_link_that_drains_is_enough_without_any_ack() -> None:
    async with World(options(window_bytes=10**6)) as world:
        device = await world.online()
        device.acking = False
        device.link.hold()
        await world.publish("user:u1", *[b"x" * 40_000] * 10)
        await settle()
        assert _session(world).behind
        device.link.release()
        await settle()
        assert len(device.got(*CHAT)) == 10


@simulated
async def test_turns_follow_each_other_without_any_ack() -> None:
    async with World(options(push_bytes=100)) as world:
        device = await world.online()
        device.acking = False
        await world.publish("user:u1", *_numbers(200))
        await settle()
        assert device.got(*CHAT) == _numbers(200)


# Fairness -----------------------------------------------------------------------------------


@simulated
async def test_a_huge_backlog_does_not_hold_up_live_sessions() -> None:
    async with World(options(push_bytes=1000, push_count=5, messages_per_s_max=9999)) as world:
        for _ in range(2):
            await world.publish("user:slow", *[b"x" * 200] * 1000)
        live, greedy = await world.online("d1", "u1"), world.device("d2", "slow")
        gate = world.store.hold("read")
        greedy.connect()
        await settle()
        await world.publish("user:u1", b"live")
        gate.open()
        while not live.received(*CHAT):
            await asyncio.sleep(0)
        assert greedy.received("CHAT", "user:slow") < 1000, "one turn, not the whole backlog"
        await settle()
        assert greedy.received("CHAT", "user:slow") == 2000


@simulated
async def test_a_channel_with_a_long_backlog_holds_up_no_other() -> None:
    async with World(options(window_count=20, push_count=5)) as world:
        await world.publish("user:u1", *_numbers(1000), biz="BULK")
        await world.publish("user:u1", b"urgent", biz="ALERT")
        device = world.device()
        device.acking = False
        device.connect()
        await settle()
        assert device.received("BULK", "user:u1") < 1000
        assert device.got("ALERT", "user:u1") == [b"urgent"]


@simulated
async def test_a_payment_does_not_wait_behind_a_week_of_chat() -> None:
    async with World(options(push_count=2, window_count=2)) as world:
        await world.config("CHAT")
        await world.config("PAYMENT", priority=5)
        texts = [b"%d" % number for number in range(10)]
        await world.publish("user:u1", *texts)
        await world.publish("user:u1", b"1", b"2", b"3", biz="PAYMENT")
        device = await world.online()
        await settle()
        pushes = [(p.biz, len(p.oplogs)) for p in device.all(m.Push) if isinstance(p, m.Push)]
        assert pushes[:3] == [("PAYMENT", 2), ("PAYMENT", 1), ("CHAT", 1)]
        assert device.got(*CHAT) == texts


@simulated
async def test_a_lower_priority_waits_and_arrives_all_the_same() -> None:
    async with World(options(push_count=2, window_count=2)) as world:
        await world.config("CHAT", priority=-1)
        await world.publish("user:u1", b"1")
        await world.publish("user:u1", b"1", b"2", biz="NEWS")
        device = await world.online()
        await settle()
        assert [p.biz for p in device.all(m.Push) if isinstance(p, m.Push)] == ["NEWS", "CHAT"]


@simulated
async def test_sockets_are_served_between_turns() -> None:
    """With a store that never waits, the loop must turn all the same."""
    async with World() as world:
        devices = [world.device(f"d{number}") for number in range(900)]
        for device in devices:
            device.connect()
        await settle()
        await world.publish("everyone", b"x")
        seen: set[int] = set()
        while world.metrics.pushes < 900:
            await asyncio.sleep(0)
            seen.add(world.metrics.pushes)
        assert len(seen) >= 3
        await settle()
        assert all(device.received("CHAT", "everyone") == 1 for device in devices)


# Trouble ------------------------------------------------------------------------------------


@simulated
async def test_a_store_that_cannot_be_read_sends_devices_away_for_a_while() -> None:
    async with World() as world:
        device = await world.online()

        async def refuse(name: str) -> None:
            raise StoreUnavailable("the disk is gone", retry_after_s=3.0)

        world.store.before = refuse
        await world.publish("user:u1", b"1")
        await settle()
        close = device.close()
        assert close is not None
        assert CloseCode(close.code) is CloseCode.STORE_UNAVAILABLE
        assert close.retry_after_ms == 3000
        assert close.retry_spread_ms > 0
        world.store.before = None
        device.connect()
        await settle()
        assert device.got(*CHAT) == [b"1"]


@failing("pump_failed")
async def test_a_bug_ends_one_session_and_no_worker() -> None:
    async with World() as world:
        bad, good = await world.online("d1"), await world.online("d2", "u2")
        for _ in range(world.service.options.pump_workers + 1):
            session = bad.session
            assert session is not None
            session.cursors[Channel(APP, *CHAT)] = "bug"  # type: ignore[assignment]  # that is it
            await world.publish("user:u1", b"x")
            await settle()
            assert bad.close_code() is CloseCode.INTERNAL
            bad.connect()
            await settle()
        await world.publish("user:u2", b"x")
        await settle()
        assert good.received("CHAT", "user:u2") == 1


@simulated
async def test_a_link_lost_in_the_middle_of_a_turn() -> None:
    async with World() as world:
        for name in ("heads", "read"):
            device = await world.online()
            gate = world.store.hold(name)
            await world.publish("user:u1", b"x")
            await settle()
            device.link.lose()
            await settle()
            gate.open()
            await settle()
            assert world.forgotten()


@simulated
async def test_a_session_is_pumped_by_one_worker_at_a_time() -> None:
    async with World() as world:
        device = await world.online()
        gate = world.store.hold("read", count=10)
        await world.publish("user:u1", b"1")
        await settle()
        for payload in (b"2", b"3", b"4"):
            await world.publish("user:u1", payload)
            await settle()
        assert gate.waiting == 1
        gate.open()
        await settle()
        assert device.got(*CHAT) == [b"1", b"2", b"3", b"4"]


@simulated
async def test_a_wake_during_a_turn_is_not_lost() -> None:
    async with World() as world:
        device = await world.online()
        for name in ("heads", "read"):
            gate = world.store.hold(name)
            await world.publish("user:u1", b"x")
            await settle()
            await world.publish("user:u1", b"y")
            await world.publish("everyone", b"z")
            await settle()
            gate.open()
            await settle()
        assert device.got(*CHAT) == [b"x", b"y"] * 2
        assert device.got("CHAT", "everyone") == [b"z"] * 2


@simulated
async def test_a_slow_session_of_the_store_leaves_workers_for_others() -> None:
    async with World() as world:
        one, two = await world.online("d1", "u1"), await world.online("d2", "u2")
        gate = world.store.hold("read")
        await world.publish("user:u1", b"1")
        await settle()
        await world.publish("user:u2", b"2")
        await settle()
        assert (one.received("CHAT", "user:u1"), two.received("CHAT", "user:u2")) == (0, 1)
        gate.open()
        await settle()
        assert one.received("CHAT", "user:u1") == 1


@simulated
async def test_a_store_whose_reads_lag_does_not_make_it_spin() -> None:
    async with World() as world:
        device = await world.online()
        channel = Channel(APP, *CHAT)
        await world.publish("user:u1", b"1")
        await settle()
        _session(world).behind[channel] = 5
        world.sessions.pump.ready(_session(world))
        await settle()
        assert not _session(world).behind
        await world.publish("user:u1", b"2")
        await settle()
        assert device.got(*CHAT) == [b"1", b"2"]


# Many at once -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["heads", "read"])
def test_stop_in_the_middle_of_a_turn(name: str) -> None:
    @simulated
    async def scenario() -> None:
        async with World() as world:
            device = await world.online()
            gate: Gate = world.store.hold(name)
            await world.publish("user:u1", b"x")
            await settle()
            await world.service.stop()
            gate.open()
            await settle()
            assert device.close_code() is CloseCode.DRAINING
            assert device.pushes() == []

    scenario()


def _session(world: World) -> Session:
    (session,) = world.sessions._open()
    return session
