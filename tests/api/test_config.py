"""Configuring a whole app: plan, apply, refuse whole, and refuse who was too slow."""

from typing import Any

import httpx
import msgspec
import pytest

from mobilesync.api.config import BODY_BYTES_MAX, ConfigJson
from mobilesync.api.keys import ApiKeys
from mobilesync.domain.errors import TooLarge
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.audit import Audit
from mobilesync.engine.service import Service
from mobilesync.protocol.limits import BIZZES_MAX
from mobilesync.storage.memory import MemoryStore
from tests.api.fakes import Caller, assert_error
from tests.api.phone import Phone

APP = "/v1/apps/demo"
PLAN, APPLY = f"{APP}/config/plan", f"{APP}/config/apply"


def _actions(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {change["biz"]: change["action"] for change in answer.json()["changes"]}


async def test_a_plan_says_what_changes_and_changes_nothing(
    caller: Caller, service: Service, store: MemoryStore
) -> None:
    await Phone.online(service, "d1")
    commits = store.stats().commits
    body = {
        "bizzes": [
            {"biz": "CHAT", "status": "offline", "retention_s": 86_400},
            {"biz": "LOCK"},
            {"biz": "NEWS", "scope": "global"},
        ],
        "prune": True,
    }
    answer = (await caller.post(PLAN, body)).json()
    assert answer["revision"] == service.configs.revision("demo")
    status, retention = answer["changes"][0].pop("impact")
    assert status.startswith("status online → offline: ")
    assert "the backlog of 1 living session is withheld" in status
    assert retention.startswith("retention_s 30 d → 1 d: holds for oplogs published from now on")
    assert answer["changes"][0] == {
        "biz": "CHAT",
        "action": "change",
        "rules": [
            {"rule": "retention_s", "from": 2_592_000, "to": 86_400},
            {"rule": "status", "from": "online", "to": "offline"},
        ],
    }
    assert [(each["biz"], each["action"]) for each in answer["changes"]] == [
        ("CHAT", "change"),
        ("CLOSED", "remove"),
        ("LOCK", "none"),
        ("NEWS", "create"),
        ("NOTICE", "remove"),
    ]
    assert answer["changes"][2]["impact"] == answer["changes"][2]["rules"] == []
    assert store.stats().commits == commits


async def test_what_was_planned_is_applied_and_in_effect(
    caller: Caller, service: Service, audit: Audit, keys: ApiKeys
) -> None:
    body: dict[str, Any] = {"bizzes": [{"biz": "CHAT"}, {"biz": "NEWS"}], "prune": True}
    planned = (await caller.post(PLAN, body)).json()
    answer = await caller.post(APPLY, {**body, "revision": planned["revision"]})
    assert answer.json()["changes"] == planned["changes"]
    assert [config.biz for config in service.configs.list("demo")] == ["CHAT", "NEWS"]
    assert (await caller.publish(biz="NEWS")).status_code == 200
    assert_error(await caller.publish(biz="LOCK"), "UNKNOWN_BIZ")
    revision = answer.json()["revision"]
    assert revision == service.configs.revision("demo") != planned["revision"]
    again = await caller.post(APPLY, {**body, "revision": revision})
    assert _actions(again) == {"CHAT": "none", "NEWS": "none"}
    assert again.json()["revision"] == revision
    (key,) = keys.list()
    entries = (await audit.read("demo"))[:4]
    assert {entry.who for entry in entries} == {f"tests ({key.id})"}
    assert {entry.details["biz"] for entry in entries} == {"CLOSED", "LOCK", "NEWS", "NOTICE"}


async def test_without_prune_what_is_not_listed_stays(caller: Caller, service: Service) -> None:
    answer = await caller.post(APPLY, {"bizzes": [{"biz": "NEWS"}]})
    assert _actions(answer) == {"NEWS": "create"}
    assert len(service.configs.list("demo")) == 5


async def test_who_was_too_slow_is_refused(caller: Caller, service: Service) -> None:
    body: dict[str, Any] = {"bizzes": [{"biz": "CHAT", "priority": 1}]}
    planned = (await caller.post(PLAN, body)).json()
    await service.configs.put("demo", SyncConfig(biz="ALERT"))
    body["revision"] = planned["revision"]
    for path in (PLAN, APPLY):
        assert_error(await caller.post(path, body), "CONFLICT", "revision")
    assert service.configs.get("demo", "CHAT").priority == 0


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"biz": "SHORT", "retention_s": 0}, "SHORT: ", "retention_s"),
    ({"biz": "TYPED", "retention_s": "60"}, "TYPED: ", "retention_s"),
    ({"biz": "CHAT"}, "CHAT: it stands there twice", "biz"),
    ({"biz": "MORE", "colour": "red"}, "MORE: ", ""),
    ({"retention_s": 60}, "bizzes[5]: ", ""),
    ({"biz": 5}, "bizzes[6]: ", "biz"),
    ({"biz": "no name"}, "no name: not a biz name", "biz"),
    ({"biz": "PAIR", "multi_device": False}, "PAIR: ", "multi_device"),
]


