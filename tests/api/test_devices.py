"""Devices and users: what is known of them, and the end of a session."""

from structlog.testing import capture_logs

from mobilesync.domain.channel import Channel
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.domain.sync_point import Advance
from mobilesync.engine.service import Service
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import CloseCode, Waits
from mobilesync.storage.memory import MemoryStore
from tests.api.fakes import Caller, FakeClock, assert_error
from tests.api.phone import Phone

APP = "/v1/apps/demo"
CHAT_42 = Channel("demo", "CHAT", "user:42")
POINT = {"biz": "CHAT", "target": "user:42", "epoch": 7, "sent": 0, "waits": "", "restarts": 0}


async def test_a_device_of_which_only_sync_points_are_left(
    caller: Caller, store: MemoryStore
) -> None:
    for _ in range(3):
        await caller.publish()
    store.advance([Advance(CHAT_42, "a/b", 7, 3, 1, 2000, waits=Waits.NO_HANDLER)])
    device = (await caller.get(f"{APP}/devices/a%2Fb")).json()
    assert device == {
        "device": "a/b",
        "online": False,
        "user": "",
        "os": "",
        "app_version": "",
        "attributes": {},
        "sdk": "",
        "first_seen_ms": 0,
        "online_since_ms": 0,
        "offline_since_ms": 0,
        "points": [POINT | {"received": 3, "processed": 1, "last": 3, "waits": "no_handler"}],
        "replays": [],
    }


async def test_a_device_that_never_was_here(caller: Caller) -> None:
    assert_error(await caller.get(f"{APP}/devices/none"), "NOT_FOUND", "device")
    assert_error(await caller.delete(f"{APP}/devices/none/session"), "NOT_FOUND", "device")
    too_long = "d" * 129
    assert_error(await caller.get(f"{APP}/devices/{too_long}"), "INVALID_REQUEST", "device")


async def test_a_device_comes_and_goes(caller: Caller, service: Service, clock: FakeClock) -> None:
    phone = await Phone.online(
        service, "d1", attributes={"plan": "gold"}, sdk="python/0.1", app_version="2.1"
    )
    came_ms = clock.now_ms
    shown = (await caller.get(f"{APP}/devices/d1")).json()
    assert shown == {
        "device": "d1",
        "online": True,
        "user": "42",
        "os": "ios",
        "app_version": "2.1",
        "attributes": {"plan": "gold"},
        "sdk": "python/0.1",
        "first_seen_ms": came_ms,
        "online_since_ms": came_ms,
        "offline_since_ms": 0,
        "points": [],
        "replays": [],
    }
    clock.now_ms += 5_000
    phone.hang_up()
    gone = (await caller.get(f"{APP}/devices/d1")).json()
    assert gone == shown | {"online": False, "offline_since_ms": came_ms + 5_000}
    assert_error(await caller.get("/v1/apps/other/devices/d1"), "NOT_FOUND")


async def test_a_replay_waits_for_its_device(caller: Caller, service: Service) -> None:
    phone = await Phone.online(service, "d1")
    await caller.publish()
    await phone.heard()
    phone.ack("CHAT", "user:42", 1, 1)
    phone.hang_up()
    body = {"biz": "CHAT", "target": "user:42", "to": 0}
    await caller.post(f"{APP}/devices/d1/replays", body)
    (replay,) = (await caller.get(f"{APP}/devices/d1")).json()["replays"]
    assert replay == {
        "biz": "CHAT",
        "target": "user:42",
        "floor": 0,
        "received_before": 1,
        "asked_at_ms": service.clock.wall_ms(),
    }


async def test_devices_page_by_page(caller: Caller, service: Service) -> None:
    for n in range(5):
        phone = await Phone.online(service, f"d{n}", f"u{n}")
        if n % 2:
            phone.hang_up()
    found: list[tuple[str, str, bool]] = []
    after = ""
    while True:
        page = (await caller.get(f"{APP}/devices?limit=2&after={after}")).json()
        found += [(each["device"], each["user"], each["online"]) for each in page["devices"]]
        after = page["after"]
        if not after:
            break
    assert found == [(f"d{n}", f"u{n}", n % 2 == 0) for n in range(5)]
    assert (await caller.get("/v1/apps/other/devices")).json() == {"devices": [], "after": ""}
    for query in ("limit=0", "limit=1001", f"after={'x' * 129}"):
        answer = await caller.get(f"{APP}/devices?{query}")
        assert_error(answer, "INVALID_REQUEST", query.split("=")[0])


async def test_a_user_with_devices_and_points(caller: Caller, service: Service) -> None:
    call = SyncConfig(biz="CALL", target_kind="user", scope="appointed", multi_device=False)
    await service.configs.put("demo", call)
    await caller.publish()
    await caller.publish(biz="CALL")
    for name in ("d1", "d2"):
        phone = await Phone.online(service, name)
        for push in await phone.heard():
            assert isinstance(push, m.Push)
            phone.ack(push.biz, push.target, push.upto, push.upto)
    user = (await caller.get(f"{APP}/users/42")).json()
    assert [each["device"] for each in user["devices"]] == ["d1", "d2"]
    points = {
        each["device"]: [(point["biz"], point["received"]) for point in each["points"]]
        for each in user["devices"]
    }
    assert points == {"d1": [("CALL", 1), ("CHAT", 1)], "d2": [("CHAT", 1)]}
    (shared,) = user["points"]
    assert (shared["biz"], shared["received"], shared["last"]) == ("CALL", 1, 1)
    page = (await caller.get(f"{APP}/users/42?limit=1")).json()
    assert ([each["device"] for each in page["devices"]], page["after"]) == (["d1"], "d1")
    page = (await caller.get(f"{APP}/users/42?limit=2&after=d1")).json()
    assert ([each["device"] for each in page["devices"]], page["after"]) == (["d2"], "")


async def test_a_user_who_has_only_oplogs_or_nothing(caller: Caller) -> None:
    await caller.publish()
    assert (await caller.get(f"{APP}/users/42")).json() == {
        "user": "42",
        "devices": [],
        "points": [],
        "after": "",
    }
    assert_error(await caller.get(f"{APP}/users/43"), "NOT_FOUND", "user")
    assert_error(await caller.get(f"{APP}/users/{'u' * 129}"), "INVALID_REQUEST", "user")


async def test_the_end_of_a_session(caller: Caller, service: Service) -> None:
    phone = await Phone.online(service, "d1")
    assert_error(await caller.delete("/v1/apps/other/devices/d1/session"), "NOT_FOUND")
    assert (await caller.delete(f"{APP}/devices/d1/session")).status_code == 204
    (close,) = phone.hear()
    assert isinstance(close, m.Close)
    assert close.code == CloseCode.LOGGED_OUT
    assert_error(await caller.delete(f"{APP}/devices/d1/session"), "NOT_FOUND", "device")
    ended = await service.audit.read("demo", action="session_ended")
    assert [(entry.who[:5], entry.details) for entry in ended] == [("tests", {"device": "d1"})]


async def test_a_session_is_ended_even_if_nobody_can_note_it(
    caller: Caller, service: Service, store: MemoryStore
) -> None:
    await Phone.online(service, "d1")
    await store.close()
    with capture_logs() as logs:
        assert (await caller.delete(f"{APP}/devices/d1/session")).status_code == 204
    assert "not_noted" in [line["event"] for line in logs]
    assert service.sessions.of_device("demo", "d1") is None
