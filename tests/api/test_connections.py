"""Connections, byte by byte: what is answered, in which order, and what is refused."""

import asyncio
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

import pytest

from mobilesync.api.connections import BODY_HELD_MAX, SLICE_BYTES, WAITING_MAX, Connection
from mobilesync.api.options import ListenOptions
from mobilesync.api.server import ApiServer, serve_api
from tests.api.certificates import make_certificate
from tests.api.wire import (
    Echo,
    Peer,
    chunked,
    connect,
    get,
    on_both_loops,
    post,
    refusal,
    served,
    turns,
)

SHORTEST = b"GET / HTTP/1.1\r\n\r\n"


def only(server: ApiServer) -> Connection:
    (connection,) = server._connections.open
    return connection


@pytest.mark.parametrize("field", ["connections_max", "head_bytes_max", "head_timeout_s"])
def test_a_bound_of_nothing_is_a_mistake(field: str) -> None:
    bounds: dict[str, Any] = {field: 0}
    with pytest.raises(AssertionError):
        ListenOptions(**bounds)


@on_both_loops
async def test_each_server_has_its_own_bounds() -> None:
    async with served(Echo(), ListenOptions(head_bytes_max=100)) as (_, narrow):
        async with served(Echo(), ListenOptions(head_bytes_max=9000)) as (_, wide):
            for peer in (narrow, wide):
                await peer.send(get("/", "x: " + "y" * 5000))
            assert refusal(await narrow.rest()) == (431, "HEADERS_TOO_LARGE")
            assert await wide.said() == b"GET / ."


@on_both_loops
async def test_requests_one_after_another_and_all_at_once() -> None:
    requests = [get("/1"), post("/2", b"two"), chunked("/3", b"th", b"ree"), get("/4?q=%2F#x")]
    expected = [b"GET /1 .", b"POST /2 two.", b"POST /3 three.", b"GET /4?q=%2F#x ."]
    async with served(Echo()) as (_, peer):
        for request, said in zip(requests, expected, strict=True):
            await peer.send(request)
            assert await peer.said() == said
        await peer.send(b"".join(requests) * 3)
        assert [await peer.said() for _ in range(12)] == expected * 3


@on_both_loops
async def test_one_request_is_one_task_and_one_write_without_a_timer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with served(Echo()) as (server, peer):
        await peer.send(get("/"))
        await peer.said()
        connection = only(server)
        timer = connection._timer
        assert timer is not None
        await peer.send(post("/", b"body"))
        await peer.said()
        assert connection._timer is timer
        assert connection.task is None


@on_both_loops
async def test_a_body_is_bidden_only_when_it_is_wanted() -> None:
    head = get("/hang", "Expect: 100-Continue", "Content-Length: 4", method="POST")
    echo = Echo()
    async with served(echo) as (_, peer):
        await peer.send(head)
        await echo.begun.wait()
        await turns()
        assert peer.answers() == 0
        echo.go.set()
        assert await peer.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await peer.send(b"bo", b"dy")
        assert await peer.said() == b"POST /hang body."
        # Who sends it unbidden needs no such word.
        await peer.send(post("/1", b"body", "Expect: 100-continue"))
        assert await peer.said() == b"POST /1 body."


@on_both_loops
async def test_who_speaks_1_0_is_bidden_nothing() -> None:
    expects = ("Expect: 100-continue", "Content-Length: 4")
    echo = Echo()
    async with served(echo) as (_, peer):
        await peer.send(get("/", *expects, method="POST", version="1.0"))
        await echo.begun.wait()
        await peer.send(b"body")
        assert await peer.said() == b"POST / body."


@on_both_loops
async def test_a_body_that_was_not_bidden_ends_the_connection() -> None:
    head = get("/unread", "Expect: 100-continue", "Content-Length: 4", method="POST")
    async with served(Echo()) as (_, peer):
        await peer.send(head)
        answer = await peer.rest()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nconnection: close\r\n" in answer