@pytest.mark.parametrize("path", [PLAN, APPLY])
async def test_every_wrong_biz_is_told_and_nothing_changed(
    caller: Caller, service: Service, path: str
) -> None:
    before = service.configs.revision("demo")
    bizzes = [{"biz": "CHAT", "priority": 9}, *(biz for biz, _, _ in WRONG)]
    error = assert_error(await caller.post(path, {"bizzes": bizzes}), "INVALID_BATCH", "bizzes")
    assert [item["index"] for item in error["items"]] == list(range(1, len(bizzes)))
    for item, (_, words, field) in zip(error["items"], WRONG, strict=True):
        assert item["message"].startswith(words)
        assert (item.get("field", ""), bool(item["hint"])) == (field, True)
    assert service.configs.revision("demo") == before


async def test_bizzes_of_the_right_types_are_judged_too(caller: Caller) -> None:
    body = {"bizzes": [{"biz": "X", "priority": 1000}, {"biz": "Y"}, {"biz": "X"}]}
    error = assert_error(await caller.post(APPLY, body), "INVALID_BATCH", "bizzes")
    assert [item["index"] for item in error["items"]] == [0]


@pytest.mark.parametrize(
    "body, code, field",
    [
        ({}, "INVALID_REQUEST", ""),
        ([], "INVALID_REQUEST", ""),
        ({"bizzes": {}}, "INVALID_REQUEST", "bizzes"),
        ({"bizzes": [], "prune": 1}, "INVALID_REQUEST", "prune"),
        ({"bizzes": [], "more": 1}, "INVALID_REQUEST", ""),
        ({"bizzes": [{"biz": "X"}], "revision": 5}, "INVALID_REQUEST", "revision"),
        (b'{"bizzes": [{"biz": 5}, {"biz": "X", "biz": "Y"}]}', "MALFORMED_BODY", "biz"),
        (b'{"bizzes": [{"biz": 5}', "MALFORMED_BODY", ""),
        (b'{"bizzes": [{"biz": "X"}], "bizzes": []}', "MALFORMED_BODY", "bizzes"),
        (b'{"bizzes": [{"biz": 5}, 1e999]}', "INVALID_BATCH", "bizzes"),
        (b'{"bizzes": ' + b"[" * 100_000, "MALFORMED_BODY", ""),
        (b"\xff", "MALFORMED_BODY", ""),
    ],
)
async def test_bodies_that_are_none(caller: Caller, body: Any, code: str, field: str) -> None:
    for path in (PLAN, APPLY):
        assert_error(await caller.post(path, body), code, field)


async def test_a_body_has_bounds(caller: Caller, service: Service) -> None:
    full = [{"biz": f"N{number}"} for number in range(BIZZES_MAX)]
    lists: list[list[dict[str, str]]] = [[*full, {"biz": "MORE"}], [{}] * (BIZZES_MAX + 1)]
    for many in lists:
        error = assert_error(await caller.post(PLAN, {"bizzes": many}), "INVALID_REQUEST")
        assert "bizzes" in error.get("field", "")
    assert_error(await caller.post(APPLY, {"bizzes": full}), "INVALID_REQUEST", "biz")
    assert len(_actions(await caller.post(APPLY, {"bizzes": full, "prune": True}))) > BIZZES_MAX
    assert len(service.configs.list("demo")) == BIZZES_MAX


def test_the_largest_file_fits_its_bound() -> None:
    longest = SyncConfig(biz="X" * 64, description="\N{GRINNING FACE}" * 1000)
    encoded = msgspec.json.encode({"bizzes": [longest] * BIZZES_MAX})
    assert len(encoded) < BODY_BYTES_MAX


def test_a_body_over_its_bound_is_refused_unread() -> None:
    with pytest.raises(TooLarge):
        ConfigJson().decode(b" " * (BODY_BYTES_MAX + 1))


@pytest.mark.parametrize("path", [PLAN, APPLY])
async def test_it_takes_a_key_that_may_configure_the_app(
    caller: Caller, keys: ApiKeys, path: str
) -> None:
    for scopes, app, status in (
        (["configure"], "demo", 200),
        (["publish", "inspect"], "demo", 403),
        (["configure"], "other", 403),
    ):
        made = await keys.create("k", scopes, app)  # type: ignore[arg-type]  # a list of texts
        answer = await caller.post(path, {"bizzes": []}, authorization=f"Bearer {made.text}")
        assert answer.status_code == status


async def test_a_store_that_refuses_changes_nothing(
    caller: Caller, service: Service, store: MemoryStore
) -> None:
    before = service.configs.list("demo")
    await store.close()
    assert_error(await caller.post(APPLY, {"bizzes": [{"biz": "NEWS"}]}), "STORE_UNAVAILABLE")
    assert service.configs.list("demo") == before
