"""The two tables of rules: each rule alone, and which one is told when several apply."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Attributes, Conditions, Rollout
from mobilesync.domain.oplog import (
    Details,
    Oplog,
    Origin,
    Withdrawal,
    WithdrawalReason,
    Withdrawn,
)
from mobilesync.domain.reasons import Reason
from mobilesync.domain.rules import (
    CHANNEL_RULES,
    OPLOG_RULES,
    Look,
    Viewer,
    is_plain,
    refusal,
    withheld,
)
from mobilesync.domain.sync_config import SyncConfig

NOW_MS = 1000
LOOK = Look(NOW_MS)
VIEWER = Viewer("phone", "ada", Attributes("ios", "2.0", {"tier": "gold"}))
RECALL = Withdrawal(((1, 2),), WithdrawalReason.RECALLED)
CONSUMPTION = Withdrawal(((1, 2),), WithdrawalReason.CONSUMED, "phone")
RECALLED = Withdrawn(9, WithdrawalReason.RECALLED, 5)
CONSUMED = Withdrawn(9, WithdrawalReason.CONSUMED, 5, "tablet")


def oplog(
    oplog_id: int = 1,
    *,
    conditions: Conditions | None = None,
    ends_at_ms: int = NOW_MS + 1,
    **details: Any,
) -> Oplog:
    made = Details(**details) if details else None
    return Oplog(oplog_id, b"x", "m", 1, ends_at_ms, True, conditions, made)


def only(**conditions: Any) -> Conditions:
    return Conditions(**conditions)


def keyed(oplog_id: int, **more: Any) -> Oplog:
    return oplog(oplog_id, key="k", **more)


OPLOG_CASES: list[tuple[Reason | None, Oplog, Viewer, Look]] = [
    (None, oplog(), VIEWER, LOOK),
    (Reason.RECALLED, oplog(withdrawn=RECALLED), VIEWER, LOOK),
    (Reason.CONSUMED, oplog(withdrawn=CONSUMED), VIEWER, LOOK),
    (Reason.NOT_ASKED, oplog(withdraws=RECALL), VIEWER, LOOK),
    (Reason.EXPIRED, oplog(ends_at_ms=NOW_MS), VIEWER, LOOK),
    (None, oplog(ends_at_ms=NOW_MS + 1), VIEWER, LOOK),
    (Reason.OTHER_DEVICE, oplog(conditions=only(device="tablet")), VIEWER, LOOK),
    (None, oplog(conditions=only(device="phone")), VIEWER, LOOK),
    (Reason.AUDIENCE, oplog(conditions=only(users=("bob",))), VIEWER, LOOK),
    (Reason.AUDIENCE, oplog(conditions=only(user_number_min=1)), VIEWER, LOOK),
    (None, oplog(conditions=only(users=("bob", "ada"))), VIEWER, LOOK),
    (Reason.OS, oplog(conditions=only(os=("android",))), VIEWER, LOOK),
    (None, oplog(conditions=only(os=("ios",))), VIEWER, LOOK),
    (Reason.VERSION, oplog(conditions=only(app_version_min="2.1")), VIEWER, LOOK),
    (Reason.VERSION, oplog(conditions=only(app_version_max="1.9")), VIEWER, LOOK),
    (None, oplog(conditions=only(app_version_min="2.0")), VIEWER, LOOK),
    (
        Reason.ATTRIBUTES,
        oplog(conditions=only(attributes=(("tier", ("tin",)),))),
        VIEWER,
        LOOK,
    ),
    (None, oplog(conditions=only(attributes=(("tier", ("gold",)),))), VIEWER, LOOK),
    (Reason.ROLLOUT, oplog(conditions=only(rollout=Rollout(0, "s"))), VIEWER, LOOK),
    (None, oplog(conditions=only(rollout=Rollout(100, "s"))), VIEWER, LOOK),
    (Reason.SUPERSEDED, keyed(1), VIEWER, Look(NOW_MS, (keyed(2),))),
    (Reason.OFFERED, oplog(origin=Origin("user:ada", 3)), VIEWER, Look(NOW_MS, (), True)),
    (None, oplog(origin=Origin("user:ada", 3)), VIEWER, LOOK),
]
"""Each: the reason, what is judged, for whom, and by what else."""


class TestOplogRules:
    @pytest.mark.parametrize("reason, judged, viewer, look", OPLOG_CASES)
    def test_each_alone(
        self, reason: Reason | None, judged: Oplog, viewer: Viewer, look: Look
    ) -> None:
        assert refusal(judged, viewer, look) is reason

    def test_who_asks_is_told_what_was_withdrawn_unless_it_did_that_itself(self) -> None:
        asks = structs.replace(VIEWER, asks_withdrawals=True)
        assert refusal(oplog(withdraws=RECALL), asks, LOOK) is None
        assert refusal(oplog(withdraws=CONSUMPTION), asks, LOOK) is Reason.NOT_ASKED
        tablet = structs.replace(asks, device="tablet")
        assert refusal(oplog(withdraws=CONSUMPTION), tablet, LOOK) is None

    def test_every_rule_was_met_above(self) -> None:
        met = {reason for reason, *_ in OPLOG_CASES} - {None}
        assert met == {rule.reason for rule in OPLOG_RULES}


class TestSuperseded:
    @pytest.mark.parametrize(
        "newer, replaced",
        [
            ((), False),
            ((keyed(6),), True),
            ((keyed(6, withdrawn=RECALLED),), False),
            ((keyed(7, withdrawn=RECALLED), keyed(6)), True),
            ((keyed(6, withdrawn=CONSUMED),), True),
            ((keyed(6, conditions=only(os=("android",))),), False),
            ((keyed(7, conditions=only(os=("android",))), keyed(6)), True),
            ((keyed(6, ends_at_ms=1),), True),
        ],
    )
    def test_by_a_newer_one_that_the_device_may_see(
        self, newer: Sequence[Oplog], replaced: bool
    ) -> None:
        found = refusal(keyed(5), VIEWER, Look(NOW_MS, newer))
        assert found is (Reason.SUPERSEDED if replaced else None)


def test_the_first_rule_of_the_table_is_the_reason() -> None:
    """An oplog to which every rule applies, healed of one rule after the other."""
    everything: dict[str, Any] = {
        "device": "tablet",
        "users": ("bob",),
        "os": ("android",),
        "app_version_min": "9",
        "attributes": (("tier", ("tin",)),),
        "rollout": Rollout(0, "s"),
    }
    details: dict[str, Any] = {"key": "k", "withdrawn": RECALLED, "withdraws": RECALL}
    ends_at_ms, look = NOW_MS, Look(NOW_MS, (keyed(2),), is_offered=True)
    healed = [
        (details, "withdrawn", CONSUMED),
        (details, "withdrawn", None),
        (details, "withdraws", None),
        (None, "ends_at_ms", NOW_MS + 1),
        (everything, "device", ""),
        (everything, "users", ()),
        (everything, "os", ()),
        (everything, "app_version_min", ""),
        (everything, "attributes", ()),
        (everything, "rollout", None),
        (None, "newer", ()),
        (None, "is_offered", False),
    ]
    found = []
    for place, name, value in healed:
        judged = oplog(conditions=only(**everything), ends_at_ms=ends_at_ms, **details)
        found.append(refusal(judged, VIEWER, look))
        if place is not None:
            place[name] = value
        elif name == "ends_at_ms":
            ends_at_ms = NOW_MS + 1
        else:
            look = structs.replace(look, **{name: value})
    assert found == [rule.reason for rule in OPLOG_RULES]
    judged = oplog(conditions=only(**everything), ends_at_ms=ends_at_ms, **details)
    assert refusal(judged, VIEWER, look) is None


USER = Channel("shop", "CHAT", "user:ada")
DEVICE = Channel("shop", "CHAT", "device:phone")
EVERYONE = Channel("shop", "CHAT", "everyone")
NOBODY = structs.replace(VIEWER, user="")
OLDER = structs.replace(VIEWER, is_newest=False)
VALIDATED = structs.replace(VIEWER, is_validated=True)
FOR_USERS: dict[str, Any] = {"target_kind": "user", "scope": "appointed"}


class TestChannelRules:
    @pytest.mark.parametrize(
        "reason, rules, channel, viewer",
        [
            (None, {}, USER, VIEWER),
            (None, {}, EVERYONE, NOBODY),
            (Reason.CONFIG_OFFLINE, {"status": "offline"}, USER, VIEWER),
            (Reason.NO_USER, {"target_kind": "user"}, EVERYONE, NOBODY),
            (None, {"target_kind": "user"}, EVERYONE, VIEWER),
            (None, {"target_kind": "user"}, USER, NOBODY),
            (None, {"target_kind": "device"}, EVERYONE, NOBODY),
            (Reason.USER_CHECK, {"target_kind": "user", "user_check": True}, USER, VIEWER),
            (None, {"target_kind": "user", "user_check": True}, USER, VALIDATED),
            (Reason.NOT_NEWEST, {**FOR_USERS, "multi_device": False}, USER, OLDER),
            (None, {**FOR_USERS, "multi_device": False}, USER, VIEWER),
            (None, FOR_USERS, USER, OLDER),
            (None, {**FOR_USERS, "multi_device": False}, DEVICE, OLDER),
        ],
    )
    def test_each_alone(
        self, reason: Reason | None, rules: dict[str, Any], channel: Channel, viewer: Viewer
    ) -> None:
        assert withheld(SyncConfig(biz="CHAT", **rules), channel, viewer) is reason

    def test_a_removed_biz_withholds_nothing(self) -> None:
        assert withheld(None, USER, OLDER) is None

    def test_the_first_rule_of_the_table_is_the_reason(self) -> None:
        rules: dict[str, Any] = {
            "status": "offline",
            "target_kind": "user",
            "user_check": True,
            "multi_device": False,
        }
        found = [withheld(SyncConfig(biz="C", **rules), EVERYONE, NOBODY)]
        rules["status"] = "online"
        found.append(withheld(SyncConfig(biz="C", **rules), EVERYONE, NOBODY))
        found.append(withheld(SyncConfig(biz="C", **rules), USER, OLDER))
        rules["user_check"] = False
        found.append(withheld(SyncConfig(biz="C", **rules), USER, OLDER))
        assert found == [rule.reason for rule in CHANNEL_RULES]


def test_a_plain_oplog_is_refused_only_for_its_end() -> None:
    assert is_plain(oplog())
    assert not is_plain(oplog(conditions=only(os=("ios",))))
    assert not is_plain(oplog(key="k"))
    strange = Viewer("", "", Attributes())
    assert refusal(oplog(), strange, Look(NOW_MS)) is None
    assert refusal(oplog(), strange, Look(NOW_MS + 1)) is Reason.EXPIRED


def test_the_tables_can_be_read_by_people() -> None:
    for rules in (OPLOG_RULES, CHANNEL_RULES):
        assert len({rule.reason for rule in rules}) == len(rules)
        for rule in rules:
            assert rule.when
            assert not rule.when.endswith(".")
    assert all(rule.until for rule in CHANNEL_RULES)
