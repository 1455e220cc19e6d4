"""The tap reads both directions, and counts frames only when it is asked to."""

from mobilesync.sim import history as h
from mobilesync.sim.loop import pause
from mobilesync.sim.world import World
from tests.sim.small_world import of_kind, play, publication


def test_what_a_conversation_leaves_in_the_history() -> None:
    async def act(built: World) -> None:
        await pause(10)
        built.tap.counts_frames = True
        await built.server.publish("shop", [publication("everyone", "m1")], give_up_s=10)
        await pause(30)

    built = play(act)
    names = {device.name for device in built.devices if device.plan.app == "shop"}
    assert {fact.device for fact in of_kind(built, h.SaidHello)} >= names
    assert {fact.device for fact in of_kind(built, h.Welcomed)} >= names
    pushed = of_kind(built, h.Pushed)
    assert {fact.device for fact in pushed} == names
    assert {fact.oplogs for fact in pushed} == {((1, "m1"),)}
    framed = of_kind(built, h.Framed)
    assert {"Push", "Ack"} <= {fact.kind for fact in framed}
    assert "Hello" not in {fact.kind for fact in framed}
    assert all(fact.by_server == (fact.kind in {"Push", "Pong"}) for fact in framed)
