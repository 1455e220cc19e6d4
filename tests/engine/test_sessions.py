"""All sessions: one for each device, bounded, found while they live and by nobody after."""

import asyncio
import gc
import tracemalloc

from mobilesync.engine.session import Session
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.connection import Connection
from mobilesync.protocol.transitions import Role
from tests.engine.device import Device
from tests.engine.world import APP, World, options, passes, settle, simulated

CHAT = ("CHAT", "user:u1")


@simulated
async def test_a_second_connection_replaces_the_first() -> None:
    async with World() as world:
        first, second = await world.online(), await world.online()
        assert first.close_code() is CloseCode.REPLACED
        close = first.close()
        assert close is not None
        assert close.retry_after_ms >= 5000
        assert close.retry_spread_ms > 0
        assert len(world.sessions) == 1
        assert world.sessions.of_device(APP, "d1") is second.session
        await world.publish("user:u1", b"1")
        await settle()
        assert second.got(*CHAT) == [b"1"]
        assert first.pushes() == []


@simulated
async def test_the_late_end_of_a_replaced_session_does_not_touch_the_new_one() -> None:
    async with World() as world:
        first = await world.online()
        first.link.hold()
        second = await world.online()
        first.link.lose()
        await settle()
        assert world.sessions.of_device(APP, "d1") is second.session
        assert world.sessions.of_user(APP, "u1") == [second.session]


@simulated
async def test_the_same_device_id_in_two_apps_is_two_devices() -> None:
    async with World() as world:
        one = await world.online()
        two = world.device(app="other")
        two.connect()
        await settle()
        assert not one.closed
        assert two.welcomed
        await world.publish("everyone", b"1")
        await settle()
        assert two.pushes() == []


@simulated
async def test_sessions_are_found_by_device_and_user() -> None:
    async with World() as world:
        one, two, other = [
            await world.online(f"d{n}", u) for n, u in enumerate(("u1", "u1", "u2"), 1)
        ]
        waiting = world.device("d9")
        waiting.dial()
        assert world.sessions.of_user(APP, "u1") == [one.session, two.session]
        assert world.sessions.of_user("other", "u1") == []
        assert world.sessions.of_device(APP, "d3") is other.session
        assert world.sessions.of_device(APP, "d9") is None
        assert len(world.sessions) == 4


@simulated
async def test_kick_ends_a_session_for_good_reason() -> None:
    async with World() as world:
        device = await world.online()
        assert not world.sessions.kick(APP, "d2")
        assert world.sessions.kick(APP, "d1", "the account was closed")
        await settle()
        close = device.close()
        assert close is not None
        assert (close.code, close.reason) == (CloseCode.LOGGED_OUT, "the account was closed")
        assert not world.sessions.kick(APP, "d1")


@simulated
async def test_there_is_room_for_so_many_and_no_more() -> None:
    async with World(options(sessions_max=3)) as world:
        devices = [await world.online(f"d{number}") for number in range(3)]
        for _ in range(5):
            more = world.device("more")
            session = more.dial()
            await settle()
            assert more.close_code() is CloseCode.OVERLOADED
            close = more.close()
            assert close is not None
            assert close.retry_after_ms > 0
            assert close.retry_spread_ms > 0
            assert session.has_ended()
        assert len(world.sessions) == 3
        devices[0].link.lose()
        await settle()
        assert (await world.online("more")).welcomed


@simulated
async def test_the_refused_may_take_their_time_to_read_why() -> None:
    async with World(options(sessions_max=1, close_linger_s=5.0)) as world:
        await world.online()
        slow, stuck = world.device("d2"), world.device("d3")
        for device in (slow, stuck):
            device.dial()
            device.link.hold()
        await passes(4.0)
        slow.link.release()
        await settle()
        assert slow.close_code() is CloseCode.OVERLOADED
        await passes(3.0)
        assert stuck.link.aborted


@simulated
async def test_an_ended_session_is_let_go() -> None:
    async with World() as world:
        for number in range(6):
            device = await world.online(f"d{number}")
            await world.publish("everyone", b"x")
            await settle()
            assert device.session is not None
            if number % 2:
                device.link.lose()
            else:
                device.session.close(CloseCode.INTERNAL)
            del device
        await settle()
        assert world.forgotten()
        await passes(60.0)
        gc.collect()
        assert len(world.sessions._wheel) == 0
        mine = [each for each in gc.get_objects() if isinstance(each, Session)]
        assert [each for each in mine if each.house is world.sessions] == []


@simulated
async def test_an_ended_session_holds_nothing_while_the_wheel_has_it() -> None:
    async with World() as world:
        device = await world.online()
        device.acking = False
        await world.publish("user:u1", b"x" * 10_000)
        await settle()
        device.send(b"\x00\x02\x00\x00" + b"x" * 100_000)
        session = device.session
        assert session is not None
        assert session.conversation._reader.buffered_bytes > 100_000
        device.link.lose()
        await settle()
        assert len(world.sessions._wheel) == 1
        held = (session.cursors, session.behind, session.skipped, session.commands)
        assert [len(each) for each in held] == [0] * 4
        assert session.conversation._reader.buffered_bytes == 0


