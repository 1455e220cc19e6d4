"""The publisher retries until it knows, and writes everything down."""

from mobilesync.sim import history as h
from mobilesync.sim.loop import pause
from mobilesync.sim.world import World
from tests.sim.small_world import of_kind, play, publication


def test_lost_answers_are_asked_for_again() -> None:
    async def act(built: World) -> None:
        built.publisher.lose_answers = 0.8
        for number in range(10):
            built.publisher.begin("shop", [publication("everyone", f"m{number}")])
        await pause(300)
        assert built.publisher.busy() == 0

    built = play(act)
    asked, answered = of_kind(built, h.Asked), of_kind(built, h.Answered)
    unanswered = of_kind(built, h.Unanswered)
    assert len(asked) == len(answered) + len(unanswered)
    assert unanswered
    ids = {fact.call: fact.message_id for fact in asked}
    assert {ids[fact.call] for fact in answered} == {f"m{number}" for number in range(10)}


def test_a_batch_is_one_call_with_items_in_order() -> None:
    async def act(built: World) -> None:
        built.publisher.begin("shop", [publication("everyone", each) for each in ("a", "b")])
        await pause(60)

    built = play(act)
    first = of_kind(built, h.Asked)[:2]
    assert [fact.message_id for fact in first] == ["a", "b"]
    assert first[0].batch == first[1].batch > 0


def test_what_is_invalid_is_not_tried_again() -> None:
    async def act(built: World) -> None:
        built.publisher.begin("shop", [publication("nobody", "m1")])
        await pause(60)
        assert built.publisher.busy() == 0

    built = play(act)
    assert {fact.code for fact in of_kind(built, h.Denied)} == {"INVALID_BATCH"}
