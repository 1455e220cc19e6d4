"""The rules of a biz: what is refused before it is stored."""

from typing import Any

import msgspec
import pytest

from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.sync_config import (
    PRIORITY_MAX,
    REPUSH_THRESHOLD_MAX,
    RETENTION_S_MAX,
    SyncConfig,
    check_sync_config,
)


def test_the_defaults_are_thirty_days_online_and_kept() -> None:
    config = check_sync_config(SyncConfig(biz="CHAT"))
    assert (config.retention_s, config.status, config.persistent) == (2_592_000, "online", True)


@pytest.mark.parametrize("retention_s", [1, RETENTION_S_MAX])
def test_retention_at_its_bounds(retention_s: int) -> None:
    check_sync_config(SyncConfig(biz="CHAT", retention_s=retention_s))


@pytest.mark.parametrize(
    "field, value",
    [
        ("biz", ""),
        ("biz", "a/b"),
        ("retention_s", 0),
        ("retention_s", -1),
        ("retention_s", RETENTION_S_MAX + 1),
        ("description", "x" * 1001),
        ("status", "paused"),
        ("scope", "some"),
        ("target_kind", "everyone"),
        ("consumed_by", "two"),
        ("repush_threshold", -1),
        ("repush_threshold", REPUSH_THRESHOLD_MAX + 1),
        ("priority", PRIORITY_MAX + 1),
        ("priority", -PRIORITY_MAX - 1),
    ],
)
def test_what_makes_no_sense_is_refused(field: str, value: Any) -> None:
    fields: dict[str, Any] = {"biz": "CHAT", field: value}
    with pytest.raises(InvalidRequest) as caught:
        check_sync_config(SyncConfig(**fields))
    assert caught.value.field == field
    assert caught.value.hint


FOR_ONE_USER: dict[str, Any] = {"target_kind": "user", "scope": "appointed"}


def test_the_defaults_are_the_widest_rules() -> None:
    config = SyncConfig(biz="CHAT")
    assert (config.scope, config.target_kind, config.consumed_by) == ("any", "any", "each")
    assert (config.multi_device, config.user_check) == (True, False)
    assert (config.repush_threshold, config.priority) == (0, 0)
    assert not config.has_user_points
    assert config.is_open


@pytest.mark.parametrize(
    "rules",
    [
        {**FOR_ONE_USER, "multi_device": False},
        {**FOR_ONE_USER, "multi_device": False, "persistent": False},
        {**FOR_ONE_USER, "multi_device": False, "repush_threshold": 5},
        {**FOR_ONE_USER, "consumed_by": "one"},
        {"target_kind": "user", "user_check": True},
        {"target_kind": "user", "scope": "global", "user_check": True},
        {"target_kind": "device", "scope": "global"},
        {"persistent": False},
        {"repush_threshold": REPUSH_THRESHOLD_MAX},
        {"status": "offline", "priority": -PRIORITY_MAX},
    ],
)
def test_rules_that_go_together(rules: dict[str, Any]) -> None:
    config = SyncConfig(biz="CHAT", **rules)
    assert check_sync_config(config) is config
    assert config.has_user_points is (rules.get("multi_device") is False)
    closing = {"status", "user_check", "multi_device"} & {*rules}
    assert config.is_open is (not closing and rules.get("target_kind") != "user")


@pytest.mark.parametrize(
    "field, rules",
    [
        ("multi_device", {"multi_device": False}),
        ("multi_device", {"multi_device": False, "target_kind": "user"}),
        ("multi_device", {"multi_device": False, "scope": "appointed"}),
        ("multi_device", {**FOR_ONE_USER, "scope": "global", "multi_device": False}),
        ("multi_device", {**FOR_ONE_USER, "target_kind": "device", "multi_device": False}),
        ("user_check", {"user_check": True}),
        ("user_check", {"user_check": True, "target_kind": "device"}),
        ("consumed_by", {"consumed_by": "one"}),
        ("consumed_by", {"consumed_by": "one", "target_kind": "user"}),
        ("consumed_by", {**FOR_ONE_USER, "scope": "global", "consumed_by": "one"}),
        ("consumed_by", {**FOR_ONE_USER, "consumed_by": "one", "multi_device": False}),
        ("consumed_by", {**FOR_ONE_USER, "consumed_by": "one", "persistent": False}),
        ("consumed_by", {**FOR_ONE_USER, "consumed_by": "one", "repush_threshold": 1}),
        ("repush_threshold", {"repush_threshold": 1, "persistent": False}),
    ],
)
def test_rules_that_contradict_each_other(field: str, rules: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="contradicts") as caught:
        check_sync_config(SyncConfig(biz="CHAT", **rules))
    assert caught.value.field == field
    assert caught.value.hint


def test_it_survives_being_stored_and_older_ones_are_read() -> None:
    config = SyncConfig(biz="CHAT", **FOR_ONE_USER, multi_device=False, priority=7)
    assert msgspec.json.decode(msgspec.json.encode(config), type=SyncConfig) == config
    assert msgspec.json.decode(b'{"biz":"CHAT"}', type=SyncConfig) == SyncConfig(biz="CHAT")
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"biz":"CHAT","scope":"some"}', type=SyncConfig)
