"""Scheduled oplogs over HTTP: listed in order, cancelled for good."""

import base64

import pytest

from mobilesync.api import scheduled
from mobilesync.api.keys import ApiKeys
from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import conditions
from mobilesync.domain.oplog import Draft
from mobilesync.engine.scheduled import Scheduled
from mobilesync.engine.service import Service
from mobilesync.storage.memory import MemoryStore
from tests.api.fakes import Caller, FakeClock, assert_error

PATH = "/v1/apps/demo/scheduled"
CHAT_42 = Channel("demo", "CHAT", "user:42")
CANCEL = f"{PATH}?biz=CHAT&target=user:42"


async def _schedule(
    service: Service,
    message_id: str,
    after_ms: int,
    channel: Channel = CHAT_42,
    payload: bytes = b"hi",
) -> int:
    due_ms = service.clock.wall_ms() + after_ms
    draft = Draft(
        channel, payload, message_id, due_ms, due_ms + 5000, True, conditions(["ios"], "1.0", "2.0")
    )
    await service.scheduler.put([Scheduled(due_ms, draft)])
    return due_ms


async def test_all_that_is_known_is_shown(caller: Caller, service: Service) -> None:
    assert (await caller.get(PATH)).json() == {"scheduled": [], "after": ""}
    due_ms = await _schedule(service, "m1", 60_000)
    assert (await caller.get(PATH)).json() == {
        "scheduled": [
            {
                "biz": "CHAT",
                "target": "user:42",
                "message_id": "m1",
                "due_ms": due_ms,
                "expires_at_ms": due_ms + 5000,
                "payload": "hi",
                "os": ["ios"],
                "app_version_min": "1.0",
                "app_version_max": "2.0",
            }
        ],
        "after": "",
    }
    assert (await caller.get("/v1/apps/other/scheduled")).json()["scheduled"] == []


async def test_pages_in_the_order_of_their_times(
    caller: Caller, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = Channel("demo", "LOCK", "device:d1")
    for number, after_ms in enumerate((50, 20, 40, 10, 30)):
        await _schedule(service, f"m{number}", after_ms, lock if number % 2 else CHAT_42, b"\xff")

    async def read(query: str) -> tuple[list[str], str]:
        page = (await caller.get(f"{PATH}?{query}")).json()
        assert all(
            base64.b64decode(each["payload_base64"]) == b"\xff" for each in page["scheduled"]
        )
        return [each["message_id"] for each in page["scheduled"]], page["after"]

    first, after = await read("limit=2")
    second, end = await read(f"limit=3&after={after}")
    assert first + second == ["m3", "m1", "m4", "m2", "m0"]
    assert end == ""
    assert await read("biz=LOCK") == (["m3", "m1"], "")
    monkeypatch.setattr(scheduled, "PAGE_BYTES_MAX", 1)
    assert (await read(""))[0] == ["m3"]


async def test_cancel_is_for_good(
    caller: Caller, service: Service, store: MemoryStore, clock: FakeClock
) -> None:
    await _schedule(service, "m1", 1000)
    await _schedule(service, "m2", 1000)
    assert (await caller.delete(f"{CANCEL}&message_id=m1")).status_code == 204
    assert_error(await caller.delete(f"{CANCEL}&message_id=m1"), "NOT_FOUND", "message_id")
    clock.now_ms += 1000
    await service.scheduler.tick()
    assert [oplog.message_id for oplog in store.disk.oplogs[CHAT_42]] == ["m2"]
    assert_error(await caller.delete(f"{CANCEL}&message_id=m2"), "NOT_FOUND")


@pytest.mark.parametrize(
    "query, field",
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("after=x", "after"),
        ("biz=no%20biz", "biz"),
        ("target=user:1", "target"),
    ],
)
async def test_wrong_queries_of_the_list(caller: Caller, query: str, field: str) -> None:
    error = assert_error(await caller.get(f"{PATH}?{query}"), "INVALID_REQUEST")
    assert field in f"{error}"


@pytest.mark.parametrize(
    "query",
    [
        "biz=CHAT&target=user:1",
        "biz=a%20b&target=user:1&message_id=m",
        "biz=A&target=x&message_id=m",
        "biz=A&target=everyone&message_id=",
        "biz=A&target=everyone&message_id=a%00",
    ],
)
async def test_wrong_queries_of_cancel(caller: Caller, query: str) -> None:
    assert_error(await caller.delete(f"{PATH}?{query}"), "INVALID_REQUEST")


async def test_what_a_key_must_be_good_for(caller: Caller, keys: ApiKeys, service: Service) -> None:
    await _schedule(service, "m1", 1000)
    headers = {}
    for scope in ("inspect", "publish"):
        made = await keys.create(scope, [scope])
        headers[scope] = {"authorization": f"Bearer {made.text}"}
    assert (await caller.get(PATH, **headers["inspect"])).status_code == 200
    assert_error(await caller.get(PATH, **headers["publish"]), "FORBIDDEN")
    cancel = f"{CANCEL}&message_id=m1"
    assert_error(await caller.delete(cancel, **headers["inspect"]), "FORBIDDEN")
    assert (await caller.delete(cancel, **headers["publish"])).status_code == 204


async def test_a_store_that_refuses_is_told(
    caller: Caller, service: Service, store: MemoryStore
) -> None:
    await _schedule(service, "m1", 1000)
    await store.close()
    assert_error(await caller.delete(f"{CANCEL}&message_id=m1"), "STORE_UNAVAILABLE")
    assert (await caller.get(PATH)).json()["scheduled"]
