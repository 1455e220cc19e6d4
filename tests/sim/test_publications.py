"""Publications are for whom the biz is, now and then not, and have what the seed switched on."""

import random
from dataclasses import replace

from mobilesync.domain.sync_config import SyncConfig
from mobilesync.sim.bizzes import RULE_KINDS
from mobilesync.sim.publications import Publications
from mobilesync.sim.scenario import scenario

DRAWN = replace(scenario(random.Random(1)), users=("ann", "7"), poison_share=0.0)


def test_without_kinds_there_are_only_the_oldest_conditions() -> None:
    made = Publications(random.Random(2), replace(DRAWN, rules=frozenset()))
    drawn = [made.draw("shop", 1_000) for _ in range(300)]
    assert {item.message_id for item in drawn} == {f"m{n}" for n in range(1, 301)}
    assert not any(item.users or item.user_number_min or item.user_number_max for item in drawn)
    assert not any(item.attributes or item.key or item.rollout_percent < 100 for item in drawn)
    assert {item.os for item in drawn} == {(), ("ios",), ("ios", "android")}
    assert all(item.valid_until_ms is None or item.valid_until_ms > 1_000 for item in drawn)


def test_with_all_kinds_there_is_everything() -> None:
    made = Publications(random.Random(2), replace(DRAWN, rules=frozenset(RULE_KINDS)))
    drawn = [made.draw("shop", 1_000) for _ in range(300)]
    assert {item.key for item in drawn} == {"", "k1", "k2"}
    assert {item.rollout_percent for item in drawn} == {25.0, 60.0, 100.0}
    assert any(item.users for item in drawn)
    assert any(item.user_number_min or item.user_number_max for item in drawn)
    assert {name for item in drawn for name in item.attributes} == {"lang", "tier"}
    later = [item for item in drawn if item.valid_from_ms is not None]
    assert 0 < len(later) < 150
    assert all((item.valid_until_ms or 2**63) > (item.valid_from_ms or 0) > 1_000 for item in later)


def test_what_is_only_pushed_is_not_scheduled() -> None:
    config = SyncConfig(biz="LIVE", persistent=False)
    everything = replace(DRAWN, rules=frozenset(RULE_KINDS), bizzes=(config,))
    made = Publications(random.Random(2), everything)
    assert not any(made.draw("shop", 0).valid_from_ms for _ in range(100))


def test_targets_are_those_of_the_biz_but_for_a_few() -> None:
    config = SyncConfig(biz="MAIL", target_kind="user", scope="appointed")
    made = Publications(random.Random(2), replace(DRAWN, bizzes=(config,)))
    targets = [made.draw("shop", 0).target for _ in range(300)]
    wrong = [target for target in targets if not target.startswith("user:")]
    assert 0 < len(wrong) < 30
    everybody = SyncConfig(biz="FLAGS", scope="global")
    made = Publications(random.Random(2), replace(DRAWN, bizzes=(everybody,)))
    targets = [made.draw("shop", 0).target for _ in range(300)]
    assert 0 < sum(target != "everyone" for target in targets) < 30


def test_the_first_byte_is_a_habit() -> None:
    made = Publications(random.Random(2), replace(DRAWN, poison_share=1.0))
    assert made.payload()[:1] == b"p"
    made = Publications(random.Random(2), DRAWN)
    assert {made.payload()[:1] for _ in range(200)} == {b"n", b"s", b"f", b"h"}
