"""Publications: what is sent for them, and nothing that was not said."""

import base64
import json
import random
from dataclasses import fields
from typing import Any, get_type_hints

import msgspec
import pytest

from mobilesync.api.publish import PublicationBody
from mobilesync.publishing.publication import Publication, PublishOptions, row_of


def sent(publication: Publication) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(msgspec.json.encode(row_of(publication, random.Random(1))))
    return row


def test_only_what_was_said_is_sent() -> None:
    assert sent(Publication("CHAT", "user:1", "grüße", "m1")) == {
        "biz": "CHAT",
        "target": "user:1",
        "message_id": "m1",
        "payload": "grüße",
    }
    empty = Publication("A", "b", "", "m", os=[], users=[], attributes={}, key="")
    assert sent(empty) == {"biz": "A", "target": "b", "message_id": "m", "payload": ""}


def test_all_that_was_said_is_sent() -> None:
    said: dict[str, Any] = {
        "valid_until_ms": 5,
        "os": ("ios",),
        "app_version_min": "1",
        "app_version_max": "2",
        "users": {"ada": 1},
        "user_number_min": 3,
        "user_number_max": 4,
        "attributes": {"plan": ("gold",)},
        "rollout_percent": 0.0,
        "rollout_salt": "s",
        "key": "k",
        "valid_from_ms": 0,
        "callback": "orders",
    }
    row = sent(Publication("PAY", "user:1", b"\xff\x00", "m1", **said))
    assert base64.b64decode(row.pop("payload_base64")) == b"\xff\x00"
    assert row == {"biz": "PAY", "target": "user:1", "message_id": "m1"} | said | {
        "os": ["ios"],
        "users": ["ada"],
        "attributes": {"plan": ["gold"]},
    }


def test_a_message_id_is_made_if_there_is_none() -> None:
    entropy = random.Random(1)
    made = {row_of(Publication("CHAT", "user:1", ""), entropy)["message_id"] for _ in range(3)}
    assert len(made) == 3
    assert {len(each) for each in made} == {32}


def test_objects_are_sent_as_json() -> None:
    assert sent(Publication("A", "b", {"a": [1, None]}))["payload_json"] == {"a": [1, None]}
    assert sent(Publication("A", "b", []))["payload_json"] == []
    with pytest.raises(TypeError):
        sent(Publication("A", "b", {"a": object()}))


def test_whatever_the_api_takes_can_be_said() -> None:
    taken = {field.name for field in msgspec.structs.fields(PublicationBody)}
    said = {field.name for field in fields(Publication)}
    assert said == taken - {"payload_base64", "payload_json"}
    assert set(get_type_hints(PublishOptions)) == said - {"biz", "target", "payload"}
