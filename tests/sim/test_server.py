"""The server's lives: what a kill takes, what a restore takes, what a drain does."""

import asyncio

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import Refused
from mobilesync.sim import history as h
from mobilesync.sim.loop import pause
from mobilesync.sim.server import NoAnswer
from mobilesync.sim.world import World
from tests.sim.small_world import of_kind, play, publication

CHANNEL = Channel("shop", "CHAT", "everyone")


async def publish(built: World, message_id: str, give_up_s: float = 10.0) -> int:
    items = [publication("everyone", message_id)]
    answers = await built.server.publish("shop", items, give_up_s=give_up_s)
    return answers[0].id


async def restart(built: World) -> None:
    built.server.on_killed = None
    if built.server.is_up:
        built.server.kill(devices_learn=True)
    await built.server.recover_disk()
    assert await built.server.start()


def test_what_was_answered_survives_a_kill() -> None:
    async def act(built: World) -> None:
        assert await publish(built, "m1") == 1
        await restart(built)
        assert await publish(built, "m1") == 1
        assert await publish(built, "m2") == 2

    built = play(act)
    first, second = of_kind(built, h.ServerStarted)
    assert first.lineage == second.lineage
    assert len(of_kind(built, h.ServerKilled)) == 1


def test_a_kill_leaves_callers_without_an_answer_and_the_next_without_a_server() -> None:
    async def act(built: World) -> None:
        built.server.on_killed = None
        built.server.kill_after(3)
        with pytest.raises(NoAnswer):
            await publish(built, "m1")
        assert not built.server.is_up
        with pytest.raises(Refused):
            await publish(built, "m1")

    play(act)


def test_a_caller_who_hangs_up_learns_nothing_but_it_is_stored() -> None:
    async def act(built: World) -> None:
        with pytest.raises(NoAnswer):
            await publish(built, "m1", give_up_s=0.0001)
        await pause(1)
        answers = await built.server.publish("shop", [publication("everyone", "m1")], give_up_s=10)
        assert answers[0].duplicate

    play(act)


def test_a_restore_goes_back_under_a_new_epoch() -> None:
    async def act(built: World) -> None:
        await publish(built, "m1")
        backup = built.server.disk.copy()
        await publish(built, "m2")
        built.server.on_killed = None
        built.server.kill(devices_learn=True)
        await built.server.recover_disk()
        built.server.restore(backup)
        assert await built.server.start()
        assert await publish(built, "m3") == 2

    built = play(act)
    (restored,) = of_kind(built, h.Restored)
    assert len(set(restored.lineage)) == 2
    assert dict(restored.heads) == {CHANNEL: 1}
    assert built.server.disk.lineage == restored.lineage


def test_a_server_killed_while_it_starts_can_be_started_again() -> None:
    async def act(built: World) -> None:
        built.server.on_killed = None
        built.server.kill(devices_learn=True)
        starting = built.loop.create_task(built.server.start())
        await asyncio.sleep(0)
        built.server.kill(devices_learn=True)
        assert not await starting
        await built.server.recover_disk()
        assert await built.server.start()

    play(act)


def test_a_drain_sends_everybody_away_and_ends() -> None:
    async def act(built: World) -> None:
        await pause(5)
        built.server.on_killed = None
        built.server.drain(1.0)
        await pause(5)
        assert not built.server.is_up
        assert not built.network.wires

    built = play(act)
    assert {fact.code for fact in of_kind(built, h.Closed)} == {1001}
