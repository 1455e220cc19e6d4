"""Looking inside: channels, oplogs by page, the journal."""

import base64

import pytest

from mobilesync.api import inspection
from mobilesync.domain.channel import Channel
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import Advance, Skip
from mobilesync.engine.service import Service
from mobilesync.protocol import messages as m
from mobilesync.storage.memory import MemoryStore
from tests.api.fakes import Caller, FakeClock, assert_error
from tests.api.phone import Phone

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


async def test_a_page_ends_before_its_conditions_fill_it(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "PAGE_BYTES_MAX", 2_500)
    for _ in range(3):
        await caller.publish(users=[f"user-{n:04}" for n in range(100)], payload="")
    pages: list[list[int]] = []
    after = 0
    while after < 3:
        page = (await caller.get(f"{APP}/oplogs?biz=CHAT&target=user:42&after={after}")).json()
        pages.append([oplog["id"] for oplog in page["oplogs"]])
        after = page["upto"]
    assert pages == [[1, 2], [3]]


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


async def test_a_journal_says_how_a_sync_point_moved(caller: Caller, store: MemoryStore) -> None:
    for _ in range(3):
        await caller.publish()
    store.advance([Advance(CHAT_42, "a/b", 7, 1, 0, 1000)])
    skips = (Skip(2, 3, int(Reason.VERSION)),)
    store.advance([Advance(CHAT_42, "a/b", 7, 3, 1, 2000, skips=skips)])
    store.advance([Advance(CHAT_42, "a/b", 7, 1, 1, 3000, sent=2, restarts=True)])
    await caller.publish(target="everyone")  # its commit takes the advances along
    path = f"{APP}/devices/a%2Fb/journal?biz=CHAT&target=user:42"
    steps = (await caller.get(path)).json()["steps"]
    assert steps == [
        {"epoch": 7, "received": 1, "processed": 0, "at_ms": 1000},
        {
            "epoch": 7,
            "received": 3,
            "processed": 1,
            "at_ms": 2000,
            "passed_over": [{"first": 2, "last": 3, "reason": "VERSION"}],
        },
        {"epoch": 7, "received": 1, "processed": 1, "at_ms": 3000, "sent": 2, "lap": 1},
    ]
    assert (await caller.get(f"{path}&after=1")).json()["steps"] == steps[1:]
    assert (await caller.get(f"{path}&limit=1")).json()["steps"] == steps[:1]
    journal = await caller.get(f"{APP}/devices/none/journal?biz=CHAT&target=user:42")
    assert journal.json() == {"steps": []}


async def test_a_page_of_a_journal_has_a_bound(
    caller: Caller, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "SKIPS_MAX", 5)
    for n in range(1, 5):
        skips = tuple(Skip(3 * n + k, 3 * n + k, 1 + k % 2) for k in range(3))
        store.advance([Advance(CHAT_42, "d1", 7, 3 * n + 2, 0, n, skips=skips)])
    await caller.publish(target="everyone")
    path = f"{APP}/devices/d1/journal?biz=CHAT&target=user:42&after="
    ends: list[int] = []
    while steps := (await caller.get(f"{path}{ends[-1] if ends else 0}")).json()["steps"]:
        assert len(steps) == 1
        ends.append(steps[-1]["received"])
    assert ends == [5, 8, 11, 14]


async def test_a_publish_reaches_a_device_that_is_online(caller: Caller, service: Service) -> None:
    phone = await Phone.online(service, "d1")
    await caller.publish(payload="hello", message_id="m1")
    (push,) = await phone.heard()
    assert isinstance(push, m.Push)
    assert [oplog.payload for oplog in push.oplogs] == [b"hello"]
