"""A scene for each reason that `explain` can give: what has to happen for it, in a real engine.

Not here: that each gives its reason (test_explain.py).
"""

from collections.abc import Awaitable, Callable

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Rollout
from mobilesync.domain.reasons import Reason
from mobilesync.engine.explain import Explanation
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import Waits
from tests.engine.device import Device
from tests.engine.world import APP, World, passes, settle

ALL = Channel(APP, "CHAT", "everyone")
ADA = Channel(APP, "CHAT", "user:u1")
OWN = Channel(APP, "CHAT", "device:d1")
ONE = {"target_kind": "user", "scope": "appointed", "multi_device": False}

Scene = Callable[[World], Awaitable[tuple[Explanation, str]]]
SCENES: dict[Reason, Scene] = {}
"""What happens, and the words that must be in the sentence then."""


def scene(reason: Reason) -> Callable[[Scene], Scene]:
    def add(play: Scene) -> Scene:
        assert reason not in SCENES
        SCENES[reason] = play
        return play

    return add


async def explain(
    world: World, channel: Channel = ALL, oplog_id: int = 1, device: str = "d1"
) -> Explanation:
    await settle()
    return await world.service.explainer.explain(channel, oplog_id, device)


async def phone_of(
    world: World,
    name: str = "d1",
    user: str = "u1",
    *,
    os: str = "",
    app_version: str = "",
    features: tuple[str, ...] = (),
) -> Device:
    """A device that is connected and was told of all that was skipped."""
    phone = world.device(name, user)
    phone.os, phone.app_version, phone.features = os, app_version, [*features]
    phone.connect()
    return await told(phone)


async def told(phone: Device) -> Device:
    await settle()
    assert phone.welcomed
    phone.ping()
    await settle()
    return phone


# Passed over --------------------------------------------------------------------------------


@scene(Reason.OS)
async def _(world: World) -> tuple[Explanation, str]:
    await world.publish("everyone", b"x", os=("ios", "android"))
    await phone_of(world, os="harmony")
    return await explain(world), "harmony; it is for ios, android"


@scene(Reason.VERSION)
async def _(world: World) -> tuple[Explanation, str]:
    await world.publish("everyone", b"x", app_version_min="2.0")
    await phone_of(world, app_version="1.8")
    return await explain(world), "outside the oplog's range: 1.8 < 2.0"


@scene(Reason.ATTRIBUTES)
async def _(world: World) -> tuple[Explanation, str]:
    await world.publish("everyone", b"x", attributes={"plan": ["gold", "silver"]})
    phone = world.device()
    phone.attributes = {"plan": "free"}
    phone.connect()
    await told(phone)
    return await explain(world), "plan is free; it is for gold, silver"


@scene(Reason.AUDIENCE)
async def _(world: World) -> tuple[Explanation, str]:
    await world.publish("everyone", b"x", users=("u7", "u8"))
    await phone_of(world)
    return await explain(world), ": user u1"


@scene(Reason.ROLLOUT)
async def _(world: World) -> tuple[Explanation, str]:
    await world.publish("everyone", b"x", rollout_percent=10.0, rollout_salt="spring")
    outside = next(f"d{n}" for n in range(99) if not Rollout(10.0, "spring").admits(f"d{n}"))
    await phone_of(world, outside)
    return await explain(world, device=outside), "10 % by the salt spring"


@scene(Reason.OTHER_DEVICE)
async def _(world: World) -> tuple[Explanation, str]:
    await world.publish("user:u1", b"x")
    await phone_of(world)
    await phone_of(world, "d2")
    await world.service.interventions.offer_again(ADA, 1, "d2")
    await settle()
    return await explain(world, ADA, 2), "another device of the user: d2"


@scene(Reason.EXPIRED)
async def _(world: World) -> tuple[Explanation, str]:
    now_ms = world.clock.wall_ms()
    await world.publish("everyone", b"x", valid_until_ms=now_ms + 60_000)
    await world.publish("everyone", b"y")
    await passes(61)
    await phone_of(world)
    return await explain(world), "before the device could get it: at 20"


