"""Looking inside: channels, oplogs by page, devices, the journal."""

import asyncio
import base64

import pytest
from structlog.testing import capture_logs

from mobilesync.api import inspection
from mobilesync.domain.channel import Channel
from mobilesync.domain.sync_point import Advance
from mobilesync.engine.service import Service
from mobilesync.engine.tokens import sign_token
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.connection import Connection
from mobilesync.protocol.transitions import Role
from mobilesync.storage.memory import MemoryStore
from tests.api.fakes import Caller, FakeClock, assert_error

APP = "/v1/apps/demo"
CHAT_42 = Channel("demo", "CHAT", "user:42")


async def test_channels_of_a_target(caller: Caller) -> None:
    for _ in range(3):
        await caller.publish()
    await caller.publish(biz="LOCK")
    await caller.publish(target="user:43")
    answer = await caller.get(f"{APP}/channels?target=user:42")
    assert answer.json() == {
        "channels": [
            {"biz": "CHAT", "target": "user:42", "last": 3, "floor": 0, "epoch": 7},
            {"biz": "LOCK", "target": "user:42", "last": 1, "floor": 0, "epoch": 7},
        ]
    }
    assert (await caller.get(f"{APP}/channels?target=user:9")).json() == {"channels": []}


async def test_a_listing_has_a_bound(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "CHANNELS_MAX", 1)
    await caller.publish()
    await caller.publish(biz="LOCK")
    assert_error(await caller.get(f"{APP}/channels?target=user:42"), "TOO_LARGE", "target")


async def test_oplogs_page_by_page(caller: Caller, clock: FakeClock) -> None:
    await caller.publish(message_id="m1", payload="hi", os=["ios"], app_version_min="1.0")
    await caller.publish(
        message_id="m2", payload=None, payload_base64=base64.b64encode(b"\xff").decode()
    )
    await caller.publish(message_id="m3", payload="")
    page = (await caller.get(f"{APP}/oplogs?biz=CHAT&target=user:42&limit=2")).json()
    assert (page["upto"], page["last"]) == (2, 3)
    first, second = page["oplogs"]
    assert first.pop("expires_at_ms") > clock.now_ms
    assert first == {
        "id": 1,
        "message_id": "m1",
        "published_at_ms": clock.now_ms,
        "payload": "hi",
        "os": ["ios"],
        "app_version_min": "1.0",
    }
    assert base64.b64decode(second["payload_base64"]) == b"\xff"
    assert "payload" not in second
    rest = (await caller.get(f"{APP}/oplogs?biz=CHAT&target=user:42&after=2")).json()
    assert [oplog["payload"] for oplog in rest["oplogs"]] == [""]
    assert (rest["upto"], rest["last"]) == (3, 3)


async def test_a_channel_that_is_empty(caller: Caller) -> None:
    page = (await caller.get(f"{APP}/oplogs?biz=CHAT&target=everyone&after=5")).json()
    assert page["oplogs"] == []


@pytest.mark.parametrize(
    "query, field",
    [
        ("biz=CHAT", ""),
        ("biz=no%20biz&target=everyone", "biz"),
        ("biz=CHAT&target=user:", "user"),
        ("biz=CHAT&target=everyone&after=-1", "after"),
        ("biz=CHAT&target=everyone&after=x", "after"),
        ("biz=CHAT&target=everyone&after=9007199254740992", "after"),
        ("biz=CHAT&target=everyone&limit=0", "limit"),
        ("biz=CHAT&target=everyone&limit=1001", "limit"),
    ],
)
async def test_pages_that_make_no_sense(caller: Caller, query: str, field: str) -> None:
    for path in (f"{APP}/oplogs", f"{APP}/devices/d1/journal"):
        assert_error(await caller.get(f"{path}?{query}"), "INVALID_REQUEST", field)


