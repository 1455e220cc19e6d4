"""Logins: who gets in, from where they continue, and what may happen while they wait."""

from collections.abc import Callable

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import (
    InvalidRequest,
    StoreUnavailable,
    TokenRefused,
    UnknownApp,
)
from mobilesync.domain.sync_point import SyncPoint
from mobilesync.engine.login import WAITING_PER_LOGIN
from mobilesync.protocol import limits
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import CloseCode, ResetReason
from mobilesync.storage.disk import Disk
from tests.engine.device import Device
from tests.engine.world import APP, EPOCH, Gate, World, failing, options, passes, settle, simulated

CHAT = ("CHAT", "user:u1")


def _point(device: Device, received: int, *, epoch: int = EPOCH, biz: str = "CHAT") -> None:
    target = f"user:{device.user}"
    device.points[biz, target] = m.SyncPoint(biz, target, epoch, received, received)


@simulated
async def test_hello_is_welcomed_and_caught_up() -> None:
    async with World() as world:
        await world.publish("user:u1", b"1", b"2")
        await world.publish("everyone", b"all")
        device = await world.online()
        welcome = device.heard[0]
        assert isinstance(welcome, m.Welcome)
        assert (welcome.epoch, welcome.user, welcome.resets) == (EPOCH, "u1", [])
        assert device.got("CHAT", "user:u1") == [b"1", b"2"]
        assert device.got("CHAT", "everyone") == [b"all"]
        assert world.metrics.logins == 1


@simulated
async def test_hello_is_an_ack() -> None:
    async with World() as world:
        await world.publish("user:u1", b"1", b"2")
        device = world.device()
        _point(device, 1)
        device.connect()
        await settle()
        assert device.got(*CHAT) == [b"2"]
        points = await world.store.points(APP, "d1")
        assert points[Channel(APP, *CHAT)] == SyncPoint(EPOCH, 2, 2)


@pytest.mark.parametrize(
    "change, code",
    [
        (lambda d: setattr(d, "token", lambda: "forged"), CloseCode.TOKEN_INVALID),
        (lambda d: setattr(d, "token", lambda: "demo|u2|d1|0"), CloseCode.TOKEN_CLAIMS),
        (lambda d: setattr(d, "token", lambda: "demo|u1|d2|0"), CloseCode.TOKEN_CLAIMS),
        (lambda d: setattr(d, "device", ""), CloseCode.INVALID_FIELD),
        (lambda d: setattr(d, "device", "a\nb"), CloseCode.INVALID_FIELD),
        (lambda d: d.points.update({("a b", "user:u1"): _sync_point("a b", "user:u1")}), None),
        (lambda d: d.points.update({("CHAT", "user:u1"): _sync_point("CHAT", "user:u2")}), None),
    ],
)
def test_a_wrong_hello_is_refused(change: Callable[[Device], None], code: CloseCode | None) -> None:
    @simulated
    async def scenario() -> None:
        async with World() as world:
            device = world.device()
            change(device)
            device.dial()
            if code is None:
                points = list(device.points.values())
                device.say(m.Hello(1, 1, device.token(), "d1", "u1", points))
            else:
                device.hello()
            await settle()
            assert device.close_code() is (code or CloseCode.INVALID_FIELD)
            assert world.forgotten()

    scenario()


def _sync_point(biz: str, target: str) -> m.SyncPoint:
    return m.SyncPoint(biz, target, EPOCH, 0)


