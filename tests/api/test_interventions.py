"""Recall, replay and offer over HTTP: what they do, what they refuse, and that they are noted."""

from typing import Any

import pytest

from mobilesync.api.keys import ApiKeys
from mobilesync.domain.channel import Channel
from mobilesync.engine.service import Service
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import CloseCode
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.api.fakes import Caller, assert_error
from tests.api.phone import Phone

APP = "/v1/apps/demo"
RECALLS = f"{APP}/recalls"
REPLAYS = f"{APP}/devices/d1/replays"
OFFERS = f"{APP}/devices/d1/offers"
CHAT = {"biz": "CHAT", "target": "user:42"}
CHAT_42 = Channel("demo", "CHAT", "user:42")


async def _noted(service: Service) -> list[tuple[str, str, dict[str, Any]]]:
    entries = await service.audit.read("demo")
    done = [each for each in entries if not each.action.startswith("biz_")]
    return [(each.who.split()[0], each.action, each.details) for each in done]


class TestRecalls:
    async def test_by_id_and_again(self, caller: Caller, service: Service, disk: Disk) -> None:
        await caller.publish(payload="oops")
        answer = await caller.post(RECALLS, CHAT | {"id": 1})
        assert answer.json() == {"id": 1, "by_id": 2, "duplicate": False}
        assert disk.oplogs[CHAT_42][0].payload == b""
        again = await caller.post(RECALLS, CHAT | {"id": 1})
        assert again.json() == {"id": 1, "by_id": 2, "duplicate": True}
        assert await _noted(service) == [("tests", "oplog_recalled", CHAT | {"id": 1})]
        shown = (await caller.get(f"{APP}/oplogs?biz=CHAT&target=user:42")).json()["oplogs"]
        assert shown[0]["withdrawn"]["by_id"] == 2
        assert shown[1]["withdraws"] == {"ids": [[1, 1]], "reason": "recalled", "by": ""}

    async def test_by_message_id(self, caller: Caller) -> None:
        await caller.publish()
        await caller.publish(message_id="m2")
        answer = await caller.post(RECALLS, CHAT | {"message_id": "m2"})
        assert (answer.json()["id"], answer.json()["by_id"]) == (2, 3)

    async def test_needs_the_right_to_publish(self, caller: Caller, keys: ApiKeys) -> None:
        await caller.publish()
        for scope, status in (("inspect", 403), ("configure", 403), ("publish", 200)):
            key = await keys.create("x", [scope], "demo")  # type: ignore[list-item]  # a scope
            answer = await caller.post(
                RECALLS, CHAT | {"id": 1}, authorization=f"Bearer {key.text}"
            )
            assert answer.status_code == status, scope

    async def test_a_recall_cannot_be_recalled(self, caller: Caller) -> None:
        await caller.publish()
        await caller.post(RECALLS, CHAT | {"id": 1})
        assert_error(await caller.post(RECALLS, CHAT | {"id": 2}), "INVALID_REQUEST", "id")


class TestReplays:
    async def test_the_device_is_sent_to_log_in_again(
        self, caller: Caller, service: Service
    ) -> None:
        phone = await Phone.online(service, "d1")
        for _ in range(3):
            await caller.publish()
        await phone.takes("CHAT", "user:42", 3)
        answer = await caller.post(REPLAYS, CHAT | {"to": 1})
        assert answer.json() == {"floor": 1, "received_before": 3, "online": True}
        close = phone.hear()[-1]
        assert isinstance(close, m.Close)
        assert close.code == CloseCode.RESUME
        expected = CHAT | {"device": "d1", "to": 1}
        assert await _noted(service) == [("tests", "device_replayed", expected)]

    async def test_only_back_and_only_where_it_was(self, caller: Caller, service: Service) -> None:
        body = CHAT | {"to": 0}
        assert_error(await caller.post(REPLAYS, body), "NOT_FOUND", "device")
        phone = await Phone.online(service, "d1")
        await caller.publish()
        await phone.heard()
        phone.ack("CHAT", "user:42", 1, 1)
        assert_error(await caller.post(REPLAYS, body | {"to": 1}), "INVALID_REQUEST", "to")


class TestOffers:
    async def test_it_comes_again_for_this_device(self, caller: Caller, service: Service) -> None:
        phone = await Phone.online(service, "d1")
        await caller.publish(target="everyone", message_id="m1")
        await phone.heard()
        everyone = {"biz": "CHAT", "target": "everyone"}
        answer = await caller.post(OFFERS, everyone | {"message_id": "m1"})
        assert answer.json() == {"biz": "CHAT", "target": "device:d1", "id": 1}
        (push,) = await phone.heard()
        assert isinstance(push, m.Push)
        assert push.oplogs[0].origin == m.Origin("everyone", 1)
        expected = everyone | {"id": 1, "device": "d1"}
        assert await _noted(service) == [("tests", "oplog_offered", expected)]
        path = f"{APP}/oplogs?biz=CHAT&target=device:d1"
        (shown,) = (await caller.get(path)).json()["oplogs"]
        assert shown["origin"] == {"target": "everyone", "id": 1, "by_operator": True}

    async def test_not_to_strangers_nor_what_is_not_theirs(
        self, caller: Caller, service: Service
    ) -> None:
        await caller.publish(target="everyone")
        everyone = {"biz": "CHAT", "target": "everyone", "id": 1}
        assert_error(await caller.post(OFFERS, everyone), "NOT_FOUND", "device")
        await Phone.online(service, "d1")
        await caller.publish(target="user:7")
        body = {"biz": "CHAT", "target": "user:7", "id": 1}
        assert_error(await caller.post(OFFERS, body), "INVALID_REQUEST", "device")


@pytest.mark.parametrize("path", [RECALLS, OFFERS])
@pytest.mark.parametrize(
    "body, code, field",
    [
        (CHAT, "INVALID_REQUEST", "id"),
        (CHAT | {"id": 1, "message_id": "m1"}, "INVALID_REQUEST", "id"),
        (CHAT | {"id": "1"}, "INVALID_REQUEST", "id"),
        (CHAT | {"id": 9}, "NOT_FOUND", "id"),
        (CHAT | {"message_id": "none"}, "NOT_FOUND", "message_id"),
        (CHAT | {"id": 1, "x": 1}, "INVALID_REQUEST", ""),
        ({"biz": "CHAT", "target": "nobody", "id": 1}, "INVALID_REQUEST", "target"),
        ({"biz": "no biz", "target": "everyone", "id": 1}, "INVALID_REQUEST", "biz"),
    ],
)
async def test_what_names_no_oplog(
    caller: Caller, path: str, body: dict[str, Any], code: str, field: str
) -> None:
    assert_error(await caller.post(path, body), code, field)


async def test_a_store_that_cannot_write_refuses_them_all(
    caller: Caller, service: Service, store: MemoryStore
) -> None:
    phone = await Phone.online(service, "d1")
    await caller.publish()
    await phone.heard()
    phone.ack("CHAT", "user:42", 1, 1)
    await store.close()
    for path, body in ((RECALLS, {"id": 1}), (OFFERS, {"id": 1}), (REPLAYS, {"to": 0})):
        assert_error(await caller.post(path, CHAT | body), "STORE_UNAVAILABLE")
