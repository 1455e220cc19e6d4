"""What is a request and what is none, over real sockets: framing, upgrades, smuggling."""

import asyncio
import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilesync.api.connections import SLICE_BYTES
from mobilesync.api.options import ListenOptions
from tests.api.wire import SOON_S, Echo, chunked, get, on_both_loops, post, refusal, served

HIDDEN = get("/admin")


@on_both_loops
async def test_byte_by_byte() -> None:
    data = post("/1", b"body") + chunked("/2", b"in", b"parts") + get("/3")
    async with served(Echo()) as (_, peer):
        for byte in data:
            peer.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert [await peer.said() for _ in range(3)] == [
            b"POST /1 body.",
            b"POST /2 inparts.",
            b"GET /3 .",
        ]


@on_both_loops
async def test_head_has_the_length_and_no_body() -> None:
    async with served(Echo()) as (_, peer):
        await peer.send(get("/", method="HEAD") + get("/2"))
        head = await peer.reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 8\r\n" in head
        assert await peer.said() == b"GET /2 ."


@pytest.mark.parametrize(
    "last",
    [
        get("/last", "Connection: close"),
        get("/last", "Connection: x, CLOSE"),
        get("/last", version="1.0"),
        get("/last", "Connection: keep-alive", version="1.0"),
        get("/last", "Connection: close", "Connection: x"),
    ],
    ids=itertools.count(),
)
@on_both_loops
async def test_nothing_after_a_last_request_is_looked_at(last: bytes) -> None:
    echo = Echo()
    async with served(echo) as (_, peer):
        await peer.send(get("/1") + last + get("/admin") + b"garbage")
        assert await peer.said() == b"GET /1 ."
        head, body = await peer.answer()
        assert b"\r\nconnection: close\r\n" in head
        assert body == b"GET /last ."
        assert await peer.rest() == b""
    assert echo.seen == ["GET /1", "GET /last"]


