"""Both publishers over a pretended network: the same calls, the same outcomes."""

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest

from mobilesync.publishing import (
    AsyncPublisher,
    NotAllowed,
    NotStored,
    OutcomeUnknown,
    Publication,
    Published,
    Publisher,
    Retries,
)

QUICK = Retries(tries=3, first_wait_s=0, wait_max_s=0)
Handler = Callable[[httpx.Request], httpx.Response]
PublishBatch = Callable[[Handler, Sequence[Publication]], list[Published]]


def by_sync(handler: Handler, publications: Sequence[Publication]) -> list[Published]:
    transport = httpx.MockTransport(handler)
    with Publisher(
        "http://sync.test/", app="demo", key="ms_1_2", retries=QUICK, transport=transport
    ) as publisher:
        return publisher.publish_batch(publications)


def by_async(handler: Handler, publications: Sequence[Publication]) -> list[Published]:
    async def run() -> list[Published]:
        transport = httpx.MockTransport(handler)
        async with AsyncPublisher(
            "http://sync.test", app="demo", key="ms_1_2", retries=QUICK, transport=transport
        ) as publisher:
            return await publisher.publish_batch(publications)

    return asyncio.run(run())


@pytest.fixture(params=[by_sync, by_async])
def publish_batch(request: pytest.FixtureRequest) -> PublishBatch:
    chosen: PublishBatch = request.param
    return chosen


HI = [Publication("CHAT", "user:1", "hi")]


class Server:
    """Answers with each of `outcomes` in turn, then with success; keeps what it was sent."""

    def __init__(self, *outcomes: int | Exception) -> None:
        self.outcomes = list(outcomes)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.outcomes:
            outcome = self.outcomes.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return httpx.Response(outcome)
        rows = json.loads(request.content)
        ids = [
            {"id": n, "message_id": row["message_id"], "code": "OK"}
            for n, row in enumerate(rows, start=1)
        ]
        return httpx.Response(200, json=ids)


def test_publishes(publish_batch: PublishBatch) -> None:
    server = Server()
    published = publish_batch(server, [*HI, *HI])
    assert [each.id for each in published] == [1, 2]
    request = server.requests[0]
    assert str(request.url) == "http://sync.test/v1/apps/demo/oplogs"
    assert request.headers["authorization"] == "Bearer ms_1_2"
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "outcome", [429, 503, 502, httpx.ReadTimeout("slow"), httpx.ConnectError("refused")]
)
def test_tries_again_with_the_same_message_ids(
    publish_batch: PublishBatch, outcome: int | Exception
) -> None:
    server = Server(outcome, outcome)
    assert publish_batch(server, HI)[0].id == 1
    assert len(server.requests) == 3
    assert len({request.content for request in server.requests}) == 1


def test_gives_up_in_the_end(publish_batch: PublishBatch) -> None:
    with pytest.raises(OutcomeUnknown):
        publish_batch(Server(*[httpx.ReadError("cut")] * 3), HI)
    with pytest.raises(NotStored):
        publish_batch(Server(*[httpx.ConnectError("refused")] * 3), HI)


def test_what_cannot_help_is_not_tried_again(publish_batch: PublishBatch) -> None:
    server = Server(401)
    with pytest.raises(NotAllowed):
        publish_batch(server, HI)
    server = Server(httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"))
    with pytest.raises(NotStored, match="ca_file"):
        publish_batch(server, HI)
    assert len(server.requests) == 1


def test_waits_as_long_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)

    def busy_once(request: httpx.Request) -> httpx.Response:
        if not waits:
            return httpx.Response(429, headers={"retry-after": "4"})
        return Server()(request)

    by_sync(busy_once, HI)
    assert waits == [4.0]


def test_one_oplog_at_a_time() -> None:
    transport = httpx.MockTransport(Server())
    with Publisher("http://sync.test", app="a/b", key="k", transport=transport) as publisher:
        assert publisher.publish("CHAT", "user:1", b"hi", message_id="m").message_id == "m"

    async def run() -> Published:
        async with AsyncPublisher(
            "http://sync.test", app="demo", key="k", transport=httpx.MockTransport(Server())
        ) as publisher:
            return await publisher.publish("CHAT", "user:1", b"hi", message_id="m")

    assert asyncio.run(run()).id == 1


def test_receipts_are_asked_for_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def pages(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["after"])
        names = {"": ("a", "b"), "b": ("c", "d"), "d": ()}[asked[-1]]
        rows = [
            {
                "device": name,
                "user": "u",
                "online": True,
                "reason": "SENT",
                "sentence": "s",
                "sent_at_ms": 1,
                "received_at_ms": 0,
                "processed_at_ms": 0,
            }
            for name in names
        ]
        after = names[-1] if names else ""
        page = {"biz": "CHAT", "target": "everyone", "id": 1, "receipts": rows, "after": after}
        return httpx.Response(200, json=page)

    with Publisher(
        "http://sync.test", app="demo", key="k", transport=httpx.MockTransport(pages)
    ) as publisher:
        found = [each.device for each in publisher.receipts("CHAT", "everyone", id=1)]
    assert (found, asked) == ([*"abcd"], ["", "b", "d"])

    async def run() -> list[str]:
        async with AsyncPublisher(
            "http://sync.test", app="demo", key="k", transport=httpx.MockTransport(pages)
        ) as publisher:
            return [r.device async for r in publisher.receipts("CHAT", "everyone", id=1)]

    assert asyncio.run(run()) == [*"abcd"]


def test_a_certificate_file_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nonsense")
    with pytest.raises(ssl.SSLError):
        Publisher("https://sync.test", app="demo", key="k", ca_file=file)
