"""Calls: where each goes, what it sends, and that its answer is read or refused."""

import json
import random
from typing import Any

import msgspec
import pytest

from mobilesync.api.errors import HttpError
from mobilesync.api.routes import OPERATIONS, Routes
from mobilesync.publishing import calls
from mobilesync.publishing.answers import Published, Recalled
from mobilesync.publishing.calls import Call, Effect, which_oplog
from mobilesync.publishing.publication import Publication

WHICH = which_oplog("CHAT", "user:1", 7, "")
HI = Publication("CHAT", "user:1", "hi")


def all_calls() -> list[tuple[str, Call[Any]]]:
    entropy = random.Random(1)
    app, device = "demo", "a/b"
    return [
        ("publish", calls.publish(app, [HI], entropy)),
        ("dry_run", calls.dry_run(app, HI, entropy)),
        ("recall", calls.recall(app, WHICH)),
        ("offer_again", calls.offer_again(app, WHICH, device)),
        ("replay", calls.replay(app, "CHAT", "user:1", device, 0)),
        ("explain", calls.explain(app, WHICH, device)),
        ("list_receipts", calls.receipts(app, WHICH, "", 10)),
    ]


@pytest.mark.parametrize("name, call", all_calls(), ids=[name for name, _ in all_calls()])
def test_each_goes_to_its_operation(name: str, call: Call[Any]) -> None:
    operation, path = Routes(OPERATIONS).find(call.method, call.path.encode())
    assert operation.name == name
    assert path["app"] == "demo"
    assert path.get("device", "a/b") == "a/b"
    if operation.body is not None:
        assert call.content is not None
        operation.body.decode(call.content)
    if operation.query is not None:
        given = {name: str(value) for name, value in call.query.items()}
        msgspec.convert(given, operation.query, strict=False)
    for nonsense in (b"", b"{}" if name == "publish" else b"[]", b"<html>"):
        with pytest.raises((ValueError, msgspec.DecodeError)):
            call.read(nonsense)


def test_no_path_leads_astray() -> None:
    call = calls.explain("../../keys", WHICH, "d1")
    with pytest.raises(HttpError):
        Routes(()).find("GET", call.path.encode())
    assert call.path == "/v1/apps/..%2F..%2Fkeys/explain"


def test_what_a_repetition_does() -> None:
    effects = {name: call.effect for name, call in all_calls()}
    assert effects == {
        "publish": Effect.ONCE,
        "dry_run": Effect.NONE,
        "recall": Effect.ONCE,
        "offer_again": Effect.EACH,
        "replay": Effect.ONCE,
        "explain": Effect.NONE,
        "list_receipts": Effect.NONE,
    }


def test_a_publish_knows_its_message_ids() -> None:
    batch = [HI, Publication("CHAT", "user:1", "hi", "m2")]
    call = calls.publish("demo", batch, random.Random(1))
    assert call.content is not None
    assert call.message_ids == tuple(row["message_id"] for row in json.loads(call.content))
    assert call.message_ids[1] == "m2"
    body = b'[{"id":1,"message_id":"x","code":"OK"},{"id":0,"message_id":"m2","code":"SCHEDULED"}]'
    assert call.read(body) == [Published(1, "x", False), Published(0, "m2", False, True)]
    with pytest.raises(ValueError, match="another number"):
        call.read(body.split(b",{")[0] + b"]")
    with pytest.raises(ValueError, match="nothing to publish"):
        calls.publish("demo", [], random.Random(1))


def test_a_dry_run_sends_no_message_id_that_was_made() -> None:
    call = calls.dry_run("demo", HI, random.Random(1))
    assert call.content is not None
    assert "message_id" not in json.loads(call.content)
    assert call.message_ids == ()


def test_an_oplog_is_named_in_one_way() -> None:
    assert which_oplog("A", "b", None, "m") == {"biz": "A", "target": "b", "message_id": "m"}
    for oplog_id, message_id in ((None, ""), (1, "m")):
        with pytest.raises(ValueError, match="exactly one"):
            which_oplog("A", "b", oplog_id, message_id)
    assert calls.recall("demo", WHICH).read(b'{"id":7,"by_id":9,"duplicate":true}') == Recalled(
        7, 9, duplicate=True
    )
