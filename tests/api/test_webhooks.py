"""Webhooks over HTTP: create, replace, show, remove, test; and no secret but a new one."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from mobilesync.engine.apps import App, Apps, SecretKey
from mobilesync.engine.courier import NotDelivered
from mobilesync.engine.options import ServiceOptions, WebhookOptions
from mobilesync.engine.service import Service
from mobilesync.engine.tokens import NoKeySource, Tokens
from mobilesync.engine.webhooks import WEBHOOKS_MAX
from mobilesync.publishing import verify_webhook
from mobilesync.storage.memory import MemoryStore
from tests.api.fakes import Caller, FakeClock, assert_error

PATH = "/v1/apps/demo/webhooks/hook"
HOOK = {"url": "https://shop.example/in", "kinds": ["oplog.delivered"]}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """Answers what it is told to, and keeps what it got."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[Mapping[str, str], bytes]] = []

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> int:
        self.got.append((headers, body))
        if not self.status:
            raise NotDelivered("nobody is there")
        return self.status


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def service(
    store: MemoryStore, clock: FakeClock, receiver: Receiver
) -> AsyncIterator[Service]:
    secret = SecretKey(b"s" * 32)
    apps = Apps([App("demo", (secret,)), App("other", (secret,))])
    service = Service(
        store,
        apps,
        Tokens(apps, clock, NoKeySource()),
        clock=clock,
        entropy=random.Random(1),
        options=ServiceOptions(webhooks=WebhookOptions(queue_max=100, plain_loopback=True)),
        courier=receiver,
    )
    await service.start()
    yield service
    await service.stop()


async def _shown(caller: Caller, **expected: Any) -> dict[str, Any]:
    """The webhook, once it is as expected."""
    while True:
        shown: dict[str, Any] = (await caller.get(PATH)).json()
        if shown.items() >= expected.items():
            return shown
        await asyncio.sleep(0.001)


async def test_the_life_of_a_webhook(
    caller: Caller, receiver: Receiver, store: MemoryStore
) -> None:
    assert_error(await caller.get(PATH), "UNKNOWN_WEBHOOK", "webhook")
    assert_error(await caller.post(f"{PATH}/test", {}), "UNKNOWN_WEBHOOK", "webhook")
    made = await caller.put(PATH, {**HOOK, "description": "orders", "bizzes": ["CHAT"]})
    assert made.status_code == 200
    assert made.json()["webhook"] == {
        "name": "hook",
        **HOOK,
        "bizzes": ["CHAT"],
        "status": "online",
        "description": "orders",
        "queued": 0,
        "oldest_age_s": None,
        "tries": 0,
        "failures": 0,
        "last_status": 0,
        "last_failure": "",
        "last_try_ms": 0,
        "lost": 0,
    }
    secret = made.json()["secret"]
    assert (await caller.get(PATH)).json() == made.json()["webhook"]

    again = await caller.put(PATH, HOOK)
    assert "secret" not in again.json()
    assert again.json()["webhook"]["bizzes"] == [], "PUT replaces all"

    answer = await caller.post(f"{PATH}/test", b"")
    assert answer.status_code == 202
    await _shown(caller, tries=1, queued=0, last_status=200)
    headers, body = receiver.got[0]
    now_s = int(headers["webhook-timestamp"])
    (event,) = verify_webhook(secret, headers, body, now_s=now_s).events
    assert (event.id, event.type) == (answer.json()["id"], "test")

    assert (await caller.delete(PATH)).status_code == 204
    assert_error(await caller.get(PATH), "UNKNOWN_WEBHOOK", "webhook")
    assert_error(await caller.delete(PATH), "UNKNOWN_WEBHOOK", "webhook")
    kinds = {kind for kind, _ in store.disk.documents}
    assert kinds == {"api_key", "audit/", "audit/demo"}
    entries = (await caller.get("/v1/apps/demo/audit")).json()["entries"]
    assert [(entry["action"], entry["who"][:6]) for entry in entries] == [
        ("webhook_removed", "tests "),
        ("webhook_changed", "tests "),
        ("webhook_created", "tests "),
    ]


