"""One session: every way in which the server ends it, and what a device may and may not say."""

import struct
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.domain.channel import Channel
from mobilesync.domain.sync_point import SyncPoint
from mobilesync.engine.session import Phase
from mobilesync.protocol import messages as m
from mobilesync.protocol.codec import encode
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.limits import PAYLOAD_BYTES_MAX, SERVER_FRAME_BYTES_MAX
from tests.engine.device import Device
from tests.engine.world import APP, EPOCH, World, failing, options, passes, settle, simulated

CHAT = ("CHAT", "user:u1")


def _ack(received: int, processed: int = 0, *, target: str = "user:u1") -> m.Ack:
    return m.Ack([m.Acked("CHAT", target, received, processed)])


# What a device may say ----------------------------------------------------------------------


@simulated
async def test_acks_move_the_point_and_are_counted() -> None:
    async with World() as world:
        device = await world.online()
        device.acking = False
        await world.publish("user:u1", b"1", b"2")
        await passes(0.04)
        device.say(_ack(2, 0))
        device.say(_ack(2, 1))
        device.say(_ack(1, 1))
        await settle()
        points = await world.store.points(APP, "d1")
        assert points == {Channel(APP, *CHAT): SyncPoint(EPOCH, 2, 1)}
        assert world.metrics.acks == 3
        latency = world.metrics.publish_to_ack_s
        assert sum(latency.counts) == 2
        assert 0.08 <= latency.total <= 0.1


@simulated
async def test_acks_of_others_channels_are_ignored() -> None:
    async with World() as world:
        device = await world.online()
        for target in ("user:u2", "device:d2", "nonsense"):
            device.say(_ack(5, target=target))
        await settle()
        assert not device.closed
        assert await world.store.points(APP, "d1") == {}


@simulated
async def test_a_ping_is_answered_and_tells_the_next() -> None:
    async with World() as world:
        device = await world.online()
        session = device.session
        assert session is not None
        device.ping(next_beat_s=77)
        await settle()
        (pong,) = device.all(m.Pong)
        assert isinstance(pong, m.Pong)
        assert abs(pong.server_time_ms - world.clock.wall_ms()) < 10
        assert session.next_beat_s == 77
        device.say(m.State(False, 99))
        assert (session.foreground, session.next_beat_s) == (False, 99)


@simulated
async def test_a_device_may_say_goodbye() -> None:
    async with World() as world:
        device = await world.online()
        device.say(m.Close(int(CloseCode.NORMAL)))
        await settle()
        assert device.link.is_lost
        assert device.close() is None, "after a Close from the peer nothing is sent"
        assert world.forgotten()
        assert world.metrics.closes == {}


@simulated
async def test_bytes_may_come_one_by_one() -> None:
    async with World() as world:
        device = world.device()
        device.dial()
        hello = encode(m.Hello(1, 1, device.token(), "d1", "u1", []))
        device.unanswered.append("u1")
        device._connection.send(m.Hello(1, 1, device.token(), "d1", "u1", []))
        for byte in hello:
            device.send(bytes([byte]))
        await settle()
        assert device.welcomed


# What ends a session ------------------------------------------------------------------------


def _frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


WRONG: list[tuple[str, bytes, CloseCode]] = [
    ("no MessagePack", _frame(b"\xc1"), CloseCode.MALFORMED_FRAME),
    ("empty frame", struct.pack(">I", 0), CloseCode.MALFORMED_FRAME),
    ("HTTP", b"GET / HTTP/1.1\r\n\r\n", CloseCode.FRAME_TOO_LARGE),
    ("too large", struct.pack(">I", SERVER_FRAME_BYTES_MAX + 1), CloseCode.FRAME_TOO_LARGE),
    ("unknown type", _frame(b"\x92\x20\x00"), CloseCode.UNEXPECTED_MESSAGE),
    ("a server's message", encode(m.Pong(1)), CloseCode.UNEXPECTED_MESSAGE),
    ("a second Hello", encode(m.Hello(1, 1, "t", "d1", "u1", [])), CloseCode.UNEXPECTED_MESSAGE),
    ("wrong type", _frame(b"\x92\x0a\xa1x"), CloseCode.INVALID_FIELD),
    ("future", encode(_ack(9)), CloseCode.INVALID_FIELD),
    ("never pushed", encode(_ack(0, target="everyone")), CloseCode.INVALID_FIELD),
    ("impossible", encode(_ack(0, 1)), CloseCode.INVALID_FIELD),
]


