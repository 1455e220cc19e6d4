"""The app's code behaves as the payload says."""

import pytest

from mobilesync.sim import history as h
from mobilesync.sim.app import AppTrouble
from mobilesync.sim.clock import WALL_BEGIN_MS
from mobilesync.sim.loop import pause
from mobilesync.sim.world import World
from tests.sim.small_world import of_kind, play, publication


@pytest.mark.parametrize("habit, calls", [("n", 1), ("s", 1), ("f", 3), ("h", 2)])
def test_habits(habit: str, calls: int) -> None:
    async def act(built: World) -> None:
        item = publication("everyone", "m1", payload=f"{habit}1".encode())
        await built.server.publish("shop", [item], give_up_s=10)
        await pause(120)

    built = play(act)
    name = built.devices[0].name
    began = [fact for fact in of_kind(built, h.HandlerBegan) if fact.device == name]
    finished = [fact for fact in of_kind(built, h.HandlerFinished) if fact.device == name]
    assert (len(began), len(finished)) == (calls, 1)


def test_tokens_name_the_user_and_may_have_trouble() -> None:
    async def act(built: World) -> None:
        app = built.devices[0].app
        token = await app.token_source("zoe")()
        name, user, device, expires_at_ms = token.split("|")
        assert (name, user, device) == (app.plan.app, "zoe", app.plan.device)
        assert int(expires_at_ms) >= WALL_BEGIN_MS + app.token_ms
        app.token_trouble = True
        with pytest.raises(AppTrouble):
            await app.token_source("zoe")()

    play(act)