async def test_a_device_and_its_journal(
    caller: Caller, store: MemoryStore, clock: FakeClock
) -> None:
    for _ in range(3):
        await caller.publish()
    store.advance([Advance(CHAT_42, "a/b", 7, 1, 0, 1000)])
    store.advance([Advance(CHAT_42, "a/b", 7, 3, 1, 2000)])
    await caller.publish(target="everyone")  # its commit takes the advances along
    device = (await caller.get(f"{APP}/devices/a%2Fb")).json()
    assert device == {
        "device": "a/b",
        "online": False,
        "user": "",
        "os": "",
        "app_version": "",
        "points": [
            {
                "biz": "CHAT",
                "target": "user:42",
                "epoch": 7,
                "received": 3,
                "processed": 1,
                "last": 3,
            }
        ],
    }
    path = f"{APP}/devices/a%2Fb/journal?biz=CHAT&target=user:42"
    steps = (await caller.get(path)).json()["steps"]
    assert steps == [
        {"epoch": 7, "received": 1, "processed": 0, "at_ms": 1000},
        {"epoch": 7, "received": 3, "processed": 1, "at_ms": 2000},
    ]
    assert (await caller.get(f"{path}&after=1")).json()["steps"] == steps[1:]
    assert (await caller.get(f"{path}&limit=1")).json()["steps"] == steps[:1]


async def test_a_device_that_never_was_here(caller: Caller) -> None:
    assert_error(await caller.get(f"{APP}/devices/none"), "NOT_FOUND", "device")
    assert_error(await caller.delete(f"{APP}/devices/none/session"), "NOT_FOUND", "device")
    journal = await caller.get(f"{APP}/devices/none/journal?biz=CHAT&target=user:42")
    assert journal.json() == {"steps": []}


class FakeLink:
    """Keeps what the server writes."""

    peer = "test"

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def buffered_bytes(self) -> int:
        return 0

    def close(self) -> None:
        return

    def abort(self) -> None:
        return


async def online(service: Service, device: str) -> tuple[FakeLink, Connection]:
    """A device of user 42 that was welcomed."""
    link, connection = FakeLink(), Connection(Role.CLIENT)
    session = service.sessions.connected(link)
    now_ms = service.clock.wall_ms()
    token = sign_token(
        b"s" * 32,
        app="demo",
        user="42",
        device=device,
        issued_at_ms=now_ms,
        expires_at_ms=now_ms + 60_000,
    )
    hello = m.Hello(1, 1, token, device, "42", [], os="ios", app_version="2.1")
    session.received(connection.send(hello))
    async with asyncio.timeout(10):
        while not link.written:
            await asyncio.sleep(0)
    connection.receive_data(link.written)
    link.written = b""
    return link, connection


async def test_a_device_that_is_online_and_the_end_of_its_session(
    caller: Caller, service: Service
) -> None:
    link, connection = await online(service, "d1")
    shown = (await caller.get(f"{APP}/devices/d1")).json()
    assert shown == {
        "device": "d1",
        "online": True,
        "user": "42",
        "os": "ios",
        "app_version": "2.1",
        "points": [],
    }
    assert_error(await caller.get("/v1/apps/other/devices/d1"), "NOT_FOUND")
    assert_error(await caller.delete("/v1/apps/other/devices/d1/session"), "NOT_FOUND")
    assert (await caller.delete(f"{APP}/devices/d1/session")).status_code == 204
    (close,) = connection.receive_data(link.written)
    assert isinstance(close, m.Close)
    assert close.code == CloseCode.LOGGED_OUT
    assert_error(await caller.delete(f"{APP}/devices/d1/session"), "NOT_FOUND", "device")
    ended = await service.audit.read("demo", action="session_ended")
    assert [(entry.who[:5], entry.details) for entry in ended] == [("tests", {"device": "d1"})]


async def test_a_session_is_ended_even_if_nobody_can_note_it(
    caller: Caller, service: Service, store: MemoryStore
) -> None:
    await online(service, "d1")
    await store.close()
    with capture_logs() as logs:
        assert (await caller.delete(f"{APP}/devices/d1/session")).status_code == 204
    assert "session_end_not_noted" in [line["event"] for line in logs]
    assert service.sessions.of_device("demo", "d1") is None


async def test_a_publish_reaches_a_device_that_is_online(caller: Caller, service: Service) -> None:
    link, connection = await online(service, "d1")
    await caller.publish(payload="hello", message_id="m1")
    async with asyncio.timeout(10):
        while not link.written:
            await asyncio.sleep(0)
    (push,) = connection.receive_data(link.written)
    assert isinstance(push, m.Push)
    assert [oplog.payload for oplog in push.oplogs] == [b"hello"]
