"""What the rules of a biz do to a publish: targets, notices, keys, schedules, rollouts."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as replace_

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import OutcomeUnknown, Overloaded
from mobilesync.engine.publication import InvalidBatch, Publication
from mobilesync.protocol import messages as m
from tests.engine.device import Device
from tests.engine.world import APP, World, passes, settle, simulated

CHAT = ("CHAT", "user:u1")


def _item(payload: bytes = b"x", biz: str = "CHAT", target: str = "user:u1") -> Publication:
    return Publication(biz=biz, target=target, payload=payload)


# Rules of the biz ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rules, targets, others",
    [
        ({"scope": "global"}, ["everyone"], ["user:u1", "device:d1"]),
        ({"scope": "appointed"}, ["user:u1", "device:d1"], ["everyone"]),
        ({"target_kind": "user"}, ["everyone", "user:u1"], ["device:d1"]),
        ({"target_kind": "device"}, ["everyone", "device:d1"], ["user:u1"]),
        ({"target_kind": "user", "scope": "appointed"}, ["user:u1"], ["everyone", "device:d1"]),
        ({}, ["everyone", "user:u1", "device:d1"], []),
    ],
)
def test_a_biz_takes_its_own_targets_only(
    rules: dict[str, str], targets: list[str], others: list[str]
) -> None:
    @simulated
    async def run() -> None:
        async with World() as world:
            await world.config("RULED", **rules)
            for target in targets:
                await world.publish(target, b"x", biz="RULED")
            for target in others:
                with pytest.raises(InvalidBatch) as refused:
                    await world.publish(target, b"x", biz="RULED")
                [(_, error)] = refused.value.items
                assert error.code == "WRONG_TARGET"
                assert error.hint

    run()


@simulated
async def test_notices_keep_the_rules_too() -> None:
    async with World() as world:
        await world.config("LIVE", persistent=False)
        await world.config("ONE", persistent=False, target_kind="user", scope="appointed",
                           multi_device=False)  # fmt: skip
        await world.config("SURE", persistent=False, target_kind="user", user_check=True)
        ios, android = world.device("d1"), world.device("d2")
        ios.os = "ios"
        ios.connect()
        android.connect()
        await settle()
        await world.publish("user:u1", b"for ios", biz="LIVE", os=("ios",))
        await world.publish("user:u1", b"for one", biz="ONE")
        await world.publish("user:u1", b"for the validated", biz="SURE")
        assert ios.session is not None
        world.sessions.validated(ios.session)
        await world.publish("user:u1", b"for the validated, later", biz="SURE")
        await settle()
        assert _notices(ios) == [b"for ios", b"for the validated, later"]
        assert _notices(android) == [b"for one"]


def _notices(device: Device) -> list[bytes]:
    return [each.payload for each in device.all(m.Notice) if isinstance(each, m.Notice)]


@simulated
async def test_an_everyone_biz_for_users_waits_until_somebody_logs_in() -> None:
    async with World() as world:
        await world.config("NEWS", target_kind="user")
        await world.publish("everyone", b"1", biz="NEWS")
        phone = await world.online(user="")
        assert phone.got("NEWS", "everyone") == []
        phone.bind("ada")
        await settle()
        assert phone.got("NEWS", "everyone") == [b"1"]


@simulated
async def test_what_needs_a_user_check_waits_for_it_and_is_not_lost() -> None:
    async with World() as world:
        await world.config("SURE", target_kind="user", user_check=True)
        await world.publish("user:u1", b"1", biz="SURE")
        await world.publish("everyone", b"2", biz="SURE")
        await world.publish("user:u1", b"other biz")
        phone = await world.online()
        assert phone.got("SURE", "user:u1") == phone.got("SURE", "everyone") == []
        assert phone.got(*CHAT) == [b"other biz"]
        assert phone.session is not None
        world.sessions.validated(phone.session)
        await settle()
        assert (phone.got("SURE", "user:u1"), phone.got("SURE", "everyone")) == ([b"1"], [b"2"])
        # Another user on the same session is another question.
        phone.bind("bob")
        await world.publish("user:bob", b"3", biz="SURE")
        await settle()
        assert phone.got("SURE", "user:bob") == []


# Keys ---------------------------------------------------------------------------------------


@simulated
async def test_of_a_key_a_device_that_was_away_gets_the_newest() -> None:
    async with World() as world:
        here, away = await world.online("here"), await world.online("away")
        await world.publish("everyone", b"on", key="flag")
        await settle()
        away.hang_up()
        await world.publish("everyone", b"off", key="flag")
        await world.publish("everyone", b"other", key="color")
        await world.publish("everyone", b"on again", key="flag")
        await settle()
        away.connect()
        await settle()
        late = await world.online("late")
        place = ("CHAT", "everyone")
        assert here.got(*place) == [b"on", b"off", b"other", b"on again"]
        assert away.got(*place) == [b"on", b"other", b"on again"]
        assert late.got(*place) == [b"other", b"on again"]
        assert [each.key for each in late.saved[place]] == ["color", "flag"]


@simulated
async def test_a_newer_value_that_is_not_for_the_device_replaces_nothing() -> None:
    async with World() as world:
        await world.publish("everyone", b"for all", key="flag")
        await world.publish("everyone", b"for ios", key="flag", os=("ios",))
        await world.publish("everyone", b"recalled", key="flag")
        await world.service.interventions.recall(Channel(APP, "CHAT", "everyone"), 3)
        phone = await world.online()
        assert phone.got("CHAT", "everyone") == [b"for all"]


# Schedules ----------------------------------------------------------------------------------


@simulated
async def test_what_is_not_due_waits_and_is_then_like_any_other() -> None:
    async with World() as world:
        phone = await world.online()
        due_ms = world.clock.wall_ms() + 60_000
        later: dict[str, Any] = {"valid_from_ms": due_ms, "message_id": "m"}
        [answer] = await world.publish("user:u1", b"later", **later)
        assert (answer.id, answer.scheduled, answer.duplicate) == (0, True, False)
        [again] = await world.publish("user:u1", b"later", **later)
        assert (again.scheduled, again.duplicate) == (True, True)
        await passes(59)
        assert phone.got(*CHAT) == []
        await passes(2)
        assert phone.got(*CHAT) == [b"later"]
        [oplog] = phone.saved[CHAT]
        assert oplog.published_at_ms == due_ms
        [after] = await world.publish("user:u1", b"later", message_id="m")
        assert (after.id, after.duplicate, after.scheduled) == (1, True, False)
        future: dict[str, Any] = {"valid_from_ms": world.clock.wall_ms() + 1000, "message_id": "m"}
        [found] = await world.publish("user:u1", b"later", **future)
        assert (found.id, found.duplicate, found.scheduled) == (1, True, False)


@simulated
async def test_a_batch_may_hold_what_is_due_and_what_is_not() -> None:
    async with World() as world:
        await world.config("LIVE", persistent=False)
        later = world.clock.wall_ms() + 1_000
        items = [
            _item(b"1"),
            replace_(_item(b"2"), valid_from_ms=later),
            _item(b"3", biz="LIVE"),
            _item(b"4"),
        ]
        answers = await world.service.publisher.publish(APP, items)
        assert [(each.id, each.scheduled) for each in answers] == [
            (1, False),
            (0, True),
            (0, False),
            (2, False),
        ]


@simulated
async def test_a_schedule_that_is_full_leaves_the_outcome_of_a_mixed_batch_open() -> None:
    async with World() as world:
        world.service.scheduler.options = replace(world.service.scheduler.options, count_max=1)
        later: dict[str, Any] = {"valid_from_ms": world.clock.wall_ms() + 1_000}
        await world.publish("user:u1", b"1", **later)
        with pytest.raises(Overloaded):
            await world.publish("user:u1", b"2", **later)
        items = [_item(b"3"), replace_(_item(b"4"), **later)]
        with pytest.raises(OutcomeUnknown):
            await world.service.publisher.publish(APP, items)


@pytest.mark.parametrize(
    "biz, wrong",
    [
        ("LIVE", {"valid_from_ms": 5_000}),
        ("CHAT", {"valid_from_ms": 400 * 24 * 3600 * 1000}),
        ("CHAT", {"valid_from_ms": 5_000, "valid_until_ms": 4_000}),
    ],
)
def test_what_cannot_be_scheduled_is_refused(biz: str, wrong: dict[str, int]) -> None:
    @simulated
    async def run() -> None:
        async with World() as world:
            await world.config("LIVE", persistent=False)
            now_ms = world.clock.wall_ms()
            times: dict[str, Any] = {name: now_ms + value for name, value in wrong.items()}
            with pytest.raises(InvalidBatch):
                await world.publish("user:u1", b"x", biz=biz, **times)
            assert world.service.scheduler.waiting == 0

    run()


@simulated
async def test_message_ids_of_the_service_are_its_own() -> None:
    async with World() as world:
        with pytest.raises(InvalidBatch):
            await world.publish("user:u1", b"x", message_id="mobilesync:recall:1")
        with pytest.raises(InvalidBatch):
            await world.publish("user:u1", b"x", key="a\nb")


@simulated
async def test_a_rollout_reaches_a_stable_share() -> None:
    async with World() as world:
        for percent in (30, 60, 100):
            await world.publish("everyone", b"%d" % percent, rollout_percent=percent)
        devices = [await world.online(f"d{n}", f"u{n}") for n in range(60)]
        got = [[int(each) for each in device.got("CHAT", "everyone")] for device in devices]
        assert {tuple(each) for each in got} == {(30, 60, 100), (60, 100), (100,)}