@on_both_loops
async def test_few_requests_wait_however_many_come() -> None:
    count = 5000
    echo = Echo()
    async with served(echo) as (server, peer):
        peer.writer.write(get("/hang") + SHORTEST * count)
        await echo.begun.wait()
        await turns()
        for _ in range(50):
            await peer.send(SHORTEST)
        count += 50
        connection = only(server)
        assert len(connection._queue) <= WAITING_MAX + SLICE_BYTES // len(SHORTEST)
        assert len(connection._held) <= 300_000
        assert connection._reading is False
        echo.go.set()
        assert await peer.said() == b"GET /hang ."
        for _ in range(count):
            assert await peer.said() == b"GET / ."
        assert only(server)._reading
    assert len(echo.seen) == count + 1


@on_both_loops
async def test_few_requests_wait_however_slowly_they_come() -> None:
    echo = Echo()
    async with served(echo) as (server, peer):
        await peer.send(get("/hang"), *[SHORTEST * 3] * 100)
        assert len(only(server)._queue) <= WAITING_MAX + 3
        echo.go.set()
        for _ in range(301):
            await peer.said()


@on_both_loops
async def test_requests_that_come_at_once_leave_a_turn_to_others() -> None:
    async with served(Echo()) as (server, peer):
        other = await connect(server)
        peer.writer.write(SHORTEST * 10_000)
        await turns(1)
        other.writer.write(get("/other"))
        assert await other.said() == b"GET /other ."
        assert peer.answers() < 10_000
        other.writer.close()


@on_both_loops
async def test_a_body_that_nobody_reads_is_not_read_from_the_network() -> None:
    size = 20_000_000
    echo = Echo()
    async with served(echo) as (server, peer):
        sending = asyncio.create_task(peer.send(post("/hang", b"x" * size)))
        await echo.begun.wait()
        await turns(20)
        arriving = only(server)._parser.arriving
        assert arriving is not None
        assert BODY_HELD_MAX < arriving.held_bytes < BODY_HELD_MAX + 300_000
        echo.go.set()
        assert len(await peer.said()) == size + len(b"POST /hang .")
        await sending


@on_both_loops
async def test_a_body_that_was_not_read_is_skipped() -> None:
    async with served(Echo()) as (_, peer):
        sending = asyncio.create_task(peer.send(post("/unread", b"x" * 3_000_000), get("/2")))
        assert await peer.said() == b"POST /unread ."
        assert await peer.said() == b"GET /2 ."
        await sending


@on_both_loops
async def test_a_body_that_will_not_be_read_does_not_hide_the_answer() -> None:
    async with served(Echo()) as (server, peer):
        sending = asyncio.create_task(peer.send(post("/end", b"x" * 20_000_000), get("/admin")))
        head, body = await peer.answer()
        assert b"\r\nconnection: close\r\n" in head
        assert body == b"POST /end ."
        await sending
        assert await peer.rest() == b""
        peer.writer.close()
        await until_closed(server)


@on_both_loops
async def test_who_does_not_take_answers_is_given_no_more() -> None:
    count = 40
    echo = Echo()
    async with served(echo) as (server, peer):
        peer.pause()
        await peer.send(get("/large") * count)
        await turns(50)
        assert len(echo.seen) < 20
        connection = only(server)
        assert connection.transport.get_write_buffer_size() < 1_200_000
        peer.resume()
        for _ in range(count):
            assert len(await peer.said()) == 1_000_000


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("count", [1, 40])
@on_both_loops
async def test_who_takes_nothing_for_long_is_ended(count: int, last: bool) -> None:
    async with served(Echo(), ListenOptions(keep_alive_s=0.05)) as (server, peer):
        peer.pause()
        request = get("/large") * 10
        await peer.send(request * count, get("/large", "Connection: close") if last else b"")
        await until_closed(server)


async def until_closed(server: ApiServer) -> None:
    async with asyncio.timeout(5):
        while server.connections:
            await asyncio.sleep(0.01)


@on_both_loops
async def test_who_takes_nothing_of_a_last_answer_is_ended() -> None:
    async with served(Echo(), ListenOptions(keep_alive_s=0.05)) as (server, peer):
        peer.pause()
        await peer.send(get("/huge", "Connection: close"))
        await until_closed(server)


