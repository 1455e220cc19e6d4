"""Operators retry until they know, and write everything down."""

import msgspec

from mobilesync.domain.channel import Channel
from mobilesync.sim import history as h
from mobilesync.sim.loop import pause
from mobilesync.sim.world import World
from tests.sim.small_world import of_kind, play, publication

ALL = Channel("shop", "CHAT", "everyone")


async def publish(built: World, *message_ids: str) -> None:
    items = [publication("everyone", each) for each in message_ids]
    await built.server.publish("shop", items, give_up_s=10)


def test_rules_are_changed_and_the_last_wish_wins() -> None:
    async def act(built: World) -> None:
        chat = built.scenario.bizzes[0]
        for threshold in (1, 2, 3):
            built.operator.put_rules(
                "shop", msgspec.structs.replace(chat, repush_threshold=threshold)
            )
        await built.operator.settled()
        assert built.operator.busy() == 0
        assert built.server.service is not None
        assert built.server.service.configs.get("shop", "CHAT").repush_threshold == 3

    built = play(act)
    seen = [f.rules for f in of_kind(built, h.BizDefined) if (f.app, f.biz) == ("shop", "CHAT")]
    assert seen[-1] is not None
    assert seen[-1].repush_threshold == 3


def test_a_recall_is_asked_for_again_while_the_server_is_away() -> None:
    async def act(built: World) -> None:
        await publish(built, "m1", "m2")
        built.server.on_killed = None
        built.server.kill(devices_learn=True)
        built.operator.recall(ALL, 1)
        await pause(5)
        assert built.operator.busy() == 1
        await built.server.recover_disk()
        assert await built.server.start()
        await built.operator.settled()

    built = play(act)
    asked, done = of_kind(built, h.RecallAsked), of_kind(built, h.Done)[-1]
    assert len(asked) > 1
    assert (done.call, done.id) == (asked[-1].call, 3)
    assert len({fact.call for fact in asked}) == len(asked)


def test_what_is_not_there_ends_the_wish() -> None:
    async def act(built: World) -> None:
        built.operator.recall(ALL, 7)
        built.operator.rewind(ALL, "d0", 0)
        built.operator.offer(ALL, 7, "d0")
        await built.operator.settled()

    built = play(act)
    assert [fact.code for fact in of_kind(built, h.Denied)] == ["NOT_FOUND"] * 3


def test_a_device_is_rewound_and_offered_what_it_has() -> None:
    async def act(built: World) -> None:
        name = built.devices[0].plan.device
        await publish(built, "m1", "m2")
        await pause(30)
        built.operator.rewind(ALL, name, 1)
        await pause(30)
        built.operator.offer(ALL, 2, name)
        await pause(30)
        assert built.operator.busy() == 0

    built = play(act)
    device = built.devices[0].name
    [reset] = of_kind(built, h.WasReset)
    assert (reset.device, reset.floor) == (device, 1)
    rewound, offered = of_kind(built, h.Done)[-2:]
    assert (rewound.id, rewound.before) == (1, 2)
    assert offered.target == f"device:{built.devices[0].plan.device}"
    handled = [fact for fact in of_kind(built, h.HandlerFinished) if fact.device == device]
    assert len(handled) == 4