@scene(Reason.SUPERSEDED)
async def _(world: World) -> tuple[Explanation, str]:
    await world.publish("everyone", b"1", b"2", b"3", key="volume")
    await phone_of(world)
    return await explain(world), "superseded by #3"


@scene(Reason.OVER_THRESHOLD)
async def _(world: World) -> tuple[Explanation, str]:
    await world.config("CHAT", repush_threshold=2)
    await world.publish("everyone", b"1", b"2", b"3", b"4")
    await phone_of(world)
    return await explain(world, oplog_id=2), "only the newest 2 were pushed"


@scene(Reason.RECALLED)
async def _(world: World) -> tuple[Explanation, str]:
    await world.publish("everyone", b"oops")
    await world.service.interventions.recall(ALL, 1)
    await phone_of(world)
    return await explain(world), "#2 withdrew it at 20"


@scene(Reason.CONSUMED)
async def _(world: World) -> tuple[Explanation, str]:
    rules = {"target_kind": "user", "scope": "appointed", "consumed_by": "one"}
    await world.config("CHAT", **rules)
    await world.publish("user:u1", b"x")
    await phone_of(world, "tablet")
    await phone_of(world)
    return await explain(world, ADA), "by tablet"


@scene(Reason.ELSEWHERE)
async def _(world: World) -> tuple[Explanation, str]:
    await world.config("CHAT", **ONE)
    await world.publish("user:u1", b"x")
    await phone_of(world, "old")
    await phone_of(world)
    return await explain(world, ADA), "not multi-device: old"


@scene(Reason.OFFERED)
async def _(world: World) -> tuple[Explanation, str]:
    await world.publish("everyone", b"x", app_version_min="2.0")
    phone = await phone_of(world, app_version="1.8")
    await passes(0.2)
    phone.hang_up()
    phone.app_version = "2.0"
    phone.connect()
    await told(phone)
    assert phone.got("CHAT", "device:d1") == [b"x"]
    phone.hang_up()
    # Installed anew, it passes the origin as well.
    phone.lose_store()
    phone.connect()
    await told(phone)
    return await explain(world, OWN), "at its origin: #1 of everyone"


@scene(Reason.NOT_ASKED)
async def _(world: World) -> tuple[Explanation, str]:
    await world.publish("everyone", b"oops")
    await phone_of(world)
    await world.service.interventions.recall(ALL, 1)
    return await explain(world, oplog_id=2), "only SDKs that ask for it"


# Withheld -----------------------------------------------------------------------------------


@scene(Reason.CONFIG_OFFLINE)
async def _(world: World) -> tuple[Explanation, str]:
    await world.publish("everyone", b"x")
    await world.config("CHAT", status="offline")
    await phone_of(world)
    return await explain(world), "until it is online again"


@scene(Reason.USER_CHECK)
async def _(world: World) -> tuple[Explanation, str]:
    await world.config("CHAT", user_check=True, target_kind="user")
    await world.publish("user:u1", b"x")
    await phone_of(world)
    return await explain(world, ADA), "has not validated"


@scene(Reason.NO_USER)
async def _(world: World) -> tuple[Explanation, str]:
    await world.config("CHAT", target_kind="user")
    await world.publish("everyone", b"x")
    await phone_of(world, user="")
    return await explain(world), "nobody is logged in"


@scene(Reason.NOT_NEWEST)
async def _(world: World) -> tuple[Explanation, str]:
    await world.config("CHAT", **ONE)
    await phone_of(world)
    newest = await phone_of(world, "d2")
    newest.acking = False
    await world.publish("user:u1", b"x")
    return await explain(world, ADA), "connected later"


# Where it is --------------------------------------------------------------------------------


@scene(Reason.NO_SUCH_OPLOG)
async def _(world: World) -> tuple[Explanation, str]:
    await world.publish("everyone", b"x")
    return await explain(world, oplog_id=2), "the last one is #1"


