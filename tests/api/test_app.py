"""The road that every request takes: keys, scopes, bounds, ids, logs."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from mobilesync.api.app import create_api
from mobilesync.api.errors import CODES
from mobilesync.api.incoming import Incoming
from mobilesync.api.keys import ApiKeys, Scope
from mobilesync.api.operations import Operation
from mobilesync.api.options import ApiOptions
from mobilesync.api.routes import OPERATIONS
from mobilesync.engine.service import Service
from mobilesync.storage.memory import MemoryStore
from tests.api.fakes import JSON, OPLOGS, Caller, assert_error
from tests.api.in_process import InProcess

PUBLICATION = {"biz": "CHAT", "target": "user:42", "payload": "the-secret-payload"}
PROTECTED = [row for row in OPERATIONS if row.scope is not None]


def path_of(row: Operation[Any, Any]) -> str:
    parts = {"{app}": "demo", "{biz}": "CHAT", "{device}": "d1", "{key}": "abc"}
    path = row.path
    for name, text in parts.items():
        path = path.replace(name, text)
    return path


@pytest.mark.parametrize("row", PROTECTED, ids=lambda row: row.name)
async def test_nothing_is_open_without_the_right_key(
    caller: Caller, keys: ApiKeys, row: Operation[Any, Any]
) -> None:
    for authorization in ("", "Bearer ms_no_no", "Basic eDp5"):
        answer = await caller.client.request(
            row.method, path_of(row), headers={"authorization": authorization}
        )
        assert_error(answer, "UNAUTHORIZED")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    others: list[Scope] = [s for s in ("publish", "inspect", "configure") if s != row.scope]
    made = await keys.create("others", others)
    headers = {"authorization": f"Bearer {made.text}"}
    assert_error(
        await caller.client.request(row.method, path_of(row), headers=headers), "FORBIDDEN"
    )


@pytest.mark.parametrize(
    "row", [row for row in PROTECTED if "{app}" in row.path], ids=lambda row: row.name
)
async def test_a_key_of_one_app_opens_no_other(
    caller: Caller, keys: ApiKeys, row: Operation[Any, Any]
) -> None:
    made = await keys.create("other", ["admin"], "other")
    headers = {"authorization": f"Bearer {made.text}"}
    answer = await caller.client.request(row.method, path_of(row), headers=headers)
    assert_error(answer, "FORBIDDEN")
    unknown = path_of(row).replace("demo", "nosuchapp")
    answer = await caller.client.request(row.method, unknown, headers=headers)
    assert_error(answer, "FORBIDDEN")


async def test_guessing_keys_is_slowed_down(caller: Caller) -> None:
    headers = {"authorization": "Bearer ms_no_no"}
    for _ in range(20):
        assert_error(await caller.client.get(OPLOGS, headers=headers), "UNAUTHORIZED")
    assert_error(await caller.client.get(OPLOGS, headers=headers), "TOO_MANY_ATTEMPTS")


@pytest.mark.parametrize(
    "content_type, good",
    [
        ("application/json", True),
        ("Application/JSON; charset=UTF-8", True),
        ('application/json;charset="utf-8"', True),
        ("application/json; charset=latin-1", False),
        ("text/json", False),
        ("application/x-www-form-urlencoded", False),
        ("", False),
    ],
)
async def test_content_types(caller: Caller, content_type: str, good: bool) -> None:
    answer = await caller.post(OPLOGS, b"{}", **{"content-type": content_type})
    assert_error(answer, "INVALID_REQUEST" if good else "WRONG_CONTENT_TYPE")


async def test_large_bodies(caller: Caller) -> None:
    answer = await caller.post(OPLOGS, b" " * 200_001)
    assert_error(answer, "TOO_LARGE")
    assert answer.headers["connection"] == "close"

    async def chunks() -> Any:
        for _ in range(201):
            yield b" " * 1000

    answer = await caller.client.post(OPLOGS, content=chunks(), headers=JSON)
    assert_error(answer, "TOO_LARGE")
    assert answer.headers["connection"] == "close"


async def test_a_large_body_without_a_key_is_not_read(caller: Caller) -> None:
    headers = {"authorization": "", **JSON}
    answer = await caller.client.post(OPLOGS, content=b" " * 150_000, headers=headers)
    assert_error(answer, "UNAUTHORIZED")
    assert answer.headers["connection"] == "close"


async def test_a_slow_body(service: Service, keys: ApiKeys, options: ApiOptions) -> None:
    made = await keys.create("x", ["admin"])
    api = create_api(service, keys, replace(options, body_timeout_s=0.02))

    async def slow() -> Any:
        yield b"["
        await asyncio.Event().wait()

    headers = {"authorization": f"Bearer {made.text}", **JSON}
    async with httpx.AsyncClient(
        transport=InProcess(api), base_url="http://x", headers=headers
    ) as client:
        assert_error(await client.post(OPLOGS, content=slow()), "BODY_TIMEOUT")


async def test_requests_are_bounded_but_probes_are_answered(
    service: Service, keys: ApiKeys, options: ApiOptions
) -> None:
    made = await keys.create("x", ["admin"])
    api = create_api(service, keys, replace(options, requests_max=2))
    gate = asyncio.Event()

    async def held() -> Any:
        await gate.wait()
        yield b"[]"

    headers = {"authorization": f"Bearer {made.text}", **JSON}
    async with httpx.AsyncClient(
        transport=InProcess(api), base_url="http://x", headers=headers
    ) as client:
        holding = [asyncio.ensure_future(client.post(OPLOGS, content=held())) for _ in range(2)]
        while api.active < 2:
            await asyncio.sleep(0)
        assert_error(await client.post(OPLOGS, json=PUBLICATION), "OVERLOADED")
        assert (await client.get("/healthz")).status_code == 200
        gate.set()
        for answer in await asyncio.gather(*holding):
            assert_error(answer, "INVALID_REQUEST")
        assert (await client.post(OPLOGS, json=PUBLICATION)).status_code == 200


@pytest.mark.parametrize(
    "query, code",
    [
        ("target=user:1&target=user:2", "MALFORMED_REQUEST"),
        ("target", "MALFORMED_REQUEST"),
        ("target=%ff", "MALFORMED_REQUEST"),
        ("target=" + "x" * 5000, "MALFORMED_REQUEST"),
        ("&".join(f"a{n}=1" for n in range(30)), "MALFORMED_REQUEST"),
        ("", "INVALID_REQUEST"),
        ("target=", "INVALID_REQUEST"),
        ("target=nobody", "INVALID_REQUEST"),
        ("target=everyone&more=1", "INVALID_REQUEST"),
    ],
)
async def test_queries(caller: Caller, query: str, code: str) -> None:
    assert_error(await caller.get(f"/v1/apps/demo/channels?{query}"), code)


async def test_an_operation_without_a_query_refuses_one(caller: Caller) -> None:
    assert_error(await caller.get("/v1/apps/demo/bizzes?page=2"), "INVALID_REQUEST")


@pytest.mark.parametrize(
    "given, kept",
    [("abc-1.2_X", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("", False)],
)
async def test_request_ids(caller: Caller, given: str, kept: bool) -> None:
    answer = await caller.get("/healthz", **{"x-request-id": given})
    assert (answer.headers["x-request-id"] == given) is kept
    assert answer.headers["x-request-id"]
    other = await caller.get("/healthz")
    assert other.headers["x-request-id"] != answer.headers["x-request-id"]


async def test_a_fault_of_ours_is_answered_and_logged_without_what_it_says(
    caller: Caller, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*arguments: object) -> None:
        raise ZeroDivisionError(PUBLICATION["payload"])

    monkeypatch.setattr(service.publisher, "publish", broken)
    with capture_logs() as logs:
        error = assert_error(await caller.post(OPLOGS, PUBLICATION), "INTERNAL")
    assert logs[0]["fault"] == "ZeroDivisionError"
    assert logs[0]["request_id"] == error["request_id"]
    assert "publish.py" in logs[0]["places"]
    assert "the-secret-payload" not in str(logs)


async def test_the_log_has_neither_payloads_nor_keys_nor_people(
    service: Service, keys: ApiKeys, options: ApiOptions
) -> None:
    made = await keys.create("x", ["admin"])
    api = create_api(service, keys, replace(options, access_log=True))
    headers = {"authorization": f"Bearer {made.text}"}
    async with httpx.AsyncClient(
        transport=InProcess(api), base_url="http://x", headers=headers
    ) as client:
        with capture_logs() as logs:
            await client.post(OPLOGS, json=PUBLICATION)
            await client.get("/v1/apps/demo/devices/annas-phone")
            await client.get("/v1/nowhere/annas-phone")
    assert [(line["status"], line["path"]) for line in logs] == [
        (200, "/v1/apps/{app}/oplogs"),
        (404, "/v1/apps/{app}/devices/{device}"),
        (404, ""),
    ]
    assert logs[0]["key"] == made.key.id
    assert logs[0]["app"] == "demo"
    secret_part = made.text.split("_", 2)[2]
    for secret in ("the-secret-payload", made.text, secret_part, "annas-phone", "user:42"):
        assert secret not in str([{**line, "request_id": "", "took_ms": 0} for line in logs])


async def test_the_store_s_refusals(
    caller: Caller, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> None:
        raise OSError("disk full: /srv/data/7.log")

    monkeypatch.setattr(store, "_sync", fails)
    with capture_logs() as logs:
        unknown = await caller.post(OPLOGS, PUBLICATION)
        refused = await caller.post(OPLOGS, PUBLICATION)
    assert_error(unknown, "OUTCOME_UNKNOWN")
    assert_error(refused, "STORE_UNAVAILABLE")
    assert_error(await caller.put("/v1/apps/demo/bizzes/NEW", {}), "STORE_UNAVAILABLE")
    reasons = [line["reason"] for line in logs if line["event"] == "store_refused"]
    assert len(reasons) == 2
    assert all("/srv/data" in reason for reason in reasons), "the cause is for the operator"
    assert "/srv" not in unknown.text + refused.text, "and for nobody else"


async def test_a_caller_that_goes_away_is_not_answered(
    service: Service, keys: ApiKeys, options: ApiOptions
) -> None:
    made = await keys.create("x", ["admin"])
    api = create_api(service, keys, replace(options, access_log=True))
    headers = {
        b"authorization": f"Bearer {made.text}".encode(),
        b"content-type": b"application/json",
    }
    incoming = Incoming("POST", OPLOGS.encode(), headers)
    with capture_logs() as logs:
        answer = asyncio.create_task(api.answer(incoming))
        await asyncio.sleep(0)
        incoming.lose()
        assert await answer is None
    assert [line["status"] for line in logs] == [499]
    assert api.active == 0


@pytest.mark.parametrize(
    "target, status, code",
    [
        (b"http://api.test/healthz", 200, ""),
        (b"http://api.test/healthz?x=1", 422, "INVALID_REQUEST"),
        (b"http://api.test", 404, "NOT_FOUND"),
        (b"/healthz#part", 200, ""),
        (b"/healthz?#part", 200, ""),
        (b"//api.test/healthz", 404, "NOT_FOUND"),
        (b"*", 404, "NOT_FOUND"),
        (b"api.test:80", 400, "MALFORMED_REQUEST"),
        (b"/%ff", 400, "MALFORMED_REQUEST"),
    ],
)
async def test_targets(caller: Caller, target: bytes, status: int, code: str) -> None:
    answer = await caller.app.answer(Incoming("GET", target, {}))
    assert answer is not None
    assert answer.status == status
    assert code.encode() in answer.body


def test_the_statuses_are_real_ones() -> None:
    assert all(400 <= code.status < 600 and code.meaning for code in CODES.values())