@pytest.mark.parametrize(
    "faulty",
    [
        get("/", "Content-Length: 5", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\r\n",
        get("/", "Transfer-Encoding: chunked", "Content-Length: 5", method="POST") + b"0\r\n\r\n",
        get("/", "Content-Length: 5", "Content-Length: 5", method="POST") + b"hello",
        get("/", "Content-Length: 5", "Content-Length: 6", method="POST") + b"hello",
        get("/", "Content-Length: 5, 5", method="POST") + b"hello",
        get("/", "Content-Length: +5", method="POST") + b"hello",
        get("/", "Content-Length: -5", method="POST") + b"hello",
        get("/", "Content-Length: 0x5", method="POST") + b"hello",
        get("/", "Content-Length: 99999999999999999999999", method="POST"),
        get("/", "Transfer-Encoding: xchunked", method="POST") + b"0\r\n\r\n",
        get("/", "Transfer-Encoding: gzip", method="POST") + b"0\r\n\r\n",
        get("/", "Transfer-Encoding: chunked, gzip", method="POST") + b"0\r\n\r\n",
        get("/", "Transfer-Encoding: chunked", "Transfer-Encoding: x", method="POST"),
        get("/", "Transfer-Encoding : chunked", method="POST") + b"0\r\n\r\n",
        get("/", "Transfer-Encoding: chunked", method="POST") + b"5 \r\nhello\r\n0\r\n\r\n",
        get("/", "Transfer-Encoding: chunked", method="POST") + b"0x5\r\nhello\r\n0\r\n\r\n",
        get("/", "Transfer-Encoding: chunked", method="POST") + b"5\nhello\r\n0\r\n\r\n",
        get("/", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhelloXX0\r\n\r\n",
        get("/", "Transfer-Encoding: chunked", method="POST") + b"ffffffffffffffffff\r\n",
        get("/", "x: a", " folded: b"),
        get("/", "x: a\x00b"),
        get("/", "x: a\rb"),
        get("/", ": nameless"),
        get("/", "no colon"),
        get("/", "h\xe9ader: x"),
        b"GET / HTTP/1.1\nhost: x\n\n",
        b"GET / HTTP/1.1\r\nhost: x\n\n",
        b"GET / a HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"NOSUCH / HTTP/1.1\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"GET / HTTP/1.2\r\n\r\n",
        b"GET / HTTP/2.0\r\nconnection: keep-alive\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 100,
    ],
    ids=itertools.count(),
)
@on_both_loops
async def test_what_could_be_understood_in_two_ways_is_refused(faulty: bytes) -> None:
    """Else a proxy before the server may see other requests than the server does."""
    echo = Echo()
    async with served(echo) as (_, peer):
        await peer.send(faulty + HIDDEN)
        assert refusal(await peer.rest()) == (400, "MALFORMED_REQUEST")
    assert echo.seen == []


@on_both_loops
async def test_requests_before_a_faulty_one_are_answered_first() -> None:
    async with served(Echo()) as (_, peer):
        await peer.send(get("/1") + post("/2", b"x") + b"garbage\r\n\r\n" + get("/admin"))
        assert await peer.said() == b"GET /1 ."
        assert await peer.said() == b"POST /2 x."
        assert refusal(await peer.rest()) == (400, "MALFORMED_REQUEST")


@on_both_loops
async def test_what_is_under_way_is_answered_before_a_refusal() -> None:
    echo = Echo()
    async with served(echo) as (_, peer):
        await peer.send(get("/hang") + get("/2"), b"garbage\r\n\r\n")
        echo.go.set()
        assert [await peer.said() for _ in range(2)] == [b"GET /hang .", b"GET /2 ."]
        assert refusal(await peer.rest()) == (400, "MALFORMED_REQUEST")


@on_both_loops
async def test_a_fault_in_a_body_that_is_read_ends_the_connection() -> None:
    echo = Echo()
    async with served(echo) as (_, peer):
        head = get("/", "Transfer-Encoding: chunked", method="POST")
        await peer.send(head + b"5\r\nhello\r\n", b"no size\r\n")
        assert await peer.rest() == b""
    assert (echo.seen, echo.gone) == (["POST /"], 1)


@on_both_loops
async def test_a_fault_in_a_body_that_was_not_read_is_not_a_second_answer() -> None:
    async with served(Echo()) as (_, peer):
        head = get("/unread", "Transfer-Encoding: chunked", method="POST")
        await peer.send(head + b"5\r\nhello\r\n")
        assert await peer.said() == b"POST /unread ."
        await peer.send(b"no size\r\n")
        assert await peer.rest() == b""


@pytest.mark.parametrize("step", [10, 1000, 7200])
@on_both_loops
async def test_a_head_without_end(step: int) -> None:
    echo = Echo()
    async with served(echo, ListenOptions(head_bytes_max=3000)) as (_, peer):
        data = b"GET / HTTP/1.1\r\nx: " + b"y" * (3000 + SLICE_BYTES)
        for at in range(0, len(data), step):
            peer.writer.write(data[at : at + step])
            await asyncio.sleep(0)
        assert refusal(await peer.rest()) == (431, "HEADERS_TOO_LARGE")
    assert echo.seen == []


@pytest.mark.parametrize("start", [b"5;x=", b"0\r\nx: "], ids=["chunk extension", "trailer"])
@on_both_loops
async def test_neither_trailers_nor_chunk_extensions_are_endless(start: bytes) -> None:
    echo = Echo()
    async with served(echo, ListenOptions(head_bytes_max=3000)) as (_, peer):
        await peer.send(get("/", "Transfer-Encoding: chunked", method="POST") + start)
        await echo.begun.wait()
        await peer.send(*[b"y" * 1000] * 4)
        assert await peer.rest() == b""
    assert echo.gone == 1


@on_both_loops
async def test_trailers_mean_nothing() -> None:
    async with served(Echo()) as (_, peer):
        await peer.send(chunked("/", b"x", trailers=b"authorization: me\r\nx: y\r\n"))
        await peer.send(get("/2"))
        assert [await peer.said() for _ in range(2)] == [b"POST / x.", b"GET /2 ."]


@pytest.mark.parametrize("step", [10_000, 50, 1])
@on_both_loops
async def test_wishes_for_an_upgrade_are_ignored(step: int) -> None:
    h2c = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAA")
    data = (
        get("/1", "Connection: upgrade", "Upgrade: websocket")
        + post("/2", b"body", *h2c)
        + get("/3", *h2c, "Transfer-Encoding: chunked", method="POST")
        + b"4\r\nbody\r\n0\r\n\r\n"
        + get("/4")
    )
    async with served(Echo()) as (_, peer):
        for at in range(0, len(data), step):
            peer.writer.write(data[at : at + step])
            await asyncio.sleep(0)
        assert [await peer.said() for _ in range(4)] == [
            b"GET /1 .",
            b"POST /2 body.",
            b"POST /3 body.",
            b"GET /4 .",
        ]


@on_both_loops
async def test_a_tunnel_is_an_ordinary_request_and_the_last() -> None:
    async with served(Echo()) as (_, peer):
        await peer.send(b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n" + get("/admin"))
        answer = await peer.rest()
        assert answer.endswith(b"\r\nconnection: close\r\n\r\nCONNECT a:80 .")


BODIES = st.binary(max_size=30) | st.integers(0, 20_000).map(lambda size: b"x" * size)
TARGETS = st.sampled_from(["/", "/a?b=%2F", "/unread"])
HEADERS = st.lists(
    st.sampled_from(
        ["Accept: */*", "x-long: " + "y" * 5000, "X-Empty:", "Upgrade: h2c", "Connection: upgrade"]
    ),
    max_size=4,
    unique=True,
)
REQUESTS = (
    st.builds(lambda target, headers: get(target, *headers), TARGETS, HEADERS)
    | st.builds(
        lambda target, body, headers: post(target, body, *headers), TARGETS, BODIES, HEADERS
    )
    | st.builds(
        lambda target, parts: chunked(target, *parts), TARGETS, st.lists(BODIES, max_size=4)
    )
    | st.builds(lambda target, headers: get(target, *headers, method="HEAD"), TARGETS, HEADERS)
)
LAST = st.sampled_from(
    [get("/last", "Connection: close"), get("/last", version="1.0"), b"garbage\r\n\r\n"]
)


@settings(max_examples=60, deadline=None)
@given(requests=st.lists(REQUESTS, max_size=8), last=LAST, cuts=st.lists(st.floats(0, 1)))
def test_it_does_not_matter_where_the_bytes_are_cut(
    requests: list[bytes], last: bytes, cuts: list[float]
) -> None:
    data = b"".join(requests) + last
    places = [0, *sorted(int(cut * len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(places)]
    whole, whole_seen = asyncio.run(_answers(Echo(), [data]))
    cut, cut_seen = asyncio.run(_answers(Echo(), pieces))
    assert whole.count(b"HTTP/1.1 200 OK\r\n") == len(requests) + (last[:3] == b"GET")
    assert cut == whole
    assert cut_seen == whole_seen


@settings(max_examples=100, deadline=None)
@given(
    requests=st.lists(REQUESTS, min_size=1, max_size=4),
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4), st.integers(0, 4))),
    cut=st.floats(0, 1),
)
def test_whatever_is_sent_is_answered_or_the_connection_ends(
    requests: list[bytes], changes: list[tuple[float, bytes, int]], cut: float
) -> None:
    data = b"".join(requests)
    for place, inserted, removed in changes:
        at = int(place * len(data))
        data = data[:at] + inserted + data[at + removed :]
    at = int(cut * len(data))
    asyncio.run(_answers(Echo(), [data[:at], data[at:]], half=True))


async def _answers(
    echo: Echo, pieces: list[bytes], *, half: bool = False
) -> tuple[bytes, list[bytes]]:
    """All that is answered, but for the ids of refusals, and the bodies that arrived."""
    async with served(echo) as (_, peer):
        reading = asyncio.create_task(peer.rest())
        await peer.send(*pieces)
        if half:
            peer.writer.write_eof()
        async with asyncio.timeout(SOON_S):
            answers = await reading
    return re.sub(rb"connection-[0-9]+", b"", answers).partition(b"content-type")[0], echo.bodies
