"""The courier, against real receivers on this machine that behave in every way they may."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

import mobilesync.transports.courier as module
from mobilesync.engine.courier import Courier, NotDelivered
from mobilesync.transports.certificates import development_certificate, server_tls_context
from mobilesync.transports.courier import HttpCourier
from tests.ports import free_port

TIMEOUT_S = 5.0
SHORT_S = 0.3
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Receiver:
    """A server that reads a request and gives `answer`, again and again on a connection."""

    def __init__(self, answer: bytes | Answer) -> None:
        self.answer = answer
        self.connections = 0
        self.requests: list[bytes] = []
        self.port = 0
        self.let_go = asyncio.Event()
        self.open: set[asyncio.StreamWriter] = set()

    def url(self, scheme: str = "http") -> str:
        host = "localhost" if scheme == "https" else "127.0.0.1"
        return f"{scheme}://{host}:{self.port}/in"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                if isinstance(self.answer, bytes):
                    writer.write(self.answer)
                    await writer.drain()
                else:
                    await self.answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self.open.discard(writer)


@asynccontextmanager
async def _receiver(
    answer: bytes | Answer, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    receiver = Receiver(answer)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        receiver.let_go.set()
        server.close()
        for writer in receiver.open:
            writer.transport.abort()
        while receiver.open:
            await asyncio.sleep(0.001)
        await server.wait_closed()


@pytest.fixture
async def courier() -> AsyncIterator[HttpCourier]:
    courier = HttpCourier()
    yield courier
    await courier.close()
    await courier.close()


async def _post(courier: Courier, url: str, timeout_s: float = TIMEOUT_S) -> int:
    return await courier.post(url, {"webhook-id": "msg_1"}, b'{"events": []}', timeout_s)


def _status(line: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {line}", "Content-Length: 0", *headers, "", ""]).encode()


async def test_what_arrives_is_what_was_given(courier: HttpCourier) -> None:
    async with _receiver(OK) as receiver:
        assert await _post(courier, receiver.url()) == 200
        head, body = receiver.requests[0].split(b"\r\n\r\n")
        assert head.startswith(b"POST /in HTTP/1.1\r\n")
        assert b"webhook-id: msg_1" in head.lower()
        assert b"content-length: 14" in head.lower()
        assert body == b'{"events": []}'


async def test_a_connection_is_used_again(courier: HttpCourier) -> None:
    async with _receiver(OK) as receiver:
        for _ in range(3):
            await _post(courier, receiver.url())
        assert (len(receiver.requests), receiver.connections) == (3, 1)


@pytest.mark.parametrize("status", [204, 299, 400, 404, 410, 429, 500, 503])
async def test_every_status_is_an_answer(courier: HttpCourier, status: int) -> None:
    async with _receiver(_status(f"{status} Whatever")) as receiver:
        assert await _post(courier, receiver.url()) == status


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(courier: HttpCourier, status: int) -> None:
    async with _receiver(OK) as other:
        answer = _status(f"{status} Elsewhere", f"Location: {other.url()}")
        async with _receiver(answer) as receiver:
            assert await _post(courier, receiver.url()) == status
            assert len(receiver.requests) == 1
        assert other.requests == []


async def test_nobody_is_there(courier: HttpCourier) -> None:
    with pytest.raises(NotDelivered) as caught:
        await _post(courier, f"http://127.0.0.1:{free_port()}/in")
    assert caught.value.message


async def test_one_that_hangs_is_given_up_at_the_time_limit(courier: HttpCourier) -> None:
    async with _receiver(OK) as receiver:

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await receiver.let_go.wait()

        receiver.answer = hang
        with pytest.raises(NotDelivered, match=r"no answer in 0\.3 s"):
            await _post(courier, receiver.url(), SHORT_S)
        receiver.answer = OK
        assert await _post(courier, receiver.url()) == 200


async def test_one_that_takes_the_connection_and_nothing_else(courier: HttpCourier) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(NotDelivered):
            await _post(courier, f"https://127.0.0.1:{port}/in", SHORT_S)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
    ids=lambda answer: answer[:24].decode(),
)
async def test_what_is_no_answer(courier: HttpCourier, answer: bytes) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        raise ConnectionError

    async with _receiver(once) as receiver:
        with pytest.raises(NotDelivered):
            await _post(courier, receiver.url())


@pytest.mark.parametrize("kind", ["Transfer-Encoding: chunked", "Content-Length: 10000", "X: y"])
async def test_a_body_that_may_be_long_is_not_read(
    courier: HttpCourier, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BODY_S_MAX", 1000.0)
    async with _receiver(OK) as receiver:

        async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(f"HTTP/1.1 200 OK\r\n{kind}\r\n\r\n".encode())
            await receiver.let_go.wait()

        receiver.answer = endless
        # Were it waited for, this would take a thousand seconds.
        assert await asyncio.wait_for(_post(courier, receiver.url(), 1000.0), 20) == 200
        receiver.answer = OK
        assert await _post(courier, receiver.url()) == 200
        assert receiver.connections == 2, "the first one was of no more use"


async def test_a_slow_body_does_not_take_the_status_back(
    courier: HttpCourier, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _receiver(OK) as receiver:

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\nx")
            await receiver.let_go.wait()

        receiver.answer = slow
        assert await _post(courier, receiver.url(), SHORT_S) == 201
        monkeypatch.setattr(module, "BODY_S_MAX", SHORT_S)
        assert await asyncio.wait_for(_post(courier, receiver.url(), 1000.0), 20) == 201


async def test_a_body_that_is_cut_off_does_not_either(courier: HttpCourier) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 Oh\r\nContent-Length: 10\r\n\r\nx")
        raise ConnectionError

    async with _receiver(cut) as receiver:
        assert await _post(courier, receiver.url()) == 500


@pytest.mark.parametrize(
    "url", ["http://" + "x" * 70 + ".invalid/", "http://a..b/", "http://", "nothing"]
)
async def test_addresses_that_nobody_can_have(courier: HttpCourier, url: str) -> None:
    with pytest.raises(NotDelivered):
        await _post(courier, url)


async def test_certificates_are_checked(courier: HttpCourier, tmp_path: Path) -> None:
    now_ms = time.time_ns() // 1_000_000
    files = development_certificate(tmp_path, now_ms)
    async with _receiver(OK, server_tls_context(files, now_ms, alpn=("http/1.1",))) as receiver:
        with pytest.raises(NotDelivered, match="CERTIFICATE_VERIFY_FAILED"):
            await _post(courier, receiver.url("https"))
        assert receiver.requests == []
        trusting = HttpCourier(ssl.create_default_context(cafile=files.certificate))
        try:
            assert await _post(trusting, receiver.url("https")) == 200
        finally:
            await trusting.close()


async def test_whoever_is_cut_off_leaves_no_connection_behind(courier: HttpCourier) -> None:
    async with _receiver(OK) as receiver:

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await receiver.let_go.wait()

        receiver.answer = hang
        posting = asyncio.create_task(_post(courier, receiver.url()))
        while not receiver.requests:
            await asyncio.sleep(0.001)
        posting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await posting
        receiver.answer = OK
        assert await _post(courier, receiver.url()) == 200
