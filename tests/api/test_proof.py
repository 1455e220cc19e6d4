"""Proof over HTTP: one oplog on one device, and on each device it is for."""

import pytest

from mobilesync.engine.service import Service
from mobilesync.storage.memory import MemoryStore
from tests.api.fakes import Caller, FakeClock, assert_error
from tests.api.phone import Phone

EXPLAIN = "/v1/apps/demo/explain"
RECEIPTS = "/v1/apps/demo/receipts"
CHAT = "biz=CHAT&target=user:42"


async def test_an_oplog_on_a_device_step_by_step(
    caller: Caller, service: Service, clock: FakeClock
) -> None:
    query = f"{CHAT}&id=1&device=d1"
    await caller.publish(message_id="m1")
    never = (await caller.get(f"{EXPLAIN}?{query}")).json()
    assert (never["reason"], never["sent_at_ms"]) == ("NEVER_CONNECTED", 0)
    phone = await Phone.online(service, "d1")
    await phone.heard()
    sent_ms = clock.now_ms
    sent = (await caller.get(f"{EXPLAIN}?{query}")).json()
    assert (sent["reason"], sent["sent_at_ms"]) == ("SENT", sent_ms)
    clock.now_ms += 40
    phone.ack("CHAT", "user:42", 1, 0)
    clock.now_ms += 2
    phone.ack("CHAT", "user:42", 1, 1)
    done = (await caller.get(f"{EXPLAIN}?{CHAT}&message_id=m1&device=d1")).json()
    assert done == {
        "biz": "CHAT",
        "target": "user:42",
        "id": 1,
        "device": "d1",
        "reason": "PROCESSED",
        "sentence": "the device has saved it, and its handler is done: at 2023-11-14 22:13:20 UTC",
        "sent_at_ms": sent_ms,
        "received_at_ms": sent_ms + 40,
        "processed_at_ms": sent_ms + 42,
        "details": {},
    }


async def test_why_not(caller: Caller, service: Service) -> None:
    await caller.publish(app_version_min="3.0")
    await Phone.online(service, "d1")
    told = (await caller.get(f"{EXPLAIN}?{CHAT}&id=1&device=d1")).json()
    assert told["reason"] == "VERSION"
    assert told["sentence"].endswith(": 2.1 < 3.0")
    assert told["details"] == {
        "app_version": "2.1",
        "app_version_min": "3.0",
        "app_version_max": "",
    }


async def test_what_is_scheduled_or_not_kept_has_no_id(
    caller: Caller, service: Service, clock: FakeClock
) -> None:
    await caller.publish(message_id="later", valid_from_ms=clock.now_ms + 60_000)
    told = (await caller.get(f"{EXPLAIN}?{CHAT}&message_id=later&device=d1")).json()
    assert (told["id"], told["reason"]) == (0, "SCHEDULED")
    assert told["details"] == {"due_ms": clock.now_ms + 60_000}
    await caller.publish(biz="NOTICE", message_id="n1")
    path = f"{EXPLAIN}?biz=NOTICE&target=user:42&message_id=n1&device=d1"
    assert (await caller.get(path)).json()["reason"] == "NOT_KEPT"


async def test_that_something_is_not_there_is_an_answer_too(caller: Caller) -> None:
    told = (await caller.get(f"{EXPLAIN}?{CHAT}&id=7&device=none")).json()
    assert told["reason"] == "NO_SUCH_OPLOG"
    for path in (EXPLAIN, RECEIPTS):
        device = "&device=d1" if path == EXPLAIN else ""
        answer = await caller.get(f"{path}?{CHAT}&message_id=none{device}")
        assert_error(answer, "NOT_FOUND", "message_id")


@pytest.mark.parametrize(
    "query, field",
    [
        (CHAT, "id"),
        (f"{CHAT}&id=1&message_id=m1", "id"),
        (f"{CHAT}&id=-1", "id"),
        (f"{CHAT}&id=x", "id"),
        (f"{CHAT}&message_id={'m' * 129}", "message_id"),
        ("biz=CHAT&target=nobody&id=1", "target"),
        ("biz=no%20biz&target=everyone&id=1", "biz"),
        ("target=everyone&id=1", ""),
    ],
)
async def test_queries_that_make_no_sense(caller: Caller, query: str, field: str) -> None:
    assert_error(await caller.get(f"{EXPLAIN}?{query}&device=d1"), "INVALID_REQUEST", field)
    assert_error(await caller.get(f"{RECEIPTS}?{query}"), "INVALID_REQUEST", field)


async def test_a_device_must_be_named_rightly(caller: Caller) -> None:
    assert_error(await caller.get(f"{EXPLAIN}?{CHAT}&id=1"), "INVALID_REQUEST", "")
    path = f"{EXPLAIN}?{CHAT}&id=1&device={'d' * 129}"
    assert_error(await caller.get(path), "INVALID_REQUEST", "device")


async def test_receipts_page_by_page(caller: Caller, service: Service) -> None:
    for n in range(5):
        phone = await Phone.online(service, f"d{n}", os="ios" if n % 2 else "android")
        if n == 4:
            phone.hang_up()
    await caller.publish(message_id="m1", os=["android"])
    rows: list[tuple[str, str]] = []
    after = ""
    while True:
        path = f"{RECEIPTS}?{CHAT}&message_id=m1&limit=2&after={after}"
        page = (await caller.get(path)).json()
        assert (page["biz"], page["target"], page["id"]) == ("CHAT", "user:42", 1)
        rows += [(each["device"], each["reason"]) for each in page["receipts"]]
        after = page["after"]
        if not after:
            break
    assert rows == [
        ("d0", "SENT"), ("d1", "OS"), ("d2", "SENT"), ("d3", "OS"), ("d4", "OFFLINE"),
    ]  # fmt: skip
    (row,) = (await caller.get(f"{RECEIPTS}?{CHAT}&id=1&limit=1")).json()["receipts"]
    assert row == {
        "device": "d0",
        "user": "42",
        "online": True,
        "reason": "SENT",
        "sentence": row["sentence"],
        "sent_at_ms": service.clock.wall_ms(),
        "received_at_ms": 0,
        "processed_at_ms": 0,
    }
    for query in ("limit=0", "limit=201", f"after={'x' * 129}"):
        answer = await caller.get(f"{RECEIPTS}?{CHAT}&id=1&{query}")
        assert_error(answer, "INVALID_REQUEST", query.split("=")[0])


async def test_a_store_that_takes_no_writes_still_proves(
    caller: Caller, service: Service, store: MemoryStore
) -> None:
    await Phone.online(service, "d1")
    await caller.publish()
    await store.close()
    told = await caller.get(f"{EXPLAIN}?{CHAT}&id=1&device=d1")
    assert told.status_code == 200