@pytest.mark.parametrize(
    "error, code",
    [
        (TokenRefused(CloseCode.TOKEN_EXPIRED, "old"), CloseCode.TOKEN_EXPIRED),
        (TokenRefused(CloseCode.TOKEN_AUDIENCE, "for others"), CloseCode.TOKEN_AUDIENCE),
        (UnknownApp("no such app"), CloseCode.UNKNOWN_APP),
        (InvalidRequest("no device id", field="device"), CloseCode.INVALID_FIELD),
        (StoreUnavailable("not now", retry_after_s=3.0), CloseCode.STORE_UNAVAILABLE),
        (RuntimeError("a bug"), CloseCode.INTERNAL),
    ],
)
def test_each_refusal_has_its_code(error: Exception, code: CloseCode) -> None:
    @failing(*(["login_failed"] if code is CloseCode.INTERNAL else []))
    async def scenario() -> None:
        async with World() as world:
            world.tokens.error = error
            device = world.device()
            device.connect()
            await settle()
            assert device.close_code() is code
            assert world.metrics.closes == {int(code): 1}
            assert world.forgotten()

    scenario()


@simulated
async def test_advice_is_never_more_than_the_protocol_allows() -> None:
    async with World() as world:
        world.tokens.error = StoreUnavailable("closed for a year", retry_after_s=365 * 86400)
        device = world.device()
        device.connect()
        await settle()
        close = device.close()
        assert close is not None
        assert close.retry_after_ms == limits.RETRY_MS_MAX


@simulated
async def test_an_unknown_version_is_refused() -> None:
    async with World() as world:
        device = world.device()
        device.dial()
        device.say(m.Hello(2, 9, device.token(), "d1", "u1", []))
        await settle()
        assert device.close_code() is CloseCode.UNSUPPORTED_VERSION


@pytest.mark.parametrize(
    "epoch, received, reason, got",
    [
        (EPOCH, 9, ResetReason.FUTURE, []),
        (555, 1, ResetReason.FOREIGN, [b"1", b"2"]),
    ],
)
def test_a_point_that_is_not_good_is_reset(
    epoch: int, received: int, reason: ResetReason, got: list[bytes]
) -> None:
    @simulated
    async def scenario() -> None:
        async with World() as world:
            await world.publish("user:u1", b"1", b"2")
            device = world.device()
            _point(device, received, epoch=epoch)
            device.connect()
            await settle()
            welcome = device.heard[0]
            assert isinstance(welcome, m.Welcome)
            assert [reset.reason for reset in welcome.resets] == [reason]
            assert device.got(*CHAT) == got
            assert world.metrics.resets == 1

    scenario()


@simulated
async def test_a_restored_store_renames_and_rewinds() -> None:
    async with World() as world:
        await world.publish("user:u1", b"1", b"2")
        await settle()
        disk = world.disk
    restored = Disk((EPOCH, 8), disk.oplogs, disk.heads, disk.message_ids)
    async with World(disk=restored) as world:
        one, two = world.device("d1"), world.device("d2")
        _point(one, 2)
        _point(two, 3)
        one.connect()
        two.connect()
        await settle()
        said = [d.heard[0] for d in (one, two)]
        assert [w.resets[0].reason for w in said if isinstance(w, m.Welcome)] == [
            ResetReason.RENAMED,
            ResetReason.RESTORED,
        ]
        await world.publish("user:u1", b"3")
        await settle()
        assert one.got(*CHAT) == two.got(*CHAT) == [b"3"]


@simulated
async def test_points_of_channels_that_do_not_exist_leave_no_trace() -> None:
    """Else a hostile device could fill the store with points, one Hello after the other."""
    async with World() as world:
        device = world.device()
        for number in range(50):
            _point(device, 0, biz=f"B{number}")
        device.connect()
        await settle()
        assert device.welcomed
        assert await world.store.points(APP, "d1") == {}


# While it waits ------------------------------------------------------------------------------


@simulated
async def test_what_changes_during_a_login_is_pushed_after_it() -> None:
    async with World() as world:
        gate = world.store.hold("heads")
        device = world.device()
        device.connect()
        await settle()
        # The heads were read before this publish and have not arrived yet.
        await world.publish("user:u1", b"1")
        gate.open()
        await settle()
        assert device.got(*CHAT) == [b"1"]


