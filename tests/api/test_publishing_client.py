"""The publishing client against the real API, over a real port."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mobilesync.api.keys import ApiKeys
from mobilesync.api.server import ApiServer, serve_api
from mobilesync.engine.service import Service
from mobilesync.publishing import (
    AsyncPublisher,
    InvalidPublication,
    InvalidRequest,
    NotAllowed,
    NotStored,
    Offered,
    Publication,
    Publisher,
    Reached,
    Retries,
)
from mobilesync.storage.disk import Disk
from tests.api.certificates import make_certificate
from tests.api.fakes import Caller, FakeClock
from tests.api.phone import Phone

QUICK = Retries(tries=2, first_wait_s=0, wait_max_s=0)


@pytest.fixture
async def server(caller: Caller) -> AsyncIterator[ApiServer]:
    server = await serve_api(caller.app, "127.0.0.1", 0)
    yield server
    await server.stop(0)


@pytest.fixture
async def key(keys: ApiKeys) -> str:
    return (await keys.create("shop", ["publish"], "demo")).text


async def test_async(server: ApiServer, key: str, disk: Disk) -> None:
    url = f"http://127.0.0.1:{server.port}"
    async with AsyncPublisher(url, app="demo", key=key) as publisher:
        first = await publisher.publish("CHAT", "user:42", b"\xff", message_id="m1")
        again = await publisher.publish("CHAT", "user:42", b"\xff", message_id="m1")
        assert (first.id, first.duplicate) == (1, False)
        assert (again.id, again.duplicate) == (1, True)
        batch = [Publication("CHAT", "everyone", "a"), Publication("NONE", "everyone", "b")]
        with pytest.raises(InvalidPublication) as caught:
            await publisher.publish_batch(batch)
        assert [(item.index, item.code) for item in caught.value.items] == [(1, "UNKNOWN_BIZ")]
    assert sum(map(len, disk.oplogs.values())) == 1


async def test_sync(server: ApiServer, key: str, disk: Disk) -> None:
    def run() -> list[int]:
        with Publisher(f"http://127.0.0.1:{server.port}", app="demo", key=key) as publisher:
            batch = [Publication("CHAT", f"user:{n % 2}", "hi") for n in range(4)]
            return [published.id for published in publisher.publish_batch(batch)]

    assert await asyncio.to_thread(run) == [1, 1, 2, 2]


async def test_everything_else_it_can_do(
    server: ApiServer, keys: ApiKeys, service: Service, clock: FakeClock
) -> None:
    phone = await Phone.online(service, "d1")
    key = (await keys.create("all", ["publish", "configure", "inspect"], "demo")).text
    url = f"http://127.0.0.1:{server.port}"

    async with AsyncPublisher(url, app="demo", key=key) as publisher:
        told = await publisher.dry_run("CHAT", "user:42", "hi", os=["ios"], key="volume")
        assert (told.code, told.matching, told.online) == ("OK", 1, 1)
        assert told.samples == [Reached("d1", "42", online=True)]
        from_ms = clock.now_ms + 60_000
        later = await publisher.publish("CHAT", "user:42", "later", valid_from_ms=from_ms)
        assert (later.id, later.scheduled, later.duplicate) == (0, True, False)
        for number in (1, 2):
            await publisher.publish(
                "CHAT", "user:42", "hi", message_id=f"m{number}", users=["42"], rollout_percent=100
            )
        await phone.takes("CHAT", "user:42", 2)
        done = await publisher.explain("CHAT", "user:42", "d1", message_id="m2")
        assert (done.id, done.reason) == (2, "PROCESSED")
        waits = await publisher.explain("CHAT", "user:42", "d1", message_id=later.message_id)
        assert waits.details == {"due_ms": from_ms}
        found = [each async for each in publisher.receipts("CHAT", "user:42", id=2)]
        assert [(each.device, each.reason) for each in found] == [("d1", "PROCESSED")]
        recalled = await publisher.recall("CHAT", "user:42", message_id="m1")
        assert (recalled.id, recalled.by_id, recalled.duplicate) == (1, 3, False)
        offered = await publisher.offer_again("CHAT", "user:42", "d1", id=2)
        assert offered == Offered("CHAT", "user:42", 4)
        replayed = await publisher.replay("CHAT", "user:42", "d1", to=0)
        assert (replayed.floor, replayed.online) == (0, True)
        with pytest.raises(InvalidRequest) as caught:
            await publisher.explain("CHAT", "user:42", "d1", message_id="none")
        assert caught.value.code == "NOT_FOUND"

    def run() -> None:
        with Publisher(url, app="demo", key=key) as publisher:
            assert publisher.dry_run("CHAT", "everyone", "hi").devices == 1
            assert publisher.recall("CHAT", "user:42", id=1).duplicate
            assert publisher.explain("CHAT", "user:42", "d1", id=1).reason == "PROCESSED"
            assert [r.device for r in publisher.receipts("CHAT", "user:42", id=1)] == ["d1"]
            assert publisher.offer_again("CHAT", "user:42", "d1", message_id="m2").id == 5
            assert publisher.replay("CHAT", "user:42", "d1", to=1).floor == 1
            with pytest.raises(ValueError, match="exactly one"):
                publisher.explain("CHAT", "user:42", "d1")

    await asyncio.to_thread(run)


async def test_a_key_that_is_not_good_for_it(server: ApiServer, key: str) -> None:
    url = f"http://127.0.0.1:{server.port}"
    async with AsyncPublisher(url, app="other", key=key) as publisher:
        with pytest.raises(NotAllowed) as caught:
            await publisher.publish("CHAT", "user:42", "hi")
        assert caught.value.code == "FORBIDDEN"
    async with AsyncPublisher(url, app="demo", key="ms_none_none") as publisher:
        with pytest.raises(NotAllowed) as caught:
            await publisher.publish("CHAT", "user:42", "hi")
        assert caught.value.code == "UNAUTHORIZED"


async def test_a_server_that_has_gone(server: ApiServer, key: str) -> None:
    url = f"http://127.0.0.1:{server.port}"
    await server.stop(0)
    async with AsyncPublisher(url, app="demo", key=key, retries=QUICK) as publisher:
        with pytest.raises(NotStored):
            await publisher.publish("CHAT", "user:42", "hi")


async def test_tls(caller: Caller, key: str, tmp_path: Path) -> None:
    certificate, key_file = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key_file)
    server = await serve_api(caller.app, "127.0.0.1", 0, tls=context)
    url = f"https://127.0.0.1:{server.port}"
    async with AsyncPublisher(url, app="demo", key=key, ca_file=certificate) as publisher:
        assert (await publisher.publish("CHAT", "user:42", "hi")).id == 1
    async with AsyncPublisher(url, app="demo", key=key) as publisher:
        with pytest.raises(NotStored, match="ca_file"):
            await publisher.publish("CHAT", "user:42", "hi")
    await server.stop(0)
