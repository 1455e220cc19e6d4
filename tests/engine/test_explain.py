"""Explain: every reason there is comes out of a real run of the service, with what it is about."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Rollout
from mobilesync.domain.errors import NotFound
from mobilesync.domain.reasons import Reason
from mobilesync.engine.explain import Explanation
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import Waits
from tests.engine.device import Device
from tests.engine.world import APP, World, options, passes, settle, simulated

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


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_every_reason_comes_out_of_a_run(reason: Reason) -> None:
    @simulated
    async def run() -> None:
        small = replace(options(window_count=8, push_count=8), trim_interval_s=1e6)
        async with World(small) as world:
            explanation, words = await SCENES[reason](world)
            assert explanation.reason is reason, explanation
            assert words in explanation.sentence

    run()


# Beyond the first answer --------------------------------------------------------------------


@simulated
async def test_what_was_offered_again_is_named() -> None:
    async with World() as world:
        await world.publish("everyone", b"x", app_version_min="2.0")
        phone = await phone_of(world, app_version="1.8")
        before = await explain(world)
        assert before.details["app_version"] == "1.8"
        phone.hang_up()
        phone.app_version = "2.0"
        phone.connect()
        await told(phone)
        after = await explain(world)
        assert after.reason is Reason.VERSION
        assert after.sentence.endswith(
            "range: the device has changed since; offered again as #1 of device:d1"
        )
        assert (await explain(world, OWN)).reason is Reason.PROCESSED


@simulated
async def test_a_replay_leaves_the_proof_of_before_and_says_so() -> None:
    async with World() as world:
        phone = await phone_of(world)
        await world.publish("everyone", b"1", b"2")
        first = await explain(world, oplog_id=2)
        await world.service.interventions.replay(ALL, "d1", 1)
        await settle()
        phone.acking = False
        phone.connect()
        again = await explain(world, oplog_id=2)
        assert again.reason is Reason.SENT
        assert again.processed_at_ms == first.processed_at_ms
        assert again.sentence.endswith("had it before, and its sync point was put back")
        assert (await explain(world, oplog_id=1)).reason is Reason.PROCESSED
        await passes(1)
        phone.ack()
        last = await explain(world, oplog_id=2)
        assert last.reason is Reason.PROCESSED
        assert last.processed_at_ms > first.processed_at_ms
        assert last.details == {}


@simulated
async def test_what_was_trimmed_before_a_device_came_was_not_received_by_it() -> None:
    async with World() as world:
        await world.config("CHAT", retention_s=10)
        await world.publish("everyone", b"gone")
        await passes(11)
        await world.service.trim()
        await phone_of(world)
        await world.publish("everyone", b"kept")
        assert (await explain(world, oplog_id=2)).reason is Reason.PROCESSED
        # The step to 2 covers 1, too.
        gone = await explain(world)
        assert (gone.reason, gone.received_at_ms) == (Reason.TRIMMED, 0)


@simulated
async def test_an_offline_device_never_gets_what_its_user_has_elsewhere() -> None:
    async with World() as world:
        await world.config("CHAT", **ONE)
        (await phone_of(world)).hang_up()
        await phone_of(world, "d2")
        await world.publish("user:u1", b"x")
        explanation = await explain(world, ADA)
        assert explanation.reason is Reason.ELSEWHERE
        assert explanation.details == {"devices": ["d2"]}


@simulated
async def test_a_newer_value_that_is_not_for_the_device_has_superseded_nothing() -> None:
    async with World() as world:
        await phone_of(world, os="ios")
        (await phone_of(world, "d2", os="android")).hang_up()
        await world.publish("everyone", b"1", b"2", key="volume")
        await world.publish("everyone", b"3", key="volume", os=("ios",))
        explanation = await explain(world, device="d2")
        assert explanation.details == {"superseded_by": 2}
        assert (await explain(world, oplog_id=2, device="d2")).reason is Reason.OFFLINE


@simulated
async def test_what_is_passed_over_but_not_told_yet_has_its_reason_already() -> None:
    async with World() as world:
        phone = world.device()
        phone.os = "harmony"
        phone.connect()
        await world.publish("everyone", b"x", os=("ios",))
        assert (await explain(world)).reason is Reason.OS
        # Passed over, told, and not acked.
        phone.acking = False
        phone.ping()
        assert (await explain(world)).reason is Reason.OS


@simulated
async def test_a_device_of_which_the_server_died_says_when_it_connected() -> None:
    async with World() as world:
        await world.publish("everyone", b"x")
        await world.config("OTHER")
        phone = await phone_of(world)
        phone.acking = False
        await passes(1)
        world.store.kill()
        disk = world.disk
    async with World(disk=disk) as again:
        await again.publish("everyone", b"y", biz="OTHER")
        explanation = await explain(again, Channel(APP, "OTHER", "everyone"))
        assert explanation.reason is Reason.OFFLINE
        assert "it connected last at 20" in explanation.sentence


@simulated
async def test_a_store_that_takes_no_writes_still_tells() -> None:
    async with World() as world:
        await phone_of(world)
        await world.publish("everyone", b"x")
        await passes(0.2)
        await world.store.close()
        assert (await explain(world)).reason is Reason.PROCESSED


class TestMessages:
    @simulated
    async def test_an_oplog_is_found_by_its_message_id(self) -> None:
        async with World() as world:
            await phone_of(world)
            await world.publish("everyone", b"1")
            await world.publish("everyone", b"2", message_id="order-7")
            await settle()
            explainer = world.service.explainer
            oplog_id, explanation = await explainer.explain_message(ALL, "order-7", "d1")
            assert (oplog_id, explanation.reason) == (2, Reason.PROCESSED)
            assert await explainer.find(ALL, "order-7") == 2

    @simulated
    async def test_one_that_is_nowhere_is_an_error(self) -> None:
        async with World() as world:
            explainer = world.service.explainer
            with pytest.raises(NotFound) as caught:
                await explainer.explain_message(ALL, "none", "d1")
            assert "never published" in caught.value.hint
            from_ms = world.clock.wall_ms() + 60_000
            await world.publish("everyone", b"x", message_id="later", valid_from_ms=from_ms)
            with pytest.raises(NotFound) as caught:
                await explainer.find(ALL, "later")
            assert "not due yet" in caught.value.hint


class TestReceipts:
    @simulated
    async def test_of_everyone_by_page(self) -> None:
        async with World() as world:
            for n in range(25):
                phone = await phone_of(world, f"d{n:02}", f"u{n}")
                if n % 2:
                    phone.hang_up()
            await world.publish("everyone", b"x")
            await settle()
            found: list[tuple[str, str, bool, Reason]] = []
            after = ""
            while page := await world.service.explainer.receipts(ALL, 1, after, 10):
                assert len(page) <= 10
                found += [(e.device, e.user, e.online, e.explanation.reason) for e in page]
                after = page[-1].device
            assert found == [
                (f"d{n:02}", f"u{n}", not n % 2, Reason.OFFLINE if n % 2 else Reason.PROCESSED)
                for n in range(25)
            ]

    @simulated
    async def test_of_a_user_and_of_a_device(self) -> None:
        async with World() as world:
            for name in ("a", "b", "c"):
                await phone_of(world, name)
            other = await phone_of(world, "d")
            other.bind("u2")
            await settle()
            await world.publish("user:u1", b"x")
            await world.publish("device:b", b"x")
            await world.publish("device:stranger", b"x")
            await settle()
            receipts = world.service.explainer.receipts
            found = {each.device: each for each in await receipts(ADA, 1, "", 10)}
            assert [*found] == ["a", "b", "c", "d"]
            assert found["d"].explanation.reason is Reason.WRONG_USER
            assert found["d"].user == "u2"
            assert [each.device for each in await receipts(ADA, 1, "b", 1)] == ["c"]
            own = Channel(APP, "CHAT", "device:b")
            assert [each.device for each in await receipts(own, 1, "", 10)] == ["b"]
            assert await receipts(own, 1, "b", 10) == []
            nobody = Channel(APP, "CHAT", "device:stranger")
            assert await receipts(nobody, 1, "", 10) == []
