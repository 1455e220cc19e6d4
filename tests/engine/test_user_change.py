"""Change of user on a living connection: nothing lost, and nothing of one user to another."""

import pytest

from mobilesync.engine.publication import Publication
from mobilesync.engine.session import COMMANDS_MAX
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import CloseCode
from tests.engine.world import APP, EPOCH, Gate, World, options, settle, simulated

CHAT = ("CHAT", "user:u1")


def _sync_point(biz: str, target: str) -> m.SyncPoint:
    return m.SyncPoint(biz, target, EPOCH, 0)


@simulated
async def test_bind_changes_the_user() -> None:
    async with World() as world:
        await world.publish("user:u2", b"for u2")
        device = await world.online()
        await world.publish("user:u1", b"for u1")
        await settle()
        device.bind("u2")
        await settle()
        assert device.welcomed
        assert device.got("CHAT", "user:u2") == [b"for u2"]
        await world.publish("user:u1", b"not any more")
        await world.publish("device:d1", b"still")
        await settle()
        assert device.got("CHAT", "user:u1") == [b"for u1"]
        assert device.got("CHAT", "device:d1") == [b"still"]


@simulated
async def test_unbind_leaves_device_and_everyone() -> None:
    async with World() as world:
        device = await world.online()
        device.unbind()
        await settle()
        assert device.welcomed
        await world.publish("user:u1", b"no")
        await world.publish("everyone", b"yes")
        await settle()
        assert device.got("CHAT", "everyone") == [b"yes"]
        assert device.received(*CHAT) == 0


@simulated
async def test_changes_of_user_are_carried_out_in_order() -> None:
    async with World() as world:
        await world.publish("user:u2", b"u2")
        device = await world.online()
        world.tokens.gate = Gate()
        device.bind("u2")
        device.unbind()
        device.bind("u1")
        device.bind("u2")
        await settle()
        assert not device.welcomed
        world.tokens.gate.open()
        await settle()
        users = [said.user for said in device.heard if isinstance(said, m.Welcome)]
        assert users == ["u1", "u2", "", "u1", "u2"]
        assert device.got("CHAT", "user:u2") == [b"u2"]


@simulated
async def test_too_many_changes_of_user_at_once_are_refused() -> None:
    async with World() as world:
        device = await world.online()
        world.tokens.gate = Gate()
        for _ in range(COMMANDS_MAX):
            device.bind("u2")
        await settle()
        assert not device.closed
        device.bind("u2")
        await settle()
        assert device.close_code() is CloseCode.RATE_LIMITED


@pytest.mark.parametrize("token", ["demo|u3|d1|0", "demo|u2|d9|0", "other|u2|d1|0", "forged"])
def test_a_refused_bind_ends_the_session(token: str) -> None:
    @simulated
    async def scenario() -> None:
        async with World() as world:
            device = await world.online()
            device.say(m.Bind(token, "u2", []))
            await settle()
            assert device.close_code() in {CloseCode.TOKEN_CLAIMS, CloseCode.TOKEN_INVALID}
            assert world.forgotten()

    scenario()


@simulated
async def test_bind_with_points_of_others_is_refused() -> None:
    async with World() as world:
        device = await world.online()
        for target in ("user:u1", "everyone", "device:d1"):
            device.say(m.Bind("demo|u2|d1|0", "u2", [_sync_point("CHAT", target)]))
            await settle()
            assert device.close_code() is CloseCode.INVALID_FIELD
            device = await world.online()


@simulated
async def test_nothing_for_the_new_user_leaves_before_their_welcome() -> None:
    """The device drops what comes before Welcome, so it would never have it."""
    async with World() as world:
        device = await world.online()
        await world.publish("user:u2", b"1")
        gate = world.store.hold("heads")
        device.bind("u2")
        await settle()
        await world.publish("user:u2", b"2")
        await settle()
        gate.open()
        await settle()
        assert device.got("CHAT", "user:u2") == [b"1", b"2"]
        await world.publish("user:u2", b"3")
        await settle()
        assert device.got("CHAT", "user:u2") == [b"1", b"2", b"3"]


@simulated
async def test_a_wake_for_the_old_user_does_not_survive_the_change() -> None:
    """The pump has asked for the heads of the old user when the user changes."""
    async with World() as world:
        device = await world.online()
        gate = world.store.hold("heads")
        await world.publish("user:u1", b"secret of u1")
        await settle()
        device.bind("u2")
        await settle()
        gate.open()
        await settle()
        await world.publish("user:u2", b"for u2")
        await world.publish("device:d1", b"for d1")
        await settle()
        assert {push.target for push in device.pushes()} == {"user:u2", "device:d1"}


@simulated
async def test_a_wake_for_others_survives_the_change_of_user() -> None:
    async with World() as world:
        device = await world.online()
        gate = world.store.hold("heads")
        await world.publish("everyone", b"1")
        await settle()
        device.unbind()
        await settle()
        gate.open()
        await settle()
        assert device.got("CHAT", "everyone") == [b"1"]