# Sweep --------------------------------------------------------------------------------------


@simulated
async def test_each_session_is_swept_once_in_a_round_whoever_comes_and_goes() -> None:
    async with World() as world:
        stayers = [await world.online(f"s{number}") for number in range(30)]
        goers = [await world.online(f"g{number}") for number in range(30)]
        met: list[Session] = []
        for number in range(12):
            met += world.sessions.slice(number, 12)
            # One of the older goes and one comes after each slice: places in a list would shift.
            goers[number].link.lose()
            await settle()
            await world.online(f"n{number}")
        counts = [met.count(device.session) for device in stayers if device.session]
        assert counts == [1] * 30


@simulated
async def test_lost_wakes_are_healed_by_looking_at_everything() -> None:
    async with World() as world:
        device = await world.online()
        world.waker.deaf = True
        for target in ("user:u1", "device:d1", "everyone"):
            await world.publish(target, b"x")
        await settle()
        assert device.pushes() == []
        (session,) = world.sessions.slice(0, 1)
        world.sessions.wake_all_targets(session)
        await settle()
        assert {push.target for push in device.pushes()} == {"user:u1", "device:d1", "everyone"}


@simulated
async def test_only_the_sessions_of_the_app_are_woken() -> None:
    async with World() as world:
        one = await world.online()
        two = world.device("d2", app="other")
        two.connect()
        await settle()
        world.waker.deaf = True
        await world.publish("everyone", b"x")
        await world.publish("everyone", b"x", app="other")
        await settle()
        world.sessions.wake_app(APP)
        await settle()
        assert len(one.pushes()) == 1
        # The other app's biz came into being with its first publish, which wakes it once.
        assert {push.target for push in two.pushes()} <= {"everyone"}


# Drain --------------------------------------------------------------------------------------


@simulated
async def test_drain_tells_some_at_a_time() -> None:
    async with World() as world:
        devices = [await world.online(f"d{number}") for number in range(10)]
        waiting = world.device("d99")
        waiting.dial()
        assert world.sessions.drain(20_000, 4) == 7
        await settle()
        assert sum(device.closed for device in devices) == 4
        late = world.device("late")
        late.dial()
        await settle()
        assert late.close_code() is CloseCode.DRAINING
        assert world.sessions.drain(20_000, 99) == 0
        await settle()
        for device in (*devices, waiting):
            close = device.close()
            assert close is not None
            assert (close.code, close.retry_spread_ms) == (CloseCode.DRAINING, 20_000)


@simulated
async def test_nobody_gets_in_after_stop() -> None:
    async with World() as world:
        await world.online()
        await world.sessions.stop()
        late = world.device("late")
        late.dial()
        await settle()
        assert late.close_code() is CloseCode.DRAINING
        assert world.forgotten()


# Size ---------------------------------------------------------------------------------------

IDLE_BYTES_MAX = 3_700
"""Of the engine, for a session with a user and one channel; the link and its TLS are extra."""


@simulated
async def test_an_idle_session_is_small_and_has_no_task() -> None:
    async with World() as world:
        await world.publish("everyone", b"x")
        await _idle(world, 0, 50)
        tasks = len(asyncio.all_tasks())
        gc.collect()
        tracemalloc.start(1)
        before = _traced()
        kept = await _idle(world, 50, 250)
        # What is known of each device is the disk's, once it is written there.
        await passes(0.2)
        world.disk.documents.clear()
        after = _traced()
        tracemalloc.stop()
        each = (after - before) / len(kept)
        assert 1_000 < each < IDLE_BYTES_MAX
        assert len(asyncio.all_tasks()) == tasks


def _traced() -> int:
    gc.collect()
    ours = [tracemalloc.Filter(True, f"*/mobilesync/{layer}/*") for layer in ENGINE]
    statistics = tracemalloc.take_snapshot().filter_traces(ours).statistics("filename")
    return sum(statistic.size for statistic in statistics)


ENGINE = ("engine", "protocol", "domain")


async def _idle(world: World, begin: int, end: int) -> list[Device]:
    devices = [world.device(f"device-{n}", f"user-{n}") for n in range(begin, end)]
    for device in devices:
        device.connect()
    await settle()
    for device in devices:
        assert device.received("CHAT", "everyone") == 1
        # The device's half of the conversation is not the server's to pay for.
        device.heard.clear()
        device.saved.clear()
        device.points.clear()
        device._connection = SPARE
        device.link.deliver = lambda data: None
    return devices


SPARE = Connection(Role.CLIENT)
