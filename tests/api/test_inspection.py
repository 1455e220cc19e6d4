"""Looking inside: channels, oplogs by page, devices, the journal."""

import base64

import pytest

from mobilesync.api import inspection
from mobilesync.domain.channel import Channel
from mobilesync.domain.sync_point import Advance
from mobilesync.engine.service import Service
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


async def test_ending_a_session(
    caller: Caller, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    kicked: list[tuple[str, str]] = []

    def kick(app: str, device: str, reason: str = "") -> bool:
        kicked.append((app, device))
        return True

    monkeypatch.setattr(service.sessions, "kick", kick)
    assert (await caller.delete(f"{APP}/devices/d1/session")).status_code == 204
    assert kicked == [("demo", "d1")]