@pytest.mark.parametrize("data, code", [pytest.param(d, c, id=name) for name, d, c in WRONG])
def test_a_fault_is_answered_with_its_code(data: bytes, code: CloseCode) -> None:
    @simulated
    async def scenario() -> None:
        async with World() as world:
            await world.publish("user:u1", b"1")
            device = await world.online()
            device.send(data)
            device.send(data)
            await settle()
            close = device.close()
            assert close is not None
            assert CloseCode(close.code) is code
            assert device.link.is_lost
            assert not device.link.aborted
            assert world.metrics.closes == {int(code): 1}
            assert world.forgotten()

    scenario()


@simulated
async def test_nothing_but_close_may_follow_hello() -> None:
    async with World() as world:
        device = world.device()
        device.dial()
        hello = encode(m.Hello(1, 1, device.token(), "d1", "u1", []))
        device.send(hello + encode(m.Ping()))
        await settle()
        assert device.close_code() is CloseCode.UNEXPECTED_MESSAGE
        assert world.forgotten()


@given(st.binary(max_size=200))
def test_any_bytes_have_a_defined_answer(data: bytes) -> None:
    @simulated
    async def scenario() -> None:
        async with World() as world:
            fresh, known = world.device("d1"), await world.online("d2")
            fresh.dial()
            fresh.send(data)
            known.send(data)
            await settle()
            known.link.lose()
            fresh.link.lose()
            await settle()
            assert world.forgotten()
            assert set(world.metrics.closes) <= {3000, 3001, 3002, 3005}

    scenario()


@simulated
async def test_silence_without_hello_ends() -> None:
    async with World(options(hello_timeout_s=5.0)) as world:
        device = world.device()
        device.dial()
        await passes(4.0)
        assert not device.closed
        await passes(3.0)
        assert device.close_code() is CloseCode.HELLO_TIMEOUT
        assert world.forgotten()


@simulated
async def test_a_hello_that_dribbles_ends_too() -> None:
    async with World(options(hello_timeout_s=5.0)) as world:
        device = world.device()
        session = device.dial()
        device.send(struct.pack(">I", 100_000))
        for _ in range(10):
            device.send(b"x")
            await passes(1.0)
        assert device.close_code() is CloseCode.HELLO_TIMEOUT
        assert session.conversation._reader.buffered_bytes == 0, "half a frame is not kept"


@pytest.mark.parametrize("announced_s, deadline_s", [(0, 840), (60, 120), (3600, 840)])
def test_an_idle_device_is_given_up_after_what_it_announced(
    announced_s: int, deadline_s: int
) -> None:
    @simulated
    async def scenario() -> None:
        async with World() as world:
            device = await world.online()
            await passes(30.0)
            device.ping(announced_s)
            await passes(deadline_s - 1.0)
            assert not device.closed
            await passes(3.0)
            assert device.close_code() is CloseCode.IDLE_TIMEOUT
            assert world.forgotten()

    scenario()


@simulated
async def test_a_device_that_beats_stays() -> None:
    async with World() as world:
        device = await world.online()
        for _ in range(50):
            device.ping(60)
            await passes(60.0)
        assert not device.closed
        assert device.pushes() == []


@simulated
async def test_a_device_that_acks_nothing_is_slow() -> None:
    async with World(options(ack_timeout_s=10.0)) as world:
        device = await world.online()
        device.acking = False
        await passes(100.0)
        await world.publish("user:u1", b"1")
        await passes(9.0)
        device.ping()
        assert not device.closed
        await passes(3.0)
        assert device.close_code() is CloseCode.SLOW_DEVICE


@simulated
async def test_a_device_that_acks_bit_by_bit_is_not_slow() -> None:
    async with World(options(ack_timeout_s=10.0, push_count=1)) as world:
        device = await world.online()
        device.acking = False
        await world.publish("user:u1", *[b"x"] * 5)
        for received in range(1, 6):
            await passes(8.0)
            device.say(_ack(received))
        await passes(30.0)
        assert not device.closed


@simulated
async def test_a_token_that_ends_ends_the_session() -> None:
    async with World() as world:
        device = world.device()
        device.expires_at_ms = world.clock.wall_ms() + 90_000
        device.connect()
        await passes(89.0)
        assert not device.closed
        await passes(3.0)
        assert device.close_code() is CloseCode.TOKEN_EXPIRED


@simulated
async def test_a_wall_clock_that_jumps_ends_tokens_only() -> None:
    async with World() as world:
        lasting, expiring = world.device("d1"), world.device("d2")
        expiring.expires_at_ms = world.clock.wall_ms() + 3600_000
        lasting.connect()
        expiring.connect()
        await settle()
        world.clock.jump(7200_000)
        await passes(32.0)
        assert not lasting.closed
        assert expiring.close_code() is CloseCode.TOKEN_EXPIRED