@simulated
async def test_a_link_that_is_lost_during_a_login_leaves_nothing() -> None:
    async with World() as world:
        world.tokens.gate = Gate()
        device = world.device()
        device.connect()
        await settle()
        device.link.lose()
        await settle()
        world.tokens.gate.open()
        await settle()
        assert world.forgotten()


@simulated
async def test_a_link_that_is_lost_while_the_heads_are_read_leaves_nothing() -> None:
    async with World() as world:
        gate = world.store.hold("heads")
        device = world.device()
        device.connect()
        await settle()
        device.link.lose()
        await settle()
        gate.open()
        await settle()
        assert world.forgotten()


@simulated
async def test_a_link_that_is_lost_during_a_bind_leaves_nothing() -> None:
    async with World() as world:
        device = await world.online()
        world.tokens.gate = Gate()
        device.bind("u2")
        await settle()
        device.link.lose()
        await settle()
        world.tokens.gate.open()
        await settle()
        assert world.forgotten()


@simulated
async def test_logins_under_way_and_those_that_wait_are_bounded() -> None:
    async with World(options(logins_max=2)) as world:
        world.tokens.gate = Gate()
        taken = 2 + 2 * WAITING_PER_LOGIN
        devices = [world.device(f"d{n}") for n in range(taken + 1)]
        for device in devices:
            device.connect()
        await settle()
        *others, last = devices
        assert {device.close_code() for device in others} == {None}
        close = last.close()
        assert close is not None
        assert close.code == CloseCode.OVERLOADED
        assert close.retry_after_ms > 0
        assert close.retry_spread_ms > 0
        others[3].hang_up()
        world.tokens.gate.open()
        await settle()
        assert [d.welcomed for d in devices] == [d not in (others[3], last) for d in devices]
        last.connect()
        await settle()
        assert last.welcomed


@simulated
async def test_logins_that_wait_are_given_up_at_the_end() -> None:
    async with World(options(logins_max=1)) as world:
        world.tokens.gate = Gate()
        devices = [world.device(f"d{n}") for n in range(3)]
        for device in devices:
            device.connect()
        await settle()
        await world.service.stop()
        world.tokens.gate.open()
        await settle()
        assert not any(device.welcomed for device in devices)


@simulated
async def test_two_logins_of_one_device_leave_one() -> None:
    async with World() as world:
        gate = world.store.hold("heads", count=2)
        first, second = world.device(), world.device()
        first.connect()
        second.connect()
        await settle()
        gate.open()
        await settle()
        assert first.close_code() is CloseCode.REPLACED
        assert second.welcomed
        assert world.sessions.of_device(APP, "d1") is second.session
        await world.publish("user:u1", b"1")
        await settle()
        assert second.got(*CHAT) == [b"1"]
        assert first.pushes() == []


@simulated
async def test_a_stop_during_a_login_says_so_and_leaves_nothing() -> None:
    async with World() as world:
        gate = world.store.hold("heads")
        device = world.device()
        device.connect()
        await settle()
        await world.service.drain(0.0)
        await settle()
        assert device.close_code() is CloseCode.DRAINING
        gate.open()
        await settle()
        assert world.forgotten()


@simulated
async def test_stop_cancels_logins_that_hang() -> None:
    async with World() as world:
        world.tokens.gate = Gate()
        device = world.device()
        device.connect()
        await settle()
        await world.service.stop()
        await settle()
        assert device.close_code() is CloseCode.DRAINING
        assert world.forgotten()


@simulated
async def test_a_login_that_hangs_is_given_up_in_time() -> None:
    async with World(options(hello_timeout_s=5.0)) as world:
        world.tokens.gate = Gate()
        device = world.device()
        device.connect()
        await settle()
        await passes(7.0)
        assert device.close_code() is CloseCode.HELLO_TIMEOUT
        world.tokens.gate.open()
        await settle()
        assert world.forgotten()
