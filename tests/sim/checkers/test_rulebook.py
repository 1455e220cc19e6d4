"""The rulebook: which rules may have counted when."""

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.sync_config import RETENTION_S_MAX, SyncConfig
from mobilesync.sim import history as h
from mobilesync.sim.checkers.rulebook import Rulebook

CHAT = Channel("shop", "CHAT", "user:ann")


def book(*spells: tuple[int, int]) -> Rulebook:
    """(when, threshold) of CHAT's rules."""
    return Rulebook(
        [
            h.BizDefined(at, "shop", "CHAT", 9, True, SyncConfig(biz="CHAT", repush_threshold=n))
            for at, n in spells
        ]
    )


def thresholds(rules: list[SyncConfig]) -> list[int]:
    return [each.repush_threshold for each in rules]


@pytest.mark.parametrize(
    "begin, end, found",
    [
        (5, 5, [0]),
        (10, 19, [1]),
        (15, 20, [1, 2]),
        (20, 20, [1, 2]),
        (21, 25, [2]),
        (0, 40, [1, 2, 3]),
    ],
)
def test_all_that_held_at_some_time(begin: int, end: int, found: list[int]) -> None:
    made = book((10, 1), (20, 2), (30, 3))
    assert thresholds(made.between(CHAT, begin, end)) == found


def test_in_one_millisecond_each_may_have_counted() -> None:
    assert thresholds(book((10, 1), (20, 2), (20, 3)).between(CHAT, 20, 20)) == [1, 2, 3]


def test_the_last_ones_hold_on() -> None:
    made = book((10, 1), (20, 2))
    assert made.at(CHAT, 9).repush_threshold == 0
    assert made.at(CHAT, 10).repush_threshold == 1
    assert made.at(CHAT, 10**9).repush_threshold == 2
    assert made.always(CHAT, 21, 10**9, lambda rules: rules.repush_threshold == 2)
    assert not made.always(CHAT, 15, 10**9, lambda rules: rules.repush_threshold == 2)
    assert made.ever(CHAT, 15, 10**9, lambda rules: rules.repush_threshold == 1)


def test_who_knows_only_two_rules_and_who_knows_none() -> None:
    made = Rulebook([h.BizDefined(1, "shop", "CHAT", 60, False)])
    assert (made.at(CHAT, 2).retention_s, made.at(CHAT, 2).persistent) == (60, False)
    other = Channel("shop", "PAY", "everyone")
    assert made.at(other, 2).retention_s == RETENTION_S_MAX
    assert len(made.between(other, 1, 2)) == 1


def test_what_the_app_holds_of_its_users() -> None:
    made = Rulebook([h.UserHeld(10, "shop", "ann", False), h.UserHeld(20, "shop", "ann", True)])
    assert made.always_good("shop", "bob", 0, 99)
    assert made.always_good("shop", "ann", 0, 9)
    assert not made.always_good("shop", "ann", 0, 10)
    assert not made.always_good("shop", "ann", 15, 25)
    assert made.always_good("shop", "ann", 21, 99)
