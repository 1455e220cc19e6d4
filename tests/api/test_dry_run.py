"""Dry runs over HTTP: the answer of a publish, whom it would reach, and nothing else."""

from typing import Any

import pytest

from mobilesync.engine import forecast
from mobilesync.engine.service import Service
from mobilesync.storage.disk import Disk
from tests.api.fakes import Caller, FakeClock, assert_error
from tests.api.phone import Phone

DRY_RUN = "/v1/apps/demo/oplogs/dry-run"
ITEM = {"biz": "CHAT", "target": "everyone", "payload": "hi"}


async def test_whom_it_would_reach(
    caller: Caller, service: Service, disk: Disk, clock: FakeClock
) -> None:
    await Phone.online(service, "d1", app_version="2.1")
    (await Phone.online(service, "d2", app_version="2.0")).hang_up()
    await Phone.online(service, "d3", app_version="1.9")
    answer = await caller.post(DRY_RUN, ITEM | {"app_version_min": "2.0"})
    told = answer.json()
    assert told.pop("expires_at_ms") > clock.now_ms
    assert told == {
        "code": "OK",
        "id": 0,
        "due_ms": 0,
        "devices": 3,
        "matching": 2,
        "online": 1,
        "offline": 1,
        "refused": {"VERSION": 1},
        "withheld": {},
        "samples": [
            {"device": "d1", "user": "42", "online": True},
            {"device": "d2", "user": "42", "online": False},
        ],
        "complete": True,
    }
    assert not disk.oplogs


async def test_what_the_publish_would_answer(caller: Caller, clock: FakeClock) -> None:
    await caller.publish(target="everyone", message_id="m1")
    again = (await caller.post(DRY_RUN, ITEM | {"message_id": "m1"})).json()
    assert (again["code"], again["id"]) == ("DUPLICATED_BIZ_ID", 1)
    later = {"message_id": "m2", "valid_from_ms": clock.now_ms + 60_000}
    told = (await caller.post(DRY_RUN, ITEM | later)).json()
    assert (told["code"], told["due_ms"]) == ("SCHEDULED", clock.now_ms + 60_000)
    await caller.publish(target="everyone", **later)
    told = (await caller.post(DRY_RUN, ITEM | later)).json()
    assert (told["code"], told["id"]) == ("DUPLICATED_BIZ_ID", 0)


@pytest.mark.parametrize(
    "members, code, field",
    [
        ({"biz": "NONE"}, "UNKNOWN_BIZ", "biz"),
        ({"biz": "CLOSED"}, "BIZ_OFFLINE", "biz"),
        ({"target": "everybody"}, "INVALID_REQUEST", "target"),
        ({"callback": "orders"}, "INVALID_REQUEST", "callback"),
        ({"target": "user:1", "callback": "orders"}, "NOT_FOUND", "callback"),
        ({"payload": "x" * 65_537}, "TOO_LARGE", "payload"),
        ({"rollout_percent": 101}, "INVALID_REQUEST", "rollout_percent"),
        ({"x": 1}, "INVALID_REQUEST", ""),
    ],
)
async def test_it_is_checked_as_a_publish_is(
    caller: Caller, members: dict[str, Any], code: str, field: str
) -> None:
    assert_error(await caller.post(DRY_RUN, ITEM | members), code, field)


async def test_one_at_a_time_in_a_list(caller: Caller) -> None:
    assert_error(await caller.post(DRY_RUN, [ITEM]), "INVALID_REQUEST")
    doubled = b'{"biz":"CHAT","biz":"CHAT","target":"everyone","payload":"hi"}'
    assert_error(await caller.post(DRY_RUN, doubled), "MALFORMED_BODY", "biz")


async def test_too_many_are_told_when_to_come_back(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "RUNNING_MAX", 0)
    error = assert_error(await caller.post(DRY_RUN, ITEM), "OVERLOADED")
    assert error["retry_after_s"] == 2
