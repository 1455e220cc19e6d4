"""Sync configs over HTTP: create, replace, show, remove; in effect at once."""

from typing import Any

import msgspec
import pytest

from mobilesync.api.bizzes import BizRules, WantedBiz
from mobilesync.api.keys import ApiKeys
from mobilesync.domain.sync_config import RETENTION_S_MAX, SyncConfig
from mobilesync.engine.audit import Audit
from mobilesync.engine.service import Service
from mobilesync.storage.memory import MemoryStore
from tests.api.fakes import Caller, assert_error

PATH = "/v1/apps/demo/bizzes/NEWS"
ONE_USER = {"scope": "appointed", "target_kind": "user"}


async def test_the_life_of_a_biz(caller: Caller, store: MemoryStore) -> None:
    assert_error(await caller.publish(biz="NEWS"), "UNKNOWN_BIZ", "biz")
    answer = await caller.put(PATH, {"description": "what is new", "retention_s": 60})
    expected = {
        "biz": "NEWS",
        "description": "what is new",
        "persistent": True,
        "retention_s": 60,
        "status": "online",
    }
    assert answer.status_code == 200
    assert answer.json().items() >= expected.items()
    assert (await caller.get(PATH)).json() == answer.json()
    assert (await caller.publish(biz="NEWS")).status_code == 200
    assert ("sync_config", "demo/NEWS") in store.disk.documents

    await caller.put(PATH, {"status": "offline"})
    assert (await caller.get(PATH)).json()["retention_s"] == RETENTION_S_MAX, "PUT replaces all"
    assert_error(await caller.publish(biz="NEWS"), "BIZ_OFFLINE", "biz")

    assert (await caller.delete(PATH)).status_code == 204
    assert_error(await caller.get(PATH), "UNKNOWN_BIZ", "biz")
    assert_error(await caller.delete(PATH), "UNKNOWN_BIZ", "biz")


async def test_bizzes_are_listed_by_name_and_app(caller: Caller, service: Service) -> None:
    await service.configs.put("other", SyncConfig(biz="ALIEN"))
    listed = (await caller.get("/v1/apps/demo/bizzes")).json()
    assert [each["biz"] for each in listed["bizzes"]] == ["CHAT", "CLOSED", "LOCK", "NOTICE"]
    assert listed["revision"] == service.configs.revision("demo")


async def test_every_rule_is_put_and_shown(caller: Caller) -> None:
    rules = {
        "description": "what is new", "scope": "appointed", "target_kind": "user",
        "multi_device": False, "consumed_by": "each", "persistent": True, "retention_s": 60,
        "repush_threshold": 5, "user_check": True, "status": "online", "priority": -3,
    }  # fmt: skip
    assert (await caller.put(PATH, rules)).status_code == 200
    assert (await caller.get(PATH)).json() == {"biz": "NEWS", **rules}
    assert set(rules) == {field.name for field in msgspec.structs.fields(BizRules)}


async def test_the_audit_names_the_key(caller: Caller, audit: Audit, keys: ApiKeys) -> None:
    await caller.put(PATH, {"retention_s": 60})
    await caller.delete(PATH)
    (key,) = keys.list()
    entries = (await audit.read("demo"))[:2]
    assert [entry.action for entry in entries] == ["biz_removed", "biz_created"]
    assert {entry.who for entry in entries} == {f"tests ({key.id})"}


@pytest.mark.parametrize(
    "body, field",
    [
        ({"retention_s": 0}, "retention_s"),
        ({"retention_s": RETENTION_S_MAX + 1}, "retention_s"),
        ({"retention_s": "1"}, "retention_s"),
        ({"status": "paused"}, "status"),
        ({"persistent": 1}, "persistent"),
        ({"biz": "OTHER"}, ""),
        ({"description": "x" * 1001}, "description"),
        ({"scope": "some"}, "scope"),
        ({"target_kind": "everyone"}, "target_kind"),
        ({"consumed_by": "two"}, "consumed_by"),
        ({"priority": 101}, "priority"),
        ({"repush_threshold": -1}, "repush_threshold"),
        ({"multi_device": False}, "multi_device"),
        ({"multi_device": False, "target_kind": "user"}, "multi_device"),
        ({"user_check": True}, "user_check"),
        ({"consumed_by": "one", "target_kind": "user"}, "consumed_by"),
        ({**ONE_USER, "consumed_by": "one", "multi_device": False}, "consumed_by"),
        ({**ONE_USER, "consumed_by": "one", "persistent": False}, "consumed_by"),
        ({"repush_threshold": 1, "persistent": False}, "repush_threshold"),
        ([], ""),
    ],
)
async def test_rules_that_are_none(caller: Caller, body: Any, field: str) -> None:
    error = assert_error(await caller.put(PATH, body), "INVALID_REQUEST", field)
    assert error["hint"]
    assert_error(await caller.get(PATH), "UNKNOWN_BIZ")


async def test_a_name_that_is_none(caller: Caller) -> None:
    answer = await caller.put("/v1/apps/demo/bizzes/no%20biz", {})
    assert_error(answer, "INVALID_REQUEST", "biz")


def test_the_rules_are_all_of_a_sync_config_s() -> None:
    ours = {field.name for field in msgspec.structs.fields(BizRules)}
    theirs = {field.name for field in msgspec.structs.fields(SyncConfig)}
    assert ours == theirs - {"biz"}
    assert {field.name for field in msgspec.structs.fields(WantedBiz)} == theirs
