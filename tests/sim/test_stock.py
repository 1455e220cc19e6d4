"""Stock is taken of everything that is there, and the service is asked about some of it."""

import random

from mobilesync.domain.channel import Channel
from mobilesync.domain.reasons import Reason
from mobilesync.sim import history as h
from mobilesync.sim import stock
from mobilesync.sim.loop import pause
from mobilesync.sim.world import World
from tests.sim.small_world import of_kind, play, publication

ALL = Channel("shop", "CHAT", "everyone")


async def one_oplog(built: World) -> None:
    await built.server.publish("shop", [publication("everyone", "m1")], give_up_s=10)
    await pause(60)


def test_the_disk_is_written_down() -> None:
    async def act(built: World) -> None:
        await one_oplog(built)
        stock.take_stock(built.chronicle, built.server.disk)

    built = play(act)
    names = {device.name for device in built.devices if device.plan.app == "shop"}
    [held] = of_kind(built, h.Held)
    assert (held.channel, held.id, held.message_id) == (ALL, 1, "m1")
    [headed] = of_kind(built, h.Headed)
    assert (headed.channel, headed.last, headed.trimmed) == (ALL, 1, 0)
    steps = of_kind(built, h.Journaled)
    assert {step.device for step in steps} == names
    assert {(step.before, step.received) for step in steps} == {(0, 1)}
    assert {point.device for point in of_kind(built, h.KnownPoint)} == names


def test_the_service_explains_what_it_is_asked_about() -> None:
    async def act(built: World) -> None:
        await one_oplog(built)
        rng = random.Random(1)
        await stock.ask_for_reasons(rng, built.chronicle, built.server, built.devices)

    built = play(act)
    explained = of_kind(built, h.Explained)
    assert {(fact.channel, fact.id) for fact in explained} == {(ALL, 1)}
    assert {fact.reason for fact in explained} == {int(Reason.PROCESSED)}
    assert all(fact.received_at_ms and fact.processed_at_ms for fact in explained)
    assert 0 < len(explained) <= stock.EXPLAINED_MAX
