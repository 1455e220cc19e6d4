"""What a change means: a sentence for each rule, with figures that are true."""

import pytest
from msgspec import convert

from mobilesync.domain.config_change import ConfigChange, rules_of
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.domain.sync_point import Head
from mobilesync.engine.impact import Facts, facts_of, impact, shown
from tests.engine.world import APP, World, settle, simulated

PLAIN = SyncConfig(biz="NEWS")
FACTS = Facts(
    sessions=12,
    logged_in=9,
    validated=3,
    users_with_several=1,
    everyone={"NEWS": Head(40, epoch=7, trimmed=10)},
)


def _changed(**rules: object) -> ConfigChange:
    values = {**rules_of(PLAIN), **rules}
    return ConfigChange("NEWS", PLAIN, convert({"biz": "NEWS", **values}, SyncConfig))


CASES: list[tuple[str, object, str, str]] = [
    (
        "status",
        "offline",
        "online → offline: publishes are refused, and the backlog of 12 living sessions is",
        "offline → online: publishes are taken",
    ),
    ("scope", "appointed", "what everyone's channel holds, up to 40, is", "are taken from now on"),
    ("scope", "global", "publishes to single users and devices are refused", "are taken"),
    ("target_kind", "user", "logged in: 9 of 12 living sessions", "logged in or not"),
    ("target_kind", "device", "publishes to single users are refused", "are taken from now on"),
    ("multi_device", False, "only the one that connected last", "now 1 user with several living"),
    ("consumed_by", "one", "is withdrawn from the user's others", "stays on the user's others"),
    ("persistent", False, "kept for nobody", "are stored, and pushed to who comes later"),
    ("repush_threshold", 5, "only the newest 5 of a longer backlog", "gets its whole backlog"),
    ("user_check", True, "withheld, not lost", "validated are 3 of 12 living sessions"),
    ("retention_s", 7 * 86400, "30 d → 7 d: holds for oplogs published", "7 d → 30 d: holds for"),
    ("priority", -1, "0 → -1: while a device catches up", "-1 → 0: while a device catches up"),
]
"""A rule, its new value, some words of what that means, and of what undoing it means."""


@pytest.mark.parametrize("rule, value, words, undone", CASES)
def test_each_rule_has_its_sentence(rule: str, value: object, words: str, undone: str) -> None:
    change = _changed(**{rule: value})
    for each, expected in (
        (change, words),
        (ConfigChange("NEWS", change.after, PLAIN), undone),
    ):
        (sentence,) = impact(each, FACTS)
        assert sentence.startswith(f"{rule} ")
        assert expected in sentence


def test_every_rule_but_the_description_means_something() -> None:
    other = SyncConfig(
        biz="NEWS", description="d", scope="appointed", target_kind="user", multi_device=False,
        consumed_by="one", persistent=False, retention_s=1, repush_threshold=1, user_check=True,
        status="offline", priority=1,
    )  # fmt: skip
    told = {sentence.split(" ")[0] for sentence in impact(ConfigChange("X", PLAIN, other), FACTS)}
    assert told == {*rules_of(PLAIN)} - {"description"}
    assert impact(_changed(description="new"), FACTS) == []
    assert impact(ConfigChange("NEWS", PLAIN, PLAIN), FACTS) == []


def test_a_biz_that_comes_says_so_and_what_is_special() -> None:
    made = ConfigChange("NEWS", None, SyncConfig(biz="NEWS", status="offline"))
    first, second = impact(made, Facts())
    assert first == "created: publishes to it are taken from now on"
    assert second.startswith("status offline: publishes are refused, and the backlog of 0 living")
    assert "go on (that of everyone after 40)" in impact(made, FACTS)[0]


def test_a_biz_that_goes_says_so() -> None:
    gone = ConfigChange("NEWS", PLAIN, None)
    assert impact(gone, FACTS) == [
        "removed: publishes are refused; what is stored ends with its retention"
    ]
    (sentence,) = impact(gone, Facts(creates_on_first_use=True))
    assert "the next publish brings it back" in sentence


def test_nothing_is_said_of_a_channel_that_is_empty() -> None:
    empty = Facts(everyone={"NEWS": Head(40, epoch=7, trimmed=40)})
    assert "up to" not in impact(_changed(scope="appointed"), empty)[0]


@pytest.mark.parametrize(
    "seconds, text",
    [(86_400, "1 d"), (90_000, "25 h"), (120, "2 min"), (61, "61 s"), (0, "0 s")],
)
def test_times_are_shown_in_the_largest_unit_that_fits(seconds: int, text: str) -> None:
    assert shown("retention_s", seconds) == text


def test_values_are_shown_as_people_write_them() -> None:
    assert shown("persistent", True) == "true"
    assert shown("persistent", False) == "false"
    assert shown("priority", 60) == "60"
    assert shown("scope", "any") == "any"


@simulated
async def test_the_facts_are_the_server_s() -> None:
    async with World() as world:
        await world.online("d1", "u1")
        await world.online("d2", "u1")
        await world.online("d3", "u2")
        await world.online("d4", "")
        other = world.device("d5", "u9", app="other")
        other.connect()
        await world.publish("everyone", b"1", b"2")
        await world.publish("user:u1", b"3", biz="ALERT")
        await settle()
        session = world.sessions.of_device(APP, "d3")
        assert session is not None
        world.sessions.validated(session)
        facts = await facts_of(APP, world.sessions, world.store, creates_on_first_use=True)
        assert (facts.sessions, facts.logged_in, facts.validated) == (4, 3, 1)
        assert facts.users_with_several == 1
        assert {biz: head.last for biz, head in facts.everyone.items()} == {"CHAT": 2}
        assert facts.creates_on_first_use