@scene(Reason.SCHEDULED)
async def _(world: World) -> tuple[Explanation, str]:
    from_ms = world.clock.wall_ms() + 60_000
    await world.publish("everyone", b"x", message_id="later", valid_from_ms=from_ms)
    explainer = world.service.explainer
    oplog_id, explanation = await explainer.explain_message(ALL, "later", "d1")
    assert (oplog_id, explanation.details) == (0, {"due_ms": from_ms})
    return explanation, "due at 20"


@scene(Reason.TRIMMED)
async def _(world: World) -> tuple[Explanation, str]:
    await world.config("CHAT", retention_s=10)
    await world.publish("everyone", b"x", b"y")
    await passes(11)
    await world.service.trim()
    return await explain(world), "with its proof"


@scene(Reason.NEVER_CONNECTED)
async def _(world: World) -> tuple[Explanation, str]:
    await world.publish("everyone", b"x")
    await phone_of(world)
    return await explain(world, device="stranger"), "never connected"


@scene(Reason.WRONG_USER)
async def _(world: World) -> tuple[Explanation, str]:
    await world.publish("user:u2", b"x")
    await phone_of(world)
    other = Channel(APP, "CHAT", "user:u2")
    return await explain(world, other), "user:u2; logged in there is user:u1"


@scene(Reason.WRONG_DEVICE)
async def _(world: World) -> tuple[Explanation, str]:
    await world.publish("device:d2", b"x")
    await phone_of(world)
    return await explain(world, Channel(APP, "CHAT", "device:d2")), "another device: device:d2"


@scene(Reason.OFFLINE)
async def _(world: World) -> tuple[Explanation, str]:
    (await phone_of(world)).hang_up()
    await world.publish("everyone", b"x")
    return await explain(world), "the device is offline: since 20"


@scene(Reason.QUEUED)
async def _(world: World) -> tuple[Explanation, str]:
    phone = await phone_of(world)
    phone.acking = False
    await world.publish("everyone", *[b"x"] * 20)
    return await explain(world, oplog_id=20), "8 oplogs are on their way"


@scene(Reason.SENT)
async def _(world: World) -> tuple[Explanation, str]:
    phone = await phone_of(world)
    phone.acking = False
    await world.publish("everyone", b"x")
    explanation = await explain(world)
    assert explanation.sent_at_ms
    assert not explanation.received_at_ms
    return explanation, "that it is saved: at 20"


async def _saved(world: World, waits: int) -> Explanation:
    phone = await phone_of(world)
    phone.processing = phone.acking = False
    await world.publish("everyone", b"x", b"y")
    await settle()
    phone.say(m.Ack([m.Acked("CHAT", "everyone", 2, 0, waits)]))
    explanation = await explain(world)
    assert explanation.received_at_ms
    assert not explanation.processed_at_ms
    return explanation


@scene(Reason.NO_HANDLER)
async def _(world: World) -> tuple[Explanation, str]:
    return await _saved(world, Waits.NO_HANDLER), "no handler for the biz: since 20"


@scene(Reason.HANDLER_FAILED)
async def _(world: World) -> tuple[Explanation, str]:
    return await _saved(world, Waits.HANDLER_FAILED), "it is retried: since 20"


@scene(Reason.PROCESSING)
async def _(world: World) -> tuple[Explanation, str]:
    await _saved(world, Waits.NOTHING)
    return await explain(world, oplog_id=2), "not done yet: behind #1, since 20"


@scene(Reason.PROCESSED)
async def _(world: World) -> tuple[Explanation, str]:
    await phone_of(world)
    await world.publish("everyone", b"x")
    explanation = await explain(world)
    times = (explanation.sent_at_ms, explanation.received_at_ms, explanation.processed_at_ms)
    assert all(times)
    assert [*times] == sorted(times)
    return explanation, "its handler is done: at 20"


@scene(Reason.NOT_KEPT)
async def _(world: World) -> tuple[Explanation, str]:
    await world.config("CHAT", persistent=False)
    await world.publish("everyone", b"x", message_id="gone")
    explainer = world.service.explainer
    assert (await explainer.explain_message(ALL, "gone", "d1"))[1].reason is Reason.NOT_KEPT
    return await explain(world), "not persistent"
