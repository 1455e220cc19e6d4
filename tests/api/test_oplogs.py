"""Oplogs as they are shown: with all that was said of them, under the names of the publish."""

from typing import Any

import pytest
from msgspec import Struct, json, structs

from mobilesync.api.oplogs import ShownContent, WhichOplog, named_channel, stored, weight
from mobilesync.api.publish import PublicationBody
from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Conditions, Rollout
from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.oplog import (
    Details,
    Oplog,
    Origin,
    Withdrawal,
    WithdrawalReason,
    Withdrawn,
)
from tests.api.fakes import Caller, FakeClock


def as_json(shown: Struct) -> Any:
    """What the caller gets."""
    return json.decode(json.encode(shown))


PLAIN = Oplog(3, b"hi", "m3", 100, 200)
APP = "/v1/apps/demo"


def test_what_is_plain_is_short() -> None:
    assert as_json(stored(PLAIN)) == {
        "id": 3,
        "message_id": "m3",
        "published_at_ms": 100,
        "expires_at_ms": 200,
        "payload": "hi",
    }
    assert as_json(stored(structs.replace(PLAIN, payload=b"")))["payload"] == ""
    binary = as_json(stored(structs.replace(PLAIN, payload=b"\xff")))
    assert (binary.get("payload"), binary["payload_base64"]) == (None, "/w==")


def test_whatever_there_is_is_shown() -> None:
    conditions = Conditions(
        ("ios",), "1.0", "2.0", ("ada",), 5, 9, (("plan", ("gold",)),), Rollout(12.5, "spring"),
        "d1",
    )  # fmt: skip
    details = Details(
        "volume",
        "orders",
        Origin("everyone", 7, by_operator=True),
        Withdrawal(((1, 2), (5, 5)), WithdrawalReason.CONSUMED, "d2"),
        Withdrawn(9, WithdrawalReason.RECALLED, 150),
    )
    shown = as_json(stored(structs.replace(PLAIN, conditions=conditions, details=details)))
    assert shown == as_json(stored(PLAIN)) | {
        "os": ["ios"],
        "app_version_min": "1.0",
        "app_version_max": "2.0",
        "users": ["ada"],
        "user_number_min": 5,
        "user_number_max": 9,
        "attributes": {"plan": ["gold"]},
        "rollout_percent": 12.5,
        "rollout_salt": "spring",
        "device": "d1",
        "key": "volume",
        "callback": "orders",
        "origin": {"target": "everyone", "id": 7, "by_operator": True},
        "withdraws": {"ids": [[1, 2], [5, 5]], "reason": "consumed", "by": "d2"},
        "withdrawn": {"by_id": 9, "reason": "recalled", "at_ms": 150, "by": ""},
    }


def test_every_condition_of_a_publish_is_shown_under_its_name() -> None:
    said = {field.name for field in structs.fields(PublicationBody)}
    elsewhere = {
        "biz", "target", "message_id", "payload_json", "valid_from_ms", "valid_until_ms",
    }  # fmt: skip
    assert said - elsewhere == {field.name for field in structs.fields(ShownContent)} - {"device"}
    assert len(structs.fields(Conditions)) == 9, "a new condition is to be shown, too"
    assert len(structs.fields(Details)) == 5


def test_large_conditions_weigh() -> None:
    large = structs.replace(PLAIN, conditions=Conditions(users=("x" * 100,) * 10))
    assert weight(PLAIN) == 2
    assert weight(large) > 1_000


async def test_what_was_published_is_what_is_shown(caller: Caller, clock: FakeClock) -> None:
    said = {
        "users": ["42", "43"],
        "user_number_min": 1,
        "user_number_max": 50,
        "attributes": {"plan": ["gold", "silver"], "beta": ["yes"]},
        "rollout_percent": 0.25,
        "key": "volume",
    }
    assert (await caller.publish(**said)).json()["code"] == "OK"
    (shown,) = (await caller.get(f"{APP}/oplogs?biz=CHAT&target=user:42")).json()["oplogs"]
    assert {name: shown[name] for name in said} == said
    assert shown["rollout_salt"] == "CHAT"
    later = said | {"rollout_salt": "spring", "valid_from_ms": clock.now_ms + 5_000}
    answer = await caller.publish(message_id="later", **later)
    assert answer.json() == {"id": 0, "message_id": "later", "code": "SCHEDULED"}
    (waiting,) = (await caller.get(f"{APP}/scheduled")).json()["scheduled"]
    assert {name: waiting[name] for name in said} == said
    assert (waiting["rollout_salt"], waiting["due_ms"]) == ("spring", clock.now_ms + 5_000)


def test_an_oplog_has_one_name() -> None:
    channel = Channel("demo", "CHAT", "everyone")
    which = WhichOplog(biz="CHAT", target="everyone", id=1)
    assert named_channel("demo", which) == channel
    for wrong in ({"id": None}, {"message_id": "m"}, {"biz": ""}, {"target": "x"}):
        with pytest.raises(InvalidRequest):
            named_channel("demo", structs.replace(which, **wrong))