async def test_a_secret_of_ones_own_is_never_shown(caller: Caller, service: Service) -> None:
    answers = [
        await caller.put(PATH, {**HOOK, "secret": SECRET}),
        await caller.get(PATH),
        await caller.get("/v1/apps/demo/webhooks"),
    ]
    assert service.webhooks.get("demo", "hook").secret == SECRET
    assert all("whsec" not in answer.text for answer in answers)


async def test_how_delivery_goes_is_shown(
    caller: Caller, receiver: Receiver, clock: FakeClock, service: Service
) -> None:
    await caller.put(PATH, HOOK)
    receiver.status = 0
    await caller.post(f"{PATH}/test", b"")
    await _shown(caller, tries=1)
    clock.now_ms += 90_000
    shown = await _shown(caller, queued=1, failures=1, last_status=0)
    assert shown["oldest_age_s"] == 90
    assert shown["last_failure"] == "nobody is there"
    assert shown["last_try_ms"] == clock.now_ms - 90_000
    receiver.status = 503
    await caller.post(f"{PATH}/test", b"")
    await _shown(caller, tries=2, queued=2, failures=2, last_status=503)
    receiver.status = 410
    await caller.post(f"{PATH}/test", b"")
    await _shown(caller, status="offline", last_status=410)
    assert_error(await caller.post(f"{PATH}/test", b""), "INVALID_REQUEST", "webhook")


async def test_a_test_that_finds_no_room(caller: Caller, receiver: Receiver) -> None:
    await caller.put(PATH, HOOK)
    receiver.status = 0
    for _ in range(100):
        assert (await caller.post(f"{PATH}/test", b"")).status_code == 202
    assert_error(await caller.post(f"{PATH}/test", b""), "OVERLOADED")


async def test_webhooks_are_listed_by_name_and_app(caller: Caller) -> None:
    for name in ("b", "a"):
        await caller.put(f"/v1/apps/demo/webhooks/{name}", HOOK)
    await caller.put("/v1/apps/other/webhooks/c", HOOK)
    listed = (await caller.get("/v1/apps/demo/webhooks")).json()["webhooks"]
    assert [each["name"] for each in listed] == ["a", "b"]


@pytest.mark.parametrize(
    "body, field",
    [
        ({"kinds": ["oplog.delivered"]}, ""),
        ({**HOOK, "kinds": []}, "kinds"),
        ({**HOOK, "kinds": ["oplog.lost"]}, "kinds[0]"),
        ({**HOOK, "kinds": ["device.online", "device.online"]}, "kinds"),
        ({**HOOK, "url": "http://shop.example/"}, "url"),
        ({**HOOK, "url": 1}, "url"),
        ({**HOOK, "bizzes": ["no biz"]}, "bizzes"),
        ({**HOOK, "status": "paused"}, "status"),
        ({**HOOK, "secret": "short"}, "secret"),
        ({**HOOK, "name": "other"}, ""),
        ([], ""),
    ],
)
async def test_what_is_no_webhook(caller: Caller, body: Any, field: str) -> None:
    assert_error(await caller.put(PATH, body), "INVALID_REQUEST", field)
    assert_error(await caller.get(PATH), "UNKNOWN_WEBHOOK")


async def test_a_receiver_on_this_machine_in_development(caller: Caller) -> None:
    body = {**HOOK, "url": "http://127.0.0.1:9000/in"}
    assert (await caller.put(PATH, body)).status_code == 200


async def test_one_too_many(caller: Caller) -> None:
    for number in range(WEBHOOKS_MAX):
        await caller.put(f"/v1/apps/demo/webhooks/h{number}", HOOK)
    assert_error(await caller.put(PATH, HOOK), "INVALID_REQUEST", "webhook")


async def test_a_name_that_is_none(caller: Caller) -> None:
    answer = await caller.put("/v1/apps/demo/webhooks/No%20Hook", HOOK)
    assert_error(answer, "INVALID_REQUEST", "webhook")


async def test_only_who_may_configure(caller: Caller, service: Service) -> None:
    made = await caller.post("/v1/keys", {"name": "reader", "scopes": ["inspect", "publish"]})
    headers = {"authorization": f"Bearer {made.json()['text']}"}
    assert_error(await caller.get("/v1/apps/demo/webhooks", **headers), "FORBIDDEN")
    assert_error(await caller.put(PATH, HOOK, **headers), "FORBIDDEN")
    assert_error(await caller.delete(PATH, **headers), "FORBIDDEN")