@on_both_loops
async def test_the_timer_leaves_a_request_under_way_alone() -> None:
    echo = Echo()
    async with served(echo, ListenOptions(head_timeout_s=0.05)) as (server, peer):
        await peer.send(get("/hang"))
        await asyncio.sleep(0.12)
        echo.go.set()
        assert await peer.said() == b"GET /hang ."
        await peer.send(get("/2"))
        assert await peer.said() == b"GET /2 ."
        assert only(server)._timer is not None


@on_both_loops
async def test_half_an_end_is_no_end() -> None:
    echo = Echo()
    async with served(echo) as (server, peer):
        await peer.send(get("/1") + post("/hang", b"x") + get("/3"))
        peer.writer.write_eof()
        await echo.begun.wait()
        await turns()
        echo.go.set()
        assert [await peer.said() for _ in range(3)] == [b"GET /1 .", b"POST /hang x.", b"GET /3 ."]
        assert await peer.rest() == b""
        await until_closed(server)


@on_both_loops
async def test_an_end_after_more_than_may_wait() -> None:
    async with served(Echo()) as (server, peer):
        peer.writer.write(SHORTEST * 3000 + get("/", "Content-Length: 9", method="POST"))
        peer.writer.write_eof()
        assert (await peer.rest()).count(b"GET / .") == 3000
        await until_closed(server)


@pytest.mark.parametrize("half", [True, False])
@on_both_loops
async def test_an_end_in_the_middle_of_a_body(half: bool) -> None:
    echo = Echo()
    async with served(echo) as (server, peer):
        await peer.send(post("/", b"body")[:-1])
        await echo.begun.wait()
        if half:
            peer.writer.write_eof()
            assert await peer.rest() == b""
        else:
            peer.writer.transport.abort()
        await until_closed(server)
    assert (echo.gone, echo.bodies) == (1, [])


@on_both_loops
async def test_an_end_between_requests_and_in_a_head() -> None:
    async with served(Echo()) as (server, peer):
        await peer.send(get("/"))
        await peer.said()
        peer.writer.write_eof()
        assert await peer.rest() == b""
        other = await connect(server)
        await other.send(b"GET / HT")
        other.writer.write_eof()
        assert await other.rest() == b""
        other.writer.close()
        await until_closed(server)


@on_both_loops
async def test_an_end_before_the_answer_and_in_the_middle_of_it() -> None:
    echo = Echo()
    async with served(echo) as (server, peer):
        await peer.send(get("/hang") + get("/2"))
        await echo.begun.wait()
        # So that the end is a reset: else it is taken for half of one.
        linger = struct.pack("ii", 1, 0)
        handle = peer.writer.get_extra_info("socket")
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        peer.writer.transport.abort()
        await until_closed(server)
        assert len(server._connections.tasks) == 1, "what was begun is done to the end"
        echo.go.set()
        await turns()
        assert server._connections.tasks == set()
        other = await connect(server)
        await other.send(get("/large") * 10)
        await other.reader.readexactly(10)
        other.writer.transport.abort()
        await until_closed(server)
    assert "GET /2" not in echo.seen


@on_both_loops
async def test_rest_ends() -> None:
    options = ListenOptions(keep_alive_s=0.1, head_timeout_s=5)
    async with served(Echo(), options) as (_, peer):
        for _ in range(2):
            await peer.send(get("/"))
            await peer.said()
            await asyncio.sleep(0.05)
        async with asyncio.timeout(2):
            assert await peer.rest() == b""


@pytest.mark.parametrize("before", [b"", get("/")], ids=["first", "second"])
@pytest.mark.parametrize("trickle", [True, False])
@on_both_loops
async def test_a_slow_head(before: bytes, trickle: bool) -> None:
    async with served(Echo(), ListenOptions(head_timeout_s=0.1)) as (_, peer):
        if before:
            await peer.send(before)
            await peer.said()
        await peer.send(b"GET / HT")
        for byte in b"TP/1.1\r\nx: yyy" if trickle else b"":
            peer.writer.write(bytes([byte]))
            await asyncio.sleep(0.012)
        async with asyncio.timeout(2):
            assert refusal(await peer.rest()) == (408, "BODY_TIMEOUT")


