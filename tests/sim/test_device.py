"""The device's lives: kill, reinstall, user change, deaths in handlers."""

from mobilesync.sim import history as h
from mobilesync.sim.loop import pause
from mobilesync.sim.world import World
from tests.sim.small_world import of_kind, play, publication


async def publish(built: World, *message_ids: str, payload: bytes = b"n") -> None:
    for message_id in message_ids:
        item = publication("everyone", message_id, payload=payload)
        await built.server.publish("shop", [item], give_up_s=10)


def handled(built: World, device: str) -> list[str]:
    done = of_kind(built, h.HandlerFinished)
    return [fact.message_id for fact in done if fact.device == device]


def test_it_handles_what_is_published_and_goes_on_after_a_kill() -> None:
    async def act(built: World) -> None:
        device = built.devices[0]
        await publish(built, "m1")
        await pause(30)
        device.kill(server_learns=True)
        assert not device.is_up
        await publish(built, "m2")
        device.start()
        await pause(30)

    built = play(act)
    assert handled(built, built.devices[0].name) == ["m1", "m2"]


def test_a_reinstalled_device_gets_everything_again() -> None:
    async def act(built: World) -> None:
        device = built.devices[0]
        await publish(built, "m1")
        await pause(30)
        device.kill(server_learns=True)
        device.install()
        device.start()
        await pause(30)

    built = play(act)
    assert handled(built, built.devices[0].name) == ["m1", "m1"]
    assert len(of_kind(built, h.Installed)) == len(built.devices) + 1


def test_a_death_in_the_handler_repeats_the_call() -> None:
    async def act(built: World) -> None:
        device = built.devices[0]
        device.arm("handler", "inside")
        await publish(built, "m1")
        await pause(30)
        assert device.has_died()
        device.bury(server_learns=True)
        device.start()
        await pause(30)

    built = play(act)
    name = built.devices[0].name
    began = [fact for fact in of_kind(built, h.HandlerBegan) if fact.device == name]
    assert len(began) == 2
    assert handled(built, name) == ["m1"]


def test_a_handler_that_fails_at_first_and_one_that_fails_always() -> None:
    async def act(built: World) -> None:
        await publish(built, "m1", payload=b"f")
        await publish(built, "m2", payload=b"p")
        await pause(120)

    built = play(act)
    name = built.devices[0].name
    assert handled(built, name) == ["m1"]
    parked = [fact.message_id for fact in of_kind(built, h.Parked) if fact.device == name]
    assert parked == ["m2"]


def test_a_user_change_brings_the_new_users_oplogs() -> None:
    async def act(built: World) -> None:
        device = built.devices[0]
        item = publication("user:zoe", "m1")
        await built.server.publish("shop", [item], give_up_s=10)
        await pause(30)
        assert "m1" not in handled(built, device.name)
        device.switch_user("zoe")
        await pause(30)
        assert device.user == "zoe"

    built = play(act)
    assert handled(built, built.devices[0].name) == ["m1"]
    assert [fact.user for fact in of_kind(built, h.LoginBegan)] == ["zoe"]


def test_a_close_in_good_order() -> None:
    async def act(built: World) -> None:
        device = built.devices[0]
        await pause(30)
        device.close()
        await pause(1)
        assert device.has_died()
        device.bury(server_learns=True)

    built = play(act)
    assert [fact.code for fact in of_kind(built, h.Closed)] == [1000]