@simulated
async def test_more_messages_than_allowed_end_the_session() -> None:
    async with World(options(messages_per_s_max=10)) as world:
        device = await world.online()
        await passes(2.0)
        for _ in range(5):
            for _ in range(10):
                device.ping()
            await passes(1.0)
        assert not device.closed
        for _ in range(11):
            device.ping()
        await settle()
        assert device.close_code() is CloseCode.RATE_LIMITED


@simulated
async def test_more_bytes_than_allowed_end_the_session_even_if_nobody_knows_their_type() -> None:
    unknown = msgspec.msgpack.encode([200, "x" * 1000])
    frame = len(unknown).to_bytes(4) + unknown
    async with World(options(bytes_per_s_max=4 * len(frame))) as world:
        device = await world.online()
        await passes(2.0)
        assert device.session is not None
        device.session.received(frame * 4)
        await passes(1.0)
        device.session.received(frame * 4)
        assert not device.closed
        device.session.received(frame)
        await settle()
        assert device.close_code() is CloseCode.RATE_LIMITED


@pytest.mark.parametrize(
    "say",
    [lambda d: d.ping(), lambda d: d.bind("u1"), lambda d: d.unbind()],
    ids=["ping", "bind", "unbind"],
)
def test_whoever_asks_without_reading_is_slow(say: Callable[[Device], None]) -> None:
    @simulated
    async def scenario() -> None:
        async with World() as world:
            device = await world.online()
            device.link.hold()
            bound = world.sessions.options.window_bytes + PAYLOAD_BYTES_MAX
            device.link.write(b"x" * (bound + 1))
            session = device.session
            assert session is not None
            before = device.link.buffered_bytes()
            say(device)
            assert session.has_ended()
            assert device.link.buffered_bytes() - before < 100
            assert world.metrics.closes == {int(CloseCode.SLOW_DEVICE): 1}

    scenario()


@simulated
async def test_last_bytes_that_nobody_takes_are_dropped_in_the_end() -> None:
    async with World(options(close_linger_s=5.0, ack_timeout_s=10.0)) as world:
        device = await world.online()
        device.acking = False
        device.link.hold()
        await world.publish("user:u1", b"1")
        await passes(12.0)
        assert world.metrics.closes == {int(CloseCode.SLOW_DEVICE): 1}
        assert device.link.buffered_bytes() > 0
        assert len(world.sessions._wheel) == 1
        await passes(7.0)
        assert device.closed
        assert len(world.sessions._wheel) == 0


@failing("session_failed")
async def test_a_bug_in_one_session_ends_that_session_only() -> None:
    async with World() as world:
        bad, good = await world.online("d1"), await world.online("d2")
        await world.publish("user:u1", b"1")
        await settle()
        assert bad.session is not None
        bad.session.window.bytes = -1
        bad.session.cursors[Channel(APP, *CHAT)].received = 0
        bad.ack(CHAT)
        await settle()
        assert bad.close_code() is CloseCode.INTERNAL
        assert not good.closed


@simulated
async def test_what_comes_after_the_end_is_ignored() -> None:
    async with World() as world:
        device = await world.online()
        session = device.session
        assert session is not None
        session.close(CloseCode.DRAINING)
        writes = device.link.writes
        session.close(CloseCode.INTERNAL)
        session.received(b"garbage")
        session.drained()
        session.wake("user:u1")
        session.notice("user:u1", b"frame")
        session.write(b"frame")
        session.lost()
        session.lost()
        await settle()
        assert device.link.writes == writes
        assert session.phase is Phase.ENDED
        assert device.close_code() is CloseCode.DRAINING
        assert world.metrics.closes == {int(CloseCode.DRAINING): 1}


@simulated
async def test_the_oldest_push_without_an_ack_is_known() -> None:
    async with World() as world:
        one, two = await world.online("d1", "u1"), await world.online("d2", "u2")
        one.acking = two.acking = False
        assert world.sessions.oldest_unacked_s() == 0.0
        await world.publish("user:u1", b"1")
        await passes(3.0)
        await world.publish("user:u2", b"1")
        await passes(2.0)
        assert world.sessions.oldest_unacked_s() == pytest.approx(5.0, abs=0.01)
        one.ack()
        await settle()
        assert world.sessions.oldest_unacked_s() == pytest.approx(2.0, abs=0.01)
        two.link.lose()
        await settle()
        assert world.sessions.oldest_unacked_s() == 0.0