@on_both_loops
async def test_a_slow_head_behind_a_request() -> None:
    async with served(Echo(), ListenOptions(head_timeout_s=0.1)) as (_, peer):
        await peer.send(get("/1") + b"GET /2 HT")
        assert await peer.said() == b"GET /1 ."
        async with asyncio.timeout(2):
            assert refusal(await peer.rest()) == (408, "BODY_TIMEOUT")


@on_both_loops
async def test_a_body_that_nobody_reads_and_that_never_ends() -> None:
    async with served(Echo(), ListenOptions(keep_alive_s=0.1)) as (server, peer):
        await peer.send(post("/unread", b"x" * 100)[:-50])
        assert await peer.said() == b"POST /unread ."
        for _ in range(3):
            await peer.send(b"x")
            await asyncio.sleep(0.02)
        async with asyncio.timeout(2):
            assert await peer.rest() == b""
        await until_closed(server)


@on_both_loops
async def test_a_stop_answers_what_waits_and_says_that_it_is_the_last() -> None:
    echo = Echo()
    async with served(echo) as (server, peer):
        resting = await connect(server)
        await peer.send(get("/hang") + get("/2"))
        await echo.begun.wait()
        stop = asyncio.create_task(server.stop(5))
        await turns()
        assert await resting.rest() == b""
        echo.go.set()
        head, _ = await peer.answer()
        assert b"connection: close" not in head
        head, body = await peer.answer()
        assert b"connection: close" in head
        assert body == b"GET /2 ."
        await stop
        assert server.connections == 0
        resting.writer.close()


@on_both_loops
async def test_who_goes_on_sending_still_gets_its_last_answer() -> None:
    options = ListenOptions(head_bytes_max=1000, keep_alive_s=0.3)
    async with served(Echo(), options) as (server, peer):
        peer.pause()
        await peer.send(*[b"GET / HTTP/1.1\r\nx: ".ljust(3000, b"y")] * 20)
        peer.resume()
        assert refusal(await peer.rest()) == (431, "HEADERS_TOO_LARGE")
        assert server.connections == 1, "it has not ended, and is given some time to"
        await until_closed(server)


@on_both_loops
async def test_an_api_that_fails_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    echo = Echo()
    async with served(echo) as (server, peer):

        async def broken(incoming: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(echo, "answer", broken)
        faults: list[Any] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))
        await peer.send(get("/"))
        assert await peer.rest() == b""
        await until_closed(server)
        assert isinstance(faults[0], ZeroDivisionError)


@on_both_loops
async def test_a_stop_lets_large_answers_be_taken() -> None:
    echo = Echo()
    async with served(echo) as (server, peer):
        peer.pause()
        await peer.send(get("/large") * 5)
        stop = asyncio.create_task(server.stop(10))
        await turns()
        peer.resume()
        for _ in range(5):
            assert len((await peer.answer())[1]) == 1_000_000
        await stop
        other = await serve_api(echo, "127.0.0.1", 0)
        stuck = await connect(other)
        stuck.pause()
        await stuck.send(get("/large") * 20)
        await other.stop(0.05)
        assert other.connections == 0
        stuck.writer.close()


@on_both_loops
async def test_over_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    trust = ssl.create_default_context(cafile=str(certificate))
    echo = Echo()
    server = await serve_api(echo, "127.0.0.1", 0, tls=context)
    peer = Peer(*await asyncio.open_connection("127.0.0.1", server.port, ssl=trust))
    body = b"x" * 3_000_000
    await peer.send(post("/1", body) + chunked("/2", b"a", b"b"), SHORTEST * 3000)
    assert len(await peer.said()) == len(body) + len(b"POST /1 .")
    assert await peer.said() == b"POST /2 ab."
    for _ in range(3000):
        assert await peer.said() == b"GET / ."
    await peer.send(b"garbage\r\n\r\n")
    assert refusal(await peer.rest()) == (400, "MALFORMED_REQUEST")
    peer.writer.close()
    plain = await connect(server)
    await plain.send(get("/"))
    assert b"HTTP" not in await plain.rest()
    plain.writer.close()
    await server.stop(1)
    assert server.connections == 0
