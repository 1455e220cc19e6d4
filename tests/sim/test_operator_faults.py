"""What people do is right whenever it comes, and ends with every biz online."""

import random
from dataclasses import replace

import pytest

from mobilesync.sim import history as h
from mobilesync.sim.loop import pause
from mobilesync.sim.operator_faults import CALM_KINDS, OperatorFaults
from mobilesync.sim.world import World
from tests.sim.small_world import of_kind, play, publication

KINDS = ("rules_change", "recall", "rewind", "offer", "user_check_trouble", "user_check_verdict")
ASKED: dict[str, type[h.Fact]] = {
    "rules_change": h.RulesAsked,
    "recall": h.RecallAsked,
    "rewind": h.RewindAsked,
    "offer": h.OfferAsked,
}


def people(built: World, kinds: frozenset[str] = frozenset(KINDS)) -> OperatorFaults:
    rules = frozenset({"user_check"})
    return OperatorFaults(
        replace(built.scenario, faults=kinds, rules=rules),
        random.Random(1),
        built.operator,
        built.publisher,
        built.user_check,
        built.devices,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_does_something_and_heal_ends_it(kind: str) -> None:
    async def act(built: World) -> None:
        faults = people(built)
        assert set(faults.strikes) == set(KINDS)
        faults.strikes[kind]()
        faults.begin()
        for number in range(6):
            built.publisher.begin("shop", [publication("everyone", f"m{number}")])
            await pause(2)
            faults.strikes[kind]()
        await pause(20)
        await faults.heal()
        assert built.operator.busy() == 0
        assert built.user_check.fail_share == 0.0
        assert built.server.service is not None
        configs = built.server.service.configs.list("shop")
        assert {config.status for config in configs} == {"online"}

    built = play(act)
    if kind in ASKED:
        assert of_kind(built, ASKED[kind])
    if kind == "user_check_verdict":
        assert of_kind(built, h.UserHeld)


def test_in_the_calm_only_some_of_it_goes_on() -> None:
    async def act(built: World) -> None:
        faults = people(built)
        built.publisher.begin("shop", [publication("everyone", "m1")])
        await pause(30)
        before = len(of_kind(built, h.RulesAsked))
        for _ in range(30):
            faults.act_in_calm()
        await built.operator.settled()
        assert len(of_kind(built, h.RulesAsked)) == before
        people(built, frozenset()).act_in_calm()
        assert built.operator.busy() == 0

    built = play(act)
    assert all(of_kind(built, ASKED[kind]) for kind in CALM_KINDS)
