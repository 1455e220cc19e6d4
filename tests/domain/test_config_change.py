"""What changes: biz by biz, rule by rule, and every wrong biz told at once."""

import pytest

from mobilesync.domain.config_change import (
    NAME_CHARS_SHOWN,
    ConfigChange,
    InvalidConfigs,
    RuleChange,
    changes_between,
    own_rules,
    revision_of,
    rules_of,
)
from mobilesync.domain.sync_config import SyncConfig

CHAT = SyncConfig(biz="CHAT", retention_s=60)
NEWS = SyncConfig(biz="NEWS", scope="global")


def _actions(changes: list[ConfigChange]) -> list[tuple[str, str]]:
    return [(change.biz, change.action) for change in changes]


def test_each_wanted_biz_is_compared_in_order_of_names() -> None:
    wanted = [
        SyncConfig(biz="WEATHER"),
        SyncConfig(biz="NEWS", scope="global"),
        SyncConfig(biz="CHAT", retention_s=61),
    ]
    changes = changes_between([CHAT, NEWS], wanted, prune=False)
    assert _actions(changes) == [("CHAT", "change"), ("NEWS", "none"), ("WEATHER", "create")]
    assert changes[0].rules == [RuleChange("retention_s", 60, 61)]
    assert changes[1].rules == changes[2].rules == []


def test_what_is_not_wanted_goes_only_with_prune() -> None:
    assert _actions(changes_between([CHAT, NEWS], [CHAT], prune=False)) == [("CHAT", "none")]
    changes = changes_between([CHAT, NEWS], [CHAT], prune=True)
    assert _actions(changes) == [("CHAT", "none"), ("NEWS", "remove")]
    assert _actions(changes_between([CHAT], [], prune=False)) == []


def test_of_a_biz_that_comes_or_goes_what_is_not_the_default_is_told() -> None:
    rules = {"scope": "global", "persistent": False}
    news = SyncConfig(biz="NEWS", scope="global", persistent=False)
    created = ConfigChange("NEWS", None, news)
    removed = ConfigChange("NEWS", news, None)
    assert {each.rule: each.after for each in created.rules} == rules
    assert {each.rule: each.before for each in removed.rules} == rules
    assert {each.before for each in created.rules} == {None}
    assert {each.after for each in removed.rules} == {None}


def test_every_rule_is_compared() -> None:
    plain = rules_of(SyncConfig(biz="X"))
    assert "biz" not in plain
    other = SyncConfig(
        biz="X", description="d", scope="appointed", target_kind="user", multi_device=False,
        consumed_by="one", persistent=False, retention_s=1, repush_threshold=1, user_check=True,
        status="offline", priority=1,
    )  # fmt: skip
    assert list(own_rules(other)) == list(plain)
    assert own_rules(SyncConfig(biz="X")) == {}
    assert [each.rule for each in ConfigChange("X", SyncConfig(biz="X"), other).rules] == [*plain]


def test_every_wrong_biz_is_told_with_its_place() -> None:
    wanted = [
        CHAT,
        SyncConfig(biz="SHORT", retention_s=0),
        SyncConfig(biz="ONE", consumed_by="one"),
        CHAT,
        SyncConfig(biz="no name" * 100),
    ]
    with pytest.raises(InvalidConfigs) as caught:
        changes_between([], wanted, prune=False)
    items = caught.value.items
    assert [(place, error.field) for place, error in items] == [
        (1, "retention_s"),
        (2, "consumed_by"),
        (3, "biz"),
        (4, "biz"),
    ]
    assert all(error.hint for _, error in items)
    assert items[0][1].message.startswith("SHORT: ")
    assert items[2][1].message == "CHAT: it stands there twice"
    assert len(items[3][1].message) < NAME_CHARS_SHOWN + 40


def test_equal_states_have_equal_revisions_and_others_do_not() -> None:
    assert revision_of([CHAT, NEWS]) == revision_of([NEWS, CHAT])
    states = [[], [CHAT], [NEWS], [CHAT, NEWS], [CHAT, SyncConfig(biz="NEWS")]]
    assert len({revision_of(state) for state in states}) == len(states)