@simulated
async def test_a_page_of_the_old_user_is_dropped() -> None:
    async with World() as world:
        device = await world.online()
        gate = world.store.hold("read")
        await world.publish("everyone", b"all")
        await world.publish("user:u1", b"secret of u1")
        await settle()
        device.bind("u2")
        await settle()
        gate.open()
        await settle()
        assert {push.target for push in device.pushes()} == {"everyone"}
        assert device.got("CHAT", "everyone") == [b"all"]


@simulated
async def test_a_frame_for_the_old_user_that_was_not_written_yet_is_dropped() -> None:
    async with World() as world:
        device = await world.online()
        gate = world.store.hold("read", spare=1)
        publish = world.service.publisher.publish
        await publish(APP, [_publication("user:u1"), _publication("everyone")])
        await settle()
        assert gate.waiting == 1
        device.bind("u2")
        await settle()
        gate.open()
        await settle()
        assert {push.target for push in device.pushes()} == {"everyone"}
        device.bind("u1")
        await settle()
        assert device.got(*CHAT) == [b"for user:u1"]


def _publication(target: str, users: tuple[str, ...] = ()) -> Publication:
    payload = b"for " + target.encode()
    return Publication(biz="CHAT", target=target, payload=payload, users=users)


@simulated
async def test_acks_for_the_user_are_harmless_while_the_user_changes() -> None:
    """A device may go on to say what it has processed while it logs the same user in anew."""
    async with World() as world:
        await world.publish("user:u1", b"1")
        device = await world.online()
        gate = world.store.hold("heads")
        device.bind("u1")
        await settle()
        device.ack(CHAT)
        await settle()
        gate.open()
        await settle()
        assert device.close_code() is None
        assert device.welcomed


@simulated
async def test_a_change_of_user_frees_the_window() -> None:
    async with World(options(window_count=2, push_count=1)) as world:
        device = await world.online()
        device.acking = False
        await world.publish("user:u1", b"1", b"2", b"3")
        await world.publish("everyone", b"all")
        await settle()
        assert device.received("CHAT", "everyone") == 0
        device.bind("u2")
        await settle()
        assert device.got("CHAT", "everyone") == [b"all"]


@simulated
async def test_bind_renews_the_time_of_the_token() -> None:
    async with World() as world:
        device = world.device()
        device.expires_at_ms = world.clock.wall_ms() + 60_000
        session = device.connect()
        await settle()
        device.expires_at_ms += 60_000
        device.bind("u1")
        await settle()
        assert session.expires_at_ms == device.expires_at_ms


@simulated
async def test_what_was_not_for_the_old_user_and_not_told_is_read_again_for_the_new_one() -> None:
    async with World() as world:
        device = await world.online("d1", "u1")
        await world.publish("everyone", b"for u2", users=("u2",))
        await settle()
        assert device.pushes() == []
        device.bind("u2")
        await settle()
        assert device.got("CHAT", "everyone") == [b"for u2"]
        device.bind("u1")
        device.bind("u2")
        await settle()
        assert device.got("CHAT", "everyone") == [b"for u2"]


@simulated
async def test_what_the_old_user_was_refused_is_offered_though_no_ack_has_told_of_it() -> None:
    async with World() as world:
        device = await world.online("d1", "u1")
        device.acking = False
        await world.publish("everyone", b"for u2", users=("u2",))
        await world.publish("everyone", b"for all")
        await settle()
        assert device.got("CHAT", "everyone") == [b"for all"]
        device.acking = True
        device.bind("u2")
        await settle()
        assert device.got("CHAT", "user:u2") == [b"for u2"]


@simulated
async def test_a_backlog_that_was_read_for_the_old_user_is_one_for_the_new() -> None:
    async with World() as world:
        await world.config("CHAT", repush_threshold=1)
        device = await world.online("d1", "u1")
        for payload in (b"1", b"2", b"3"):
            await world.publish("everyone", payload, users=("u2",))
        await settle()
        device.bind("u2")
        await settle()
        assert device.got("CHAT", "everyone") == [b"3"]


@simulated
async def test_what_was_judged_for_the_old_user_leaves_before_the_change() -> None:
    async with World() as world:
        device = await world.online("d1", "u1")
        gate = world.store.hold("read", spare=1)
        items = [_publication("everyone", users=("u1",)), _publication("device:d1")]
        await world.service.publisher.publish(APP, items)
        await settle()
        assert gate.waiting == 1
        device.bind("u2")
        await settle()
        kinds = [type(each) for each in device.heard if isinstance(each, m.Push | m.Welcome)]
        assert kinds == [m.Welcome, m.Push, m.Welcome]
        gate.open()
        await settle()
        assert device.got("CHAT", "device:d1") == [b"for device:d1"]
