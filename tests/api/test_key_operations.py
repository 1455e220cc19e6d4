"""API keys over HTTP: nobody makes, sees or revokes beyond their own."""

from typing import Any

import pytest

from mobilesync.api.keys import ApiKeys
from tests.api.fakes import OPLOGS, Caller, assert_error

PUBLICATION = {"biz": "CHAT", "target": "user:42", "payload": "hi"}


async def test_the_life_of_a_key(caller: Caller) -> None:
    answer = await caller.post("/v1/keys", {"name": "shop", "scopes": ["publish"], "app": "demo"})
    assert answer.status_code == 201
    made = answer.json()
    assert made["key"]["scopes"] == ["publish"]
    key = {"authorization": f"Bearer {made['text']}"}
    assert (await caller.post(OPLOGS, PUBLICATION, **key)).status_code == 200
    listed = (await caller.get("/v1/keys")).json()["keys"]
    assert [each["name"] for each in listed] == ["tests", "shop"]
    assert made["text"].split("_", 2)[2] not in str(listed)
    path = f"/v1/keys/{made['key']['id']}"
    assert (await caller.delete(path)).status_code == 204
    assert_error(await caller.post(OPLOGS, PUBLICATION, **key), "UNAUTHORIZED")
    assert_error(await caller.delete(path), "NOT_FOUND", "key")


async def test_an_admin_of_one_app_stays_in_it(caller: Caller, keys: ApiKeys) -> None:
    admin = await keys.create("admin of demo", ["admin"], "demo")
    foreign = await keys.create("other's", ["publish"], "other")
    key = {"authorization": f"Bearer {admin.text}"}
    body = {"name": "x", "scopes": ["admin"]}
    assert_error(await caller.post("/v1/keys", body, **key), "FORBIDDEN")
    assert_error(await caller.post("/v1/keys", body | {"app": "other"}, **key), "FORBIDDEN")
    made = (await caller.post("/v1/keys", body | {"app": "demo"}, **key)).json()
    seen = (await caller.get("/v1/keys", **key)).json()["keys"]
    assert [each["id"] for each in seen] == [admin.key.id, made["key"]["id"]]
    assert_error(await caller.delete(f"/v1/keys/{foreign.key.id}", **key), "NOT_FOUND", "key")
    assert (await caller.delete(f"/v1/keys/{made['key']['id']}", **key)).status_code == 204


@pytest.mark.parametrize(
    "body, code, field",
    [
        ({"name": "", "scopes": ["publish"]}, "INVALID_REQUEST", "name"),
        ({"name": "x", "scopes": []}, "INVALID_REQUEST", "scopes"),
        ({"name": "x", "scopes": ["all"]}, "INVALID_REQUEST", None),
        ({"name": "x"}, "INVALID_REQUEST", ""),
        ({"name": "x", "scopes": ["publish"], "app": "none"}, "UNKNOWN_APP", "app"),
        ({"name": "x", "scopes": ["publish"], "more": 1}, "INVALID_REQUEST", ""),
    ],
)
async def test_what_makes_no_key(
    caller: Caller, body: dict[str, Any], code: str, field: str | None
) -> None:
    assert_error(await caller.post("/v1/keys", body), code, field)


async def test_a_key_id_that_is_none(caller: Caller) -> None:
    assert_error(await caller.delete("/v1/keys/a%2Fb"), "INVALID_REQUEST", "key")
