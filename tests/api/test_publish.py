"""Publishing over HTTP: forms, answers, and every way in which a body can be wrong."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobilesync.api.errors import HttpError
from mobilesync.api.publish import PublishBody, publication_of
from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.options import BATCH_ITEMS_CEILING
from mobilesync.engine.service import Service
from mobilesync.storage.disk import Disk
from tests.api.fakes import OPLOGS, Caller, FakeClock, assert_error

CHAT_42 = Channel("demo", "CHAT", "user:42")


async def test_one_oplog(caller: Caller, disk: Disk) -> None:
    answer = await caller.publish(message_id="m1")
    assert answer.status_code == 200
    assert answer.json() == {"id": 1, "message_id": "m1", "code": "OK"}
    assert disk.oplogs[CHAT_42][0].payload == b"hi"
    assert answer.headers["x-request-id"]


async def test_the_same_message_id_again(caller: Caller, disk: Disk) -> None:
    await caller.publish(message_id="m1")
    again = await caller.publish(message_id="m1", payload="other")
    assert again.status_code == 200
    assert again.json() == {"id": 1, "message_id": "m1", "code": "DUPLICATED_BIZ_ID"}
    assert len(disk.oplogs[CHAT_42]) == 1


async def test_a_batch_of_mixed_targets_is_answered_in_order(caller: Caller) -> None:
    targets = ["user:1", "device:d/1", "everyone", "user:1"]
    batch = [
        {"biz": "CHAT", "target": target, "payload": target, "message_id": f"m{index}"}
        for index, target in enumerate(targets)
    ]
    answer = await caller.post(OPLOGS, batch)
    assert [(item["id"], item["message_id"]) for item in answer.json()] == [
        (1, "m0"),
        (1, "m1"),
        (1, "m2"),
        (2, "m3"),
    ]


_TEXT = st.text(st.sampled_from('a:"\\\n{}[],é '), max_size=5)
_PLAIN = st.fixed_dictionaries(
    {"biz": _TEXT, "target": _TEXT},
    optional={
        "payload": _TEXT,
        "payload_base64": st.sampled_from(["", "aGk=", "aGk", "a===", "aGk=aGk=", "?", "aGkh:"]),
        "message_id": _TEXT,
    },
)


@given(_PLAIN, st.booleans(), st.booleans(), st.booleans())
def test_what_is_plain_is_read_as_its_whole_form_is(
    item: dict[str, str], is_batch: bool, is_spaced: bool, is_ascii: bool
) -> None:
    separators = (" , ", " : ") if is_spaced else (",", ":")
    text = json.dumps([item] if is_batch else item, separators=separators, ensure_ascii=is_ascii)

    def read(decode: Callable[[bytes], Any]) -> object:
        try:
            form = decode(text.encode())
            return [publication_of(each) for each in (form if is_batch else [form])]
        except InvalidRequest as error:
            return str(error), error.field

    assert read(PublishBody().decode) == read(PublishBody()._decode_whole)


@given(_PLAIN, _PLAIN, st.integers(0, 4), st.booleans())
def test_a_key_twice_is_seen_whatever_else_there_is(
    one: dict[str, str], other: dict[str, str], place: int, is_spaced: bool
) -> None:
    items = [json.dumps(one), json.dumps(other)]
    name = sorted(one)[place % len(one)]
    items[0] = items[0][:-1] + f', "{name}"{" " * is_spaced}: {json.dumps(one[name])}}}'
    body = f"[{','.join(items)}]".encode()
    with pytest.raises(HttpError) as error:
        PublishBody().decode(body)
    assert error.value.code == "MALFORMED_BODY"


async def test_what_is_for_later_is_scheduled(caller: Caller, disk: Disk, clock: FakeClock) -> None:
    later = {"message_id": "m1", "valid_from_ms": clock.now_ms + 60_000}
    batch = [
        {"biz": "CHAT", "target": "user:42", "payload": "hi"} | each
        for each in (later, {"message_id": "m2"}, {"valid_from_ms": clock.now_ms})
    ]
    answer = await caller.post(OPLOGS, batch)
    assert [(item["id"], item["code"]) for item in answer.json()] == [
        (0, "SCHEDULED"),
        (1, "OK"),
        (2, "OK"),
    ]
    again = (await caller.publish(**later)).json()
    assert again == {"id": 0, "message_id": "m1", "code": "DUPLICATED_BIZ_ID"}
    assert len(disk.oplogs[CHAT_42]) == 2


async def test_a_publish_with_a_callback(caller: Caller, disk: Disk) -> None:
    url = {"url": "https://shop.example/hook", "kinds": ["oplog.undelivered"]}
    await caller.put("/v1/apps/demo/webhooks/orders", url)
    assert (await caller.publish(callback="orders")).json()["code"] == "OK"
    details = disk.oplogs[CHAT_42][0].details
    assert details is not None
    assert details.callback == "orders"


async def test_a_message_id_is_made_when_none_is_sent(caller: Caller) -> None:
    first, second = await caller.publish(), await caller.publish()
    assert first.json()["message_id"] != second.json()["message_id"]


async def test_a_notice_has_no_id(caller: Caller) -> None:
    assert (await caller.publish(biz="NOTICE")).json()["id"] == 0


@pytest.mark.parametrize(
    "members, payload",
    [
        ({"payload": "grüße\n"}, "grüße\n".encode()),
        ({"payload": ""}, b""),
        ({"payload_base64": base64.b64encode(bytes(range(256))).decode()}, bytes(range(256))),
        ({"payload_base64": ""}, b""),
    ],
)
async def test_payload_forms(
    caller: Caller, disk: Disk, members: dict[str, str], payload: bytes
) -> None:
    answer = await caller.publish(**({"payload": None} | members))
    assert answer.status_code == 200
    assert disk.oplogs[CHAT_42][0].payload == payload


async def test_json_payloads_arrive_just_as_they_were_sent(caller: Caller, disk: Disk) -> None:
    text = b'{"b" : 1.50, "a":[ null,"\\u00e9" ]}'
    body = b'{"biz":"CHAT","target":"user:42","payload_json": ' + text + b" }"
    assert (await caller.post(OPLOGS, body)).status_code == 200
    assert disk.oplogs[CHAT_42][0].payload == text


async def test_conditions_and_validity_are_kept(
    caller: Caller, service: Service, disk: Disk
) -> None:
    until_ms = service.clock.wall_ms() + 5000
    await caller.publish(
        os=["iOS"], app_version_min="1.2", app_version_max="2.0", valid_until_ms=until_ms
    )
    oplog = disk.oplogs[CHAT_42][0]
    assert oplog.expires_at_ms == until_ms
    assert oplog.conditions is not None
    assert oplog.conditions.os == ("ios",)
    assert (oplog.conditions.app_version_min, oplog.conditions.app_version_max) == ("1.2", "2.0")


@pytest.mark.parametrize(
    "members, code, field",
    [
        ({"biz": "NONE"}, "UNKNOWN_BIZ", "biz"),
        ({"biz": "CLOSED"}, "BIZ_OFFLINE", "biz"),
        ({"biz": "no biz"}, "INVALID_REQUEST", "biz"),
        ({"biz": None}, "INVALID_REQUEST", ""),
        ({"biz": 7}, "INVALID_REQUEST", "biz"),
        ({"target": "everybody"}, "INVALID_REQUEST", "target"),
        ({"target": "user:"}, "INVALID_REQUEST", "user"),
        ({"target": "device:" + "x" * 129}, "INVALID_REQUEST", "device"),
        ({"target": ["user:1"]}, "INVALID_REQUEST", "target"),
        ({"payload": None}, "INVALID_REQUEST", "payload"),
        ({"payload_base64": "aGk="}, "INVALID_REQUEST", "payload"),
        ({"payload": None, "payload_base64": "a"}, "INVALID_REQUEST", "payload_base64"),
        ({"payload": None, "payload_base64": "aGk"}, "INVALID_REQUEST", "payload_base64"),
        ({"payload": None, "payload_base64": "aG\nk="}, "INVALID_REQUEST", "payload_base64"),
        ({"payload": None, "payload_base64": "aé=="}, "INVALID_REQUEST", "payload_base64"),
        ({"payload": {"a": 1}}, "INVALID_REQUEST", "payload"),
        ({"payload": "x" * 65_537}, "TOO_LARGE", "payload"),
        ({"message_id": "x" * 129}, "INVALID_REQUEST", "message_id"),
        ({"message_id": "a\x00b"}, "INVALID_REQUEST", "message_id"),
        ({"message_id": 5}, "INVALID_REQUEST", "message_id"),
        ({"valid_until_ms": 5}, "INVALID_REQUEST", "valid_until_ms"),
        ({"valid_until_ms": -5}, "INVALID_REQUEST", "valid_until_ms"),
        ({"valid_until_ms": 2**53}, "INVALID_REQUEST", "valid_until_ms"),
        ({"valid_until_ms": 10**400}, "INVALID_REQUEST", "valid_until_ms"),
        ({"valid_until_ms": 1.5}, "INVALID_REQUEST", "valid_until_ms"),
        ({"valid_until_ms": "5"}, "INVALID_REQUEST", "valid_until_ms"),
        ({"valid_until_ms": True}, "INVALID_REQUEST", "valid_until_ms"),
        ({"os": "ios"}, "INVALID_REQUEST", "os"),
        ({"os": ["x"] * 17}, "INVALID_REQUEST", "os"),
        ({"os": [5]}, "INVALID_REQUEST", None),
        ({"app_version_min": "new"}, "INVALID_REQUEST", "app_version"),
        ({"app_version_min": "2", "app_version_max": "1"}, "INVALID_REQUEST", "app_version_min"),
        ({"biz": "FLAGS"}, "WRONG_TARGET", "target"),
        ({"users": "42"}, "INVALID_REQUEST", "users"),
        ({"users": [""]}, "INVALID_REQUEST", "users"),
        ({"users": ["u"] * 1001}, "INVALID_REQUEST", "users"),
        ({"user_number_min": -1}, "INVALID_REQUEST", "user_number_min"),
        ({"user_number_min": 2**63}, "INVALID_REQUEST", "user_number_min"),
        ({"user_number_min": 5, "user_number_max": 4}, "INVALID_REQUEST", "user_number_min"),
        ({"attributes": {"plan": "gold"}}, "INVALID_REQUEST", None),
        ({"attributes": {"plan": []}}, "INVALID_REQUEST", "attributes"),
        ({"attributes": {f"a{n}": ["x"] for n in range(9)}}, "INVALID_REQUEST", "attributes"),
        ({"rollout_percent": 100.1}, "INVALID_REQUEST", "rollout_percent"),
        ({"rollout_percent": "10"}, "INVALID_REQUEST", "rollout_percent"),
        ({"rollout_percent": 10, "rollout_salt": "s" * 65}, "INVALID_REQUEST", "rollout_salt"),
        ({"key": "k" * 129}, "INVALID_REQUEST", "key"),
        ({"key": "a\x00b"}, "INVALID_REQUEST", "key"),
        ({"valid_from_ms": 2**52}, "INVALID_REQUEST", "valid_from_ms"),
        ({"valid_from_ms": -1}, "INVALID_REQUEST", "valid_from_ms"),
        ({"callback": "orders"}, "NOT_FOUND", "callback"),
        ({"callback": "orders", "target": "everyone"}, "INVALID_REQUEST", "callback"),
        ({"bizz": "CHAT"}, "INVALID_REQUEST", ""),
    ],
)
async def test_what_one_publication_may_not_be(
    caller: Caller,
    service: Service,
    disk: Disk,
    members: dict[str, Any],
    code: str,
    field: str | None,
) -> None:
    await service.configs.put("demo", SyncConfig(biz="FLAGS", scope="global"))
    publication = {"biz": "CHAT", "target": "user:42", "payload": "hi"} | members
    chosen = {name: value for name, value in publication.items() if value is not None}
    body = json.dumps(chosen).encode()
    error = assert_error(await caller.post(OPLOGS, body), code, field)
    batch = b'[{"biz":"CHAT","target":"user:1","payload":"ok"},' + body + b"]"
    error = assert_error(await caller.post(OPLOGS, batch), "INVALID_BATCH")
    assert [(item["index"], item["code"]) for item in error["items"]] == [(1, code)]
    assert not disk.oplogs, "nothing is stored"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"nonsense",
        b'{"biz":"CHAT","target":"user:42","payload":"hi"} x',
        b'{"biz":"CHAT","target":"user:42","payload":"hi"}{}',
        b'{"biz":"CHAT","target":"user:42","payload":"hi",}',
        b'{"biz":"CHAT","target":"user:42","payload":"\xff"}',
        b'{"biz":"CHAT","target":"user:42","payload":"\xed\xa0\x80"}',
        b'{"biz":"CHAT","target":"user:42","payload":"\\ud800"}',
        b'{"biz":"CHAT","target":"user:42","payload":"a\nb"}',
        b'{"biz":"CHAT","target":"user:42","payload":"hi","valid_until_ms":NaN}',
        b'{"biz":"CHAT","target":"user:42","payload":"hi","valid_until_ms":Infinity}',
        b'{"biz":"CHAT","target":"user:42","payload":"hi","valid_until_ms":01}',
        b'{"biz":"CHAT","target":"user:42","payload_json":NaN}',
        b'{"biz":"CHAT","target":"user:42","payload_json":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b"\xef\xbb\xbf{}",
        '{"biz":"CHAT","target":"user:42","payload":"hi"}'.encode("utf-16"),
        b'{"biz":"CHAT","biz":"LOCK","target":"user:42","payload":"hi"}',
        b'{"biz":"CHAT","target":"user:42","payload":"hi","payload":"hi"}',
        b'{"biz":"CHAT","b\\u0069z":"LOCK","target":"user:42","payload":"hi"}',
        b'{"biz":"CHAT","target":"user:42","payload_json":{"a":1,"a":2}}',
        b'{"biz":"CHAT","target":"user:42","payload":"","attributes":{"a":["1"],"a":["2"]}}',
        b'[{"biz":"CHAT","target":"user:42","payload":"\\":","payload":"a"}]',
    ],
)
async def test_json_that_is_none_or_has_two_meanings(
    caller: Caller, disk: Disk, body: bytes
) -> None:
    assert_error(await caller.post(OPLOGS, body), "MALFORMED_BODY")
    assert not disk.oplogs


@pytest.mark.parametrize("body", [b"null", b"5", b'"text"', b"true", b"{}", b"[]", b"[[]]"])
async def test_json_that_is_no_publication(caller: Caller, body: bytes) -> None:
    code = "INVALID_BATCH" if body == b"[[]]" else "INVALID_REQUEST"
    assert_error(await caller.post(OPLOGS, body), code)


@pytest.mark.parametrize("payload_json", [b'"\xff"', b"1e999", b'"\\ud800"', b"9" * 5000])
async def test_json_payloads_that_an_app_could_not_read(
    caller: Caller, payload_json: bytes
) -> None:
    body = b'{"biz":"CHAT","target":"user:42","payload_json":' + payload_json + b"}"
    answer = await caller.post(OPLOGS, body)
    assert answer.json()["error"]["code"] in {"INVALID_REQUEST", "MALFORMED_BODY"}
    assert answer.status_code in {400, 422}


async def test_a_key_twice_comes_before_what_is_wrong_besides(caller: Caller) -> None:
    body = b'[{"biz":5,"biz":"CHAT","target":"user:42","payload":"hi"}]'
    assert_error(await caller.post(OPLOGS, body), "MALFORMED_BODY", "biz")


async def test_a_batch_has_bounds(caller: Caller) -> None:
    item = {"biz": "CHAT", "target": "user:42", "payload": ""}
    assert_error(await caller.post(OPLOGS, [item] * 1001), "TOO_LARGE", "oplogs")
    wrong = [{"biz": "NONE", "target": "user:42", "payload": ""}] * 300
    error = assert_error(await caller.post(OPLOGS, wrong), "INVALID_BATCH")
    assert len(error["items"]) == 100
    assert "300" in error["message"]


@pytest.mark.parametrize("item", [b"1", b"{}"])
async def test_a_list_of_far_too_many_is_not_judged_one_by_one(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, item: bytes
) -> None:
    def judge(body: bytes) -> None:
        raise AssertionError("an error for each of millions takes half a minute")

    monkeypatch.setattr("mobilesync.api.publish.ITEM.decode", judge)
    body = b"[" + b",".join([item] * (BATCH_ITEMS_CEILING + 1)) + b"]"
    assert_error(await caller.post(OPLOGS, body), "TOO_LARGE", "oplogs")


async def test_an_app_that_is_not_there(caller: Caller) -> None:
    answer = await caller.post("/v1/apps/none/oplogs", {})
    assert_error(answer, "UNKNOWN_APP", "app")
    assert_error(await caller.post("/v1/apps/NO%20APP/oplogs", {}), "INVALID_REQUEST", "app")


async def test_a_store_that_cannot_write(caller: Caller, service: Service) -> None:
    await service.store.close()
    assert_error(await caller.publish(), "STORE_UNAVAILABLE")


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "biz": st.just("CHAT") | JSONS,
        "target": st.just("user:42") | JSONS,
        "payload": st.text() | JSONS,
        "payload_base64": st.binary().map(lambda data: base64.b64encode(data).decode()) | JSONS,
        "payload_json": JSONS,
        "message_id": st.text() | JSONS,
        "valid_until_ms": st.integers() | JSONS,
        "os": st.lists(st.text()) | JSONS,
        "app_version_min": st.text() | JSONS,
        "users": st.lists(st.text()) | JSONS,
        "user_number_max": st.integers() | JSONS,
        "attributes": st.dictionaries(st.text(), st.lists(st.text())) | JSONS,
        "rollout_percent": st.floats(allow_nan=False) | JSONS,
        "key": st.text() | JSONS,
        "valid_from_ms": st.integers() | JSONS,
        "callback": st.text() | JSONS,
    },
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=60)
    | (MEMBERS | st.lists(MEMBERS | JSONS, max_size=3) | JSONS).map(
        lambda value: json.dumps(value).encode()
    )
)
async def test_whatever_the_body_is_the_answer_is_defined(caller: Caller, body: bytes) -> None:
    answer = await caller.post(OPLOGS, body)
    if answer.status_code == 200:
        published = answer.json()
        for item in published if isinstance(published, list) else [published]:
            assert item["code"] in {"OK", "DUPLICATED_BIZ_ID", "SCHEDULED"}
    else:
        assert answer.status_code in {400, 413, 422, 404}
        assert_error(answer, answer.json()["error"]["code"])
