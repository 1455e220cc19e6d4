"""Whoever is away is asked to come, once, and nobody else is disturbed."""

from dataclasses import replace

import pytest

from mobilesync.engine import wake_ups
from mobilesync.engine.options import ServiceOptions, WakeUpOptions
from mobilesync.engine.push_gateway import SENT, WakeOutcome, WakeResult
from tests.engine.device import Device
from tests.engine.ear import Ear
from tests.engine.world import APP, World, failing, options, passes, settle, simulated

ADA = "user:u1"


class Post:
    """A push service that answers as it is told to, and remembers whom it was to wake."""

    kind = "apns"

    def __init__(self, *answers: WakeResult) -> None:
        self.answers = list(answers)
        self.woken: list[str] = []

    async def wake(self, token: str) -> WakeResult:
        self.woken.append(token)
        return self.answers.pop(0) if self.answers else SENT

    async def close(self) -> None:
        return


def _options(**chosen: float) -> ServiceOptions:
    made = replace(WakeUpOptions(), **chosen)  # type: ignore[arg-type]  # ints and floats alike
    return replace(options(), wake_ups=made)


async def _away(world: World, name: str = "d1", user: str = "u1", token: str = "t1") -> Device:
    """A device that was here, named its push token, and has gone."""
    phone = world.device(name, user)
    phone.attributes = {"apns_token": token} if token else {}
    phone.connect()
    await settle()
    phone.hang_up()
    return phone


def _woken(ear: Ear) -> list[tuple[str, list[str]]]:
    return [(data["target"], data["devices"]) for data in ear.of("device.wake-up")]


@simulated
async def test_a_device_that_is_away_is_woken_through_both_ways() -> None:
    ear, post = Ear("device.wake-up"), Post()
    async with World(listener=ear, gateways={APP: [post]}) as world:
        await _away(world)
        await world.publish("device:d1", b"secret")
        await passes(2)
        assert _woken(ear) == [("device:d1", ["d1"])]
        assert post.woken == ["t1"]
        assert b"secret" not in repr(ear.told).encode()
        assert world.metrics.wake_ups == 1
        assert world.metrics.wake_up_pushes == {"sent": 1}


@simulated
async def test_all_devices_of_a_user_that_are_away_and_nobody_else() -> None:
    ear, post = Ear("device.wake-up"), Post()
    async with World(listener=ear, gateways={APP: [post]}) as world:
        await _away(world, "d1", token="t1")
        await _away(world, "d2", token="")
        await world.online("d3")
        left = await _away(world, "d4", token="t4")
        left.user = "bob"
        left.connect()
        await settle()
        left.hang_up()
        await _away(world, "d5", "bob", "t5")
        await world.publish(ADA, b"x")
        await passes(2)
        assert _woken(ear) == [(ADA, ["d1", "d2"])]
        assert post.woken == ["t1"]


@simulated
async def test_many_appends_are_one_wake_up_until_somebody_has_come() -> None:
    ear = Ear("device.wake-up")
    async with World(_options(again_after_s=60), listener=ear) as world:
        phone = await _away(world)
        for _ in range(5):
            await world.publish(ADA, b"x", b"y")
            await passes(2)
        assert len(_woken(ear)) == 1
        phone.connect()
        await settle()
        phone.hang_up()
        await world.publish(ADA, b"z")
        await passes(2)
        assert len(_woken(ear)) == 2
        await passes(61)
        await world.publish(ADA, b"z")
        await passes(2)
        assert len(_woken(ear)) == 3, "nobody came: it is asked again after a while"


@simulated
async def test_whoever_comes_in_time_is_not_woken() -> None:
    ear, post = Ear("device.wake-up"), Post()
    async with World(listener=ear, gateways={APP: [post]}) as world:
        phone = await _away(world)
        await world.publish("device:d1", b"x")
        await world.publish(ADA, b"x")
        phone.connect()
        await settle()
        phone.hang_up()
        phone.connect()
        await passes(3)
        assert _woken(ear) == []
        assert post.woken == []
        assert "wake-up device:d1" in ear.cancelled


