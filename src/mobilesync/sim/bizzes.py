"""The bizzes of a seed: which rules each begins with, and what an operator makes of them later.

Strategy: a seed switches kinds of rules on; each biz takes those that suit it. A change draws rules
anew, again and again until the whole is a config that the service takes.

Not here: what is published (publications.py), when rules change (operator_faults.py).
"""

import random
from collections.abc import Callable
from typing import Any

import msgspec

from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.sync_config import DAY_S, SyncConfig, check_sync_config

RULE_KINDS = (
    "one_point", "consumed_by_one", "for_users", "threshold", "user_check", "short_retention",
    "keys", "audiences", "attributes", "rollout", "scheduled",
)  # fmt: skip
"""The last five are rules of a publish."""

LONG_S = 30 * DAY_S
CHANGES_TRIED_MAX = 50
CHANGED_MAX = 5
"""Rules that one change draws anew."""


def draw_bizzes(rng: random.Random, kinds: frozenset[str]) -> tuple[SyncConfig, ...]:
    """What each biz begins with."""
    points = "one_point" in kinds and ("consumed_by_one" not in kinds or rng.random() < 0.5)
    return (
        SyncConfig(biz="CHAT", retention_s=_retention(rng, kinds), **_threshold(rng, kinds)),
        SyncConfig(
            biz="PAY",
            retention_s=_retention(rng, kinds),
            priority=rng.choice((0, 5)),
            **_for_users(rng, kinds),
        ),
        SyncConfig(
            biz="FLAGS",
            retention_s=_retention(rng, kinds),
            scope="global" if "for_users" in kinds else "any",
            **_for_users(rng, kinds),
        ),
        SyncConfig(
            biz="MAIL",
            retention_s=_retention(rng, kinds),
            scope="appointed",
            target_kind="user",
            multi_device=not points,
            consumed_by="one" if "consumed_by_one" in kinds and not points else "each",
            user_check="user_check" in kinds and rng.random() < 0.5,
        ),
        SyncConfig(biz="LIVE", persistent=False, **_for_users(rng, kinds)),
    )


def draw_change(rng: random.Random, rules: SyncConfig) -> SyncConfig:
    """`rules` with one or a few drawn anew, such that nothing contradicts."""
    for _ in range(CHANGES_TRIED_MAX):
        # Some rules need others: one by one they would hardly ever come.
        names = rng.sample(tuple(_DRAWS), rng.choice((1, 1, CHANGED_MAX)))
        changed = msgspec.structs.replace(rules, **{name: _DRAWS[name](rng) for name in names})
        if changed == rules:
            continue
        try:
            return check_sync_config(changed)
        except InvalidRequest:
            continue
    return rules


_DRAWS: dict[str, Callable[[random.Random], Any]] = {
    "scope": lambda rng: rng.choice(("any", "appointed", "global")),
    "target_kind": lambda rng: rng.choice(("any", "user", "device")),
    "multi_device": lambda rng: rng.random() < 0.5,
    "consumed_by": lambda rng: rng.choice(("each", "one")),
    "persistent": lambda rng: rng.random() < 0.5,
    "retention_s": lambda rng: rng.choice((LONG_S, rng.randint(15, 90))),
    "repush_threshold": lambda rng: rng.choice((0, 1, 2, 5)),
    "user_check": lambda rng: rng.random() < 0.5,
    "status": lambda rng: rng.choice(("online", "offline")),
    "priority": lambda rng: rng.randint(-5, 5),
}


def _retention(rng: random.Random, kinds: frozenset[str]) -> int:
    return rng.randint(15, 90) if "short_retention" in kinds and rng.random() < 0.5 else LONG_S


def _threshold(rng: random.Random, kinds: frozenset[str]) -> dict[str, Any]:
    return {"repush_threshold": rng.choice((1, 2, 3, 5)) if "threshold" in kinds else 0}


def _for_users(rng: random.Random, kinds: frozenset[str]) -> dict[str, Any]:
    check = "user_check" in kinds and rng.random() < 0.5
    return {"target_kind": "user" if "for_users" in kinds or check else "any", "user_check": check}
