"""Bizzes of a seed: every kind of rule comes up, and every change is one that the service takes."""

import random

import msgspec
import pytest

from mobilesync.domain.sync_config import SyncConfig, check_sync_config
from mobilesync.sim.bizzes import CHANGED_MAX, RULE_KINDS, draw_bizzes, draw_change

BIZZES = ["CHAT", "PAY", "FLAGS", "MAIL", "LIVE"]


def test_without_kinds_every_rule_is_the_plainest() -> None:
    drawn = draw_bizzes(random.Random(1), frozenset())
    assert [config.biz for config in drawn] == BIZZES
    assert all(config.multi_device and not config.user_check for config in drawn)
    assert not any(config.repush_threshold for config in drawn)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_drawn_is_taken(seed: int) -> None:
    rng = random.Random(seed)
    for config in draw_bizzes(rng, frozenset(RULE_KINDS)):
        check_sync_config(config)
        for _ in range(20):
            changed = draw_change(rng, config)
            check_sync_config(changed)
            differing = [
                name for name in config.__struct_fields__
                if getattr(config, name) != getattr(changed, name)
            ]  # fmt: skip
            assert len(differing) <= CHANGED_MAX
            config = changed


def test_all_kinds_show_in_the_bizzes() -> None:
    everything = [
        config
        for seed in range(40)
        for config in draw_bizzes(random.Random(seed), frozenset(RULE_KINDS))
    ]
    assert any(not config.multi_device for config in everything)
    assert any(config.consumed_by == "one" for config in everything)
    assert any(config.target_kind == "user" for config in everything)
    assert any(config.user_check for config in everything)
    assert any(config.repush_threshold for config in everything)
    assert any(config.retention_s < 100 for config in everything)


def test_every_rule_changes_some_time() -> None:
    rng = random.Random(3)
    config = SyncConfig(biz="CHAT")
    seen: set[str] = set()
    for _ in range(400):
        changed = draw_change(rng, config)
        for name in config.__struct_fields__:
            if getattr(config, name) != getattr(changed, name):
                seen.add(name)
        config = msgspec.structs.replace(changed)
    rules = {"scope", "target_kind", "multi_device", "consumed_by", "persistent", "retention_s"}
    assert seen == rules | {"repush_threshold", "user_check", "status", "priority"}
