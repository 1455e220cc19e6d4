"""The API on a real port: keep-alive, TLS, bounds of connections, and a graceful end."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mobilesync.api.incoming import Answer, Incoming
from mobilesync.api.options import ListenOptions
from mobilesync.api.server import ApiServer, serve_api
from tests.api.certificates import make_certificate
from tests.api.fakes import OPLOGS, Caller, assert_error


@pytest.fixture
async def server(caller: Caller) -> AsyncIterator[ApiServer]:
    server = await serve_api(caller.app, "127.0.0.1", 0)
    yield server
    await server.stop(0)


class Held:
    """An API whose answers wait for a word."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def answer(self, incoming: Incoming) -> Answer:
        self.begun.set()
        await self.may_end.wait()
        return Answer(200, b"content-length: 4\r\n", b"done")


def url(server: ApiServer) -> str:
    return f"http://127.0.0.1:{server.port}"


async def test_publishes_on_one_connection(caller: Caller, server: ApiServer) -> None:
    headers = caller.client.headers
    async with httpx.AsyncClient(base_url=url(server), headers=headers) as client:
        publication = {"biz": "CHAT", "target": "user:42", "payload": "hi"}
        answers = [await client.post(OPLOGS, json=publication) for _ in range(3)]
        assert [answer.json()["id"] for answer in answers] == [1, 2, 3]
        assert answers[0].headers["date"] == "Tue, 14 Nov 2023 22:13:20 GMT"
        assert server.connections == 1


async def test_a_device_id_with_a_slash(caller: Caller, server: ApiServer) -> None:
    async with httpx.AsyncClient(base_url=url(server), headers=caller.client.headers) as client:
        answer = await client.get("/v1/apps/demo/devices/a%2Fb")
        assert_error(answer, "NOT_FOUND", "device")


async def test_a_chunked_body_over_the_bound(caller: Caller, server: ApiServer) -> None:
    key = caller.client.headers["authorization"].encode()
    head = (
        b"POST /v1/apps/demo/oplogs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"transfer-encoding: chunked\r\nauthorization: " + key + b"\r\n\r\n"
    )
    chunk = b"%x\r\n" % 1000 + b" " * 1000 + b"\r\n"
    answer = await raw(server, head + chunk * 200 + b"1\r\n \r\n")
    status, error = split(answer)
    assert (status, error["code"]) == (413, "TOO_LARGE")
    assert b"connection: close" in answer


async def test_head_and_204(caller: Caller, server: ApiServer) -> None:
    async with httpx.AsyncClient(base_url=url(server), headers=caller.client.headers) as client:
        answer = await client.head("/healthz")
        assert (answer.status_code, answer.content) == (200, b"")
        answer = await client.delete("/v1/apps/demo/bizzes/CHAT")
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await client.get("/healthz")).json() == {"status": "ok"}


async def test_tls(caller: Caller, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    trust = ssl.create_default_context(cafile=str(certificate))
    server = await serve_api(caller.app, "127.0.0.1", 0, tls=context)
    try:
        async with httpx.AsyncClient(verify=trust) as client:
            answer = await client.get(f"https://127.0.0.1:{server.port}/healthz")
        assert answer.status_code == 200
    finally:
        await server.stop(1)


async def test_a_port_that_is_taken(caller: Caller, server: ApiServer) -> None:
    with pytest.raises(OSError, match="in use"):
        await serve_api(caller.app, "127.0.0.1", server.port)


async def test_a_graceful_stop_lets_a_request_finish() -> None:
    api = Held()
    server = await serve_api(api, "127.0.0.1", 0)
    async with httpx.AsyncClient() as client:
        request = asyncio.ensure_future(client.get(f"http://127.0.0.1:{server.port}/"))
        await api.begun.wait()
        stop = asyncio.ensure_future(server.stop(30))
        await asyncio.sleep(0)
        api.may_end.set()
        assert (await request).content == b"done"
        await stop
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{server.port}/")


async def test_a_stop_without_grace_ends_what_hangs() -> None:
    api = Held()
    server = await serve_api(api, "127.0.0.1", 0)
    async with httpx.AsyncClient() as client:
        request = asyncio.ensure_future(client.get(f"http://127.0.0.1:{server.port}/"))
        await api.begun.wait()
        await server.stop(0)
        with pytest.raises(httpx.HTTPError):
            await request
    assert server.connections == 0


async def raw(server: ApiServer, data: bytes) -> bytes:
    """What the server sends back until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    return answer


def split(answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00garbage of a TLS client\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
    ],
)
async def test_what_is_no_http_gets_the_one_error_shape(server: ApiServer, data: bytes) -> None:
    status, error = split(await raw(server, data))
    assert (status, error["code"]) == (400, "MALFORMED_REQUEST")
    assert error["request_id"]


async def test_headers_without_end(caller: Caller) -> None:
    server = await serve_api(caller.app, "127.0.0.1", 0, options=ListenOptions(head_bytes_max=1000))
    status, error = split(await raw(server, b"GET / HTTP/1.1\r\nx: " + b"y" * 2000))
    assert (status, error["code"]) == (431, "HEADERS_TOO_LARGE")
    await server.stop(0)


async def test_slow_headers_and_silence(caller: Caller) -> None:
    server = await serve_api(caller.app, "127.0.0.1", 0, options=ListenOptions(head_timeout_s=0.05))
    status, error = split(await raw(server, b"GET / HTTP/1.1\r\nx: "))
    assert (status, error["code"]) == (408, "BODY_TIMEOUT")
    assert await raw(server, b"") == b""
    assert server.connections == 0
    await server.stop(0)


async def test_connections_are_bounded(caller: Caller) -> None:
    server = await serve_api(caller.app, "127.0.0.1", 0, options=ListenOptions(connections_max=2))
    held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.HTTPError):
            await client.get(f"http://127.0.0.1:{server.port}/healthz")
    assert server.connections == 2
    for _, writer in held:
        writer.close()
    await server.stop(0)


async def test_who_rests_makes_room_for_who_comes(caller: Caller) -> None:
    server = await serve_api(caller.app, "127.0.0.1", 0, options=ListenOptions(connections_max=2))
    busy = await asyncio.open_connection("127.0.0.1", server.port)
    busy[1].write(b"GET /heal")
    resting = await asyncio.open_connection("127.0.0.1", server.port)
    resting[1].write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
    await resting[0].readuntil(b"}")
    async with httpx.AsyncClient() as client:
        for _ in range(3):
            answer = await client.get(f"http://127.0.0.1:{server.port}/healthz")
            assert answer.status_code == 200
    assert await resting[0].read() == b""
    busy[1].write(b"thz HTTP/1.1\r\nhost: x\r\n\r\n")
    assert b"200 OK" in await busy[0].readuntil(b"}")
    for _, writer in (busy, resting):
        writer.close()
    await server.stop(0)


async def test_garbage_after_a_request_does_not_corrupt_its_answer() -> None:
    api = Held()
    server = await serve_api(api, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await api.begun.wait()
    writer.write(b"garbage\r\n\r\n")
    assert await reader.read() == b""
    writer.close()
    await server.stop(0)
