"""The app's callbacks say what the app holds, sometimes late, sometimes not at all."""

import pytest

from mobilesync.engine.user_check import CannotTell, UserQuestion
from mobilesync.sim import history as h
from mobilesync.sim.world import World
from tests.sim.small_world import of_kind, play

QUESTION = UserQuestion("shop", "ann", "d1", "s1", "session of ann")


def test_what_the_app_holds_is_what_it_answers() -> None:
    async def act(built: World) -> None:
        check = built.user_check
        assert await check.validate(QUESTION)
        check.hold("shop", "ann", valid=False)
        assert not check.is_good("shop", "ann")
        assert not await check.validate(QUESTION)
        check.hold("shop", "ann", valid=True)
        assert await check.validate(QUESTION)

    built = play(act)
    mine = [fact for fact in of_kind(built, h.UserAsked) if fact.session == "s1"]
    judged = {fact.question: fact.valid for fact in of_kind(built, h.UserJudged)}
    assert [judged[fact.question] for fact in mine] == [True, False, True]
    assert [fact.valid for fact in of_kind(built, h.UserHeld)] == [False, True]


def test_in_trouble_it_gives_no_verdict() -> None:
    async def act(built: World) -> None:
        built.user_check.fail_share = 1.0
        with pytest.raises(CannotTell):
            await built.user_check.validate(QUESTION)

    built = play(act)
    asked = {fact.question for fact in of_kind(built, h.UserAsked) if fact.session == "s1"}
    assert asked
    assert not asked & {fact.question for fact in of_kind(built, h.UserJudged)}


def test_an_answer_may_take_its_time() -> None:
    async def act(built: World) -> None:
        built.user_check.answer_s = 50.0
        begin_s = built.loop.time()
        for _ in range(5):
            await built.user_check.validate(QUESTION)
        assert built.loop.time() > begin_s + 20

    play(act)