@simulated
async def test_who_is_online_or_unknown_or_everyone() -> None:
    ear = Ear("device.wake-up")
    async with World(listener=ear) as world:
        await world.online()
        await world.publish(ADA, b"x")
        await world.publish("device:d1", b"x")
        await world.publish("everyone", b"x")
        await world.publish("user:never-seen", b"x")
        await passes(2)
        # The business may know how to reach somebody who has never been here.
        assert _woken(ear) == [("user:never-seen", [])]


@simulated
async def test_nobody_is_woken_for_what_is_not_for_the_device() -> None:
    ear = Ear("device.wake-up")
    async with World(listener=ear) as world:
        await _away(world)
        await world.publish(ADA, b"x", os=("ios",))
        await passes(2)
        assert _woken(ear) == []
        await world.publish(ADA, b"x", os=("ios",))
        await world.publish(ADA, b"y")
        await passes(2)
        assert _woken(ear) == [(ADA, ["d1"])]


@simulated
async def test_with_many_conditions_anybody_may_be_woken() -> None:
    ear = Ear("device.wake-up")
    async with World(listener=ear) as world:
        await _away(world)
        for _ in range(wake_ups.CONDITIONS_MAX + 1):
            await world.publish(ADA, b"x", os=("ios",))
        await passes(2)
        assert _woken(ear) == [(ADA, ["d1"])]


@simulated
async def test_a_token_that_is_gone_is_forgotten_until_it_is_named_again() -> None:
    post = Post(WakeResult(WakeOutcome.TOKEN_GONE, "Unregistered"))
    async with World(gateways={APP: [post]}) as world:
        phone = await _away(world)
        await world.publish("device:d1", b"x")
        await passes(2)
        known = await world.service.devices.find(APP, "d1")
        assert known is not None
        assert known.attributes == {}
        phone.attributes = {"apns_token": "t2"}
        phone.connect()
        await settle()
        phone.hang_up()
        await world.publish("device:d1", b"x")
        await passes(2)
        assert post.woken == ["t1", "t2"]


@simulated
async def test_trouble_is_tried_again_a_few_times_unless_the_device_has_come() -> None:
    busy = WakeResult(WakeOutcome.RETRY, "busy", 30.0)
    post = Post(*[busy] * 9)
    async with World(gateways={APP: [post]}) as world:
        phone = await _away(world)
        await world.publish("device:d1", b"x")
        await passes(300)
        assert len(post.woken) == wake_ups.ATTEMPTS_MAX
        phone.connect()
        await settle()
        phone.hang_up()
        await world.publish("device:d1", b"x")
        await passes(2)
        phone.connect()
        await passes(300)
        assert len(post.woken) == wake_ups.ATTEMPTS_MAX + 1


@failing("wake_up_refused")
async def test_a_wrong_setting_is_logged_and_not_tried_again() -> None:
    post = Post(WakeResult(WakeOutcome.REFUSED, "BadTopic"))
    async with World(gateways={APP: [post]}) as world:
        await _away(world)
        await world.publish("device:d1", b"x")
        await passes(300)
        assert post.woken == ["t1"]


@pytest.mark.parametrize("bound", ["targets_max", "queue_max"])
def test_beyond_the_bounds_wake_ups_are_dropped_and_counted(bound: str) -> None:
    @simulated
    async def run() -> None:
        post = Post()
        async with World(_options(**{bound: 2}), gateways={APP: [post]}) as world:
            for n in range(4):
                await _away(world, f"d{n}", f"u{n}", f"t{n}")
            for n in range(4):
                await world.publish(f"device:d{n}", b"x")
            await passes(2)
            assert world.metrics.wake_ups_dropped == 2
            assert len(post.woken) == 2

    run()
