"""Lines to push services over real sockets, on both event loops: bounds, and broken connections."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mobilesync.engine.push_gateway import SENT, WakeOutcome, WakeResult
from mobilesync.transports.certificates import CertificateFiles
from mobilesync.transports.push_line import (
    Answer,
    LineFailed,
    LineOptions,
    PushLine,
    decoded,
    hinted,
    word,
)
from tests.transports.door import client_context, on_both_loops, until
from tests.transports.push_services import (
    Call,
    Http1Service,
    Http2Service,
    Reply,
    StoppedClock,
    served,
    service_tls,
)


class Post:
    """A service that keeps still while told to, and a line to it."""

    def __init__(self, tls: ssl.SSLContext | None, options: LineOptions, *, http2: bool) -> None:
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.reply = Reply(body=b"{}")
        self.hang_up = False
        self.service = (Http2Service if http2 else Http1Service)(self.handle)
        self.line = PushLine(
            options, clock=StoppedClock(), entropy=random.Random(1), http2=http2, tls=tls
        )

    async def handle(self, call: Call) -> Reply:
        await self.let_go.wait()
        if self.hang_up:
            raise ConnectionError
        return self.reply

    async def say(self, path: str = "/") -> Answer:
        return await self.line.post(f"{self.service.origin}{path}", {"x": "y"}, b"body")

    async def wake(self) -> WakeResult:
        async def say() -> WakeResult:
            await self.say()
            return SENT

        return await self.line.in_turn(say)

    @property
    def newest(self) -> Any:
        """The newest connection of the service."""
        return self.service.connections[-1]


@asynccontextmanager
async def _post(
    files: CertificateFiles, *, http2: bool = True, tls: ssl.SSLContext | None = None, **times: Any
) -> AsyncIterator[Post]:
    options = LineOptions(**times)
    post = Post(tls or client_context(files), options, http2=http2)
    alpn = "h2" if http2 else "http/1.1"
    async with served(post.service, service_tls(files, alpn)):
        try:
            yield post
        finally:
            post.let_go.set()
            await post.line.close()


# What goes through ----------------------------------------------------------------------------


@on_both_loops
async def test_answers_of_every_status_come_back(files: CertificateFiles) -> None:
    for http2 in (True, False):
        async with _post(files, http2=http2) as post:
            post.reply = Reply(503, b'{"a":1}', {"retry-after": "7"})
            answer = await post.say("/path")
            assert (answer.status, answer.body, answer.retry_after) == (503, b'{"a":1}', "7")
            (call,) = post.service.calls
            assert (call.method, call.path, call.body) == ("POST", "/path", b"body")
            assert call.headers["x"] == "y"


@on_both_loops
async def test_many_at_once_share_one_http2_connection(files: CertificateFiles) -> None:
    async with _post(files, concurrent_max=50) as post:
        post.let_go.clear()
        wakes = [asyncio.create_task(post.wake()) for _ in range(200)]
        await until(lambda: len(post.service.calls) == 50)
        post.let_go.set()
        assert await asyncio.gather(*wakes) == [SENT] * 200
        assert len(post.service.connections) == 1
        assert post.newest.most_at_once == 50


@on_both_loops
async def test_http_1_connections_are_kept_and_bounded(files: CertificateFiles) -> None:
    async with _post(files, http2=False, concurrent_max=3) as post:
        for _ in range(5):
            assert await asyncio.gather(*(post.wake() for _ in range(10))) == [SENT] * 10
        assert len(post.service.connections) <= 3


# Bounds ---------------------------------------------------------------------------------------


@on_both_loops
async def test_what_is_over_the_bound_is_told_to_come_back(files: CertificateFiles) -> None:
    async with _post(files, concurrent_max=2, waiting_max=3) as post:
        post.let_go.clear()
        wakes = [asyncio.create_task(post.wake()) for _ in range(5)]
        await until(lambda: len(post.service.calls) == 2)
        refused = await post.wake()
        assert refused.outcome is WakeOutcome.RETRY
        assert "too many" in refused.reason
        post.let_go.set()
        assert await asyncio.gather(*wakes) == [SENT] * 5
        assert await post.wake() == SENT


@on_both_loops
async def test_who_waits_too_long_for_a_turn_is_told_to_come_back(files: CertificateFiles) -> None:
    async with _post(files, concurrent_max=1, timeout_s=0.2, silence_s=0.15) as post:
        post.let_go.clear()
        wakes = await asyncio.gather(*(post.wake() for _ in range(3)))
        assert {wake.outcome for wake in wakes} == {WakeOutcome.RETRY}
        assert {wake.reason for wake in wakes} == {"ReadTimeout", "no answer in time"}


@on_both_loops
async def test_a_huge_answer_is_not_read(files: CertificateFiles) -> None:
    for http2 in (True, False):
        async with _post(files, http2=http2, answer_bytes_max=1000) as post:
            post.reply = Reply(body=b"x" * 1001)
            with pytest.raises(LineFailed, match="too large"):
                await post.say()
            post.reply = Reply(body=b"x" * 1000)
            assert len((await post.say()).body) == 1000


# Connections that break -----------------------------------------------------------------------

BREAKS: dict[str, Callable[[Any], None]] = {
    "goaway": lambda connection: connection.go_away(),
    "goaway for all": lambda connection: connection.go_away(0),
    "closed": lambda connection: connection.writer.close(),
    "cut": lambda connection: connection.cut(),
    # A frame that must not be there: PING on a stream of its own.
    "garbage": lambda connection: connection.writer.write(b"\0\0\x08\x06\0\0\0\0\x01" + b"x" * 8),
}


@on_both_loops
async def test_a_connection_that_ended_while_idle_is_replaced(files: CertificateFiles) -> None:
    async with _post(files) as post:
        await post.say()
        for number, end in enumerate(BREAKS.values(), start=2):
            end(post.newest)
            assert (await post.say()).status == 200
            assert len(post.service.connections) == number


@on_both_loops
async def test_an_idle_http_1_connection_that_was_ended_is_replaced(
    files: CertificateFiles,
) -> None:
    async with _post(files, http2=False) as post:
        await post.say()
        for number in range(2, 5):
            post.newest.close()
            assert (await post.say()).status == 200
            assert len(post.service.connections) == number


@on_both_loops
async def test_what_was_under_way_at_a_goaway_goes_over_a_new_connection(
    files: CertificateFiles,
) -> None:
    async with _post(files) as post:
        await post.say()
        post.let_go.clear()
        early = [asyncio.create_task(post.wake()) for _ in range(3)]
        await until(lambda: len(post.service.calls) == 4)
        # For the library the one that is still served is broken too, so it is sent by us.
        post.newest.go_away(3)
        post.let_go.set()
        assert await asyncio.gather(*early) == [SENT] * 3
        assert len(post.service.calls) == 7
        opened = len(post.service.connections)
        assert await post.wake() == SENT
        assert len(post.service.connections) == opened <= 3


@on_both_loops
async def test_a_service_that_always_hangs_up_gets_one_more_request(
    files: CertificateFiles,
) -> None:
    for http2 in (True, False):
        async with _post(files, http2=http2) as post:
            post.hang_up = True
            wake = await post.wake()
            assert wake.outcome is WakeOutcome.RETRY
            assert wake.reason == "RemoteProtocolError"
            assert len(post.service.calls) == 2
            post.hang_up = False
            assert await post.wake() == SENT


@on_both_loops
async def test_an_answer_that_is_cut_off_is_none(files: CertificateFiles) -> None:
    for http2 in (True, False):
        async with _post(files, http2=http2) as post:
            post.reply = Reply(body=b"{", cut=True)
            with pytest.raises(LineFailed):
                await post.say()


@on_both_loops
async def test_a_silent_connection_is_given_up(files: CertificateFiles) -> None:
    for http2 in (True, False):
        async with _post(files, http2=http2, silence_s=0.1) as post:
            post.let_go.clear()
            with pytest.raises(LineFailed, match="ReadTimeout"):
                await post.say()
            assert len(post.service.calls) == 1, "it may have been taken, so it is not sent again"
            post.let_go.set()
            assert (await post.say()).status == 200
            assert len(post.service.connections) == 2


@on_both_loops
async def test_streams_that_were_given_up_take_no_room(files: CertificateFiles) -> None:
    async with _post(files, concurrent_max=10) as post:
        assert isinstance(post.service, Http2Service)
        post.service.streams_at_first = 10
        await post.say()
        post.let_go.clear()
        given_up = [asyncio.create_task(post.wake()) for _ in range(9)]
        kept = asyncio.create_task(post.wake())
        await until(lambda: len(post.service.calls) == 11)
        for wake in given_up:
            wake.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        # Nine of the ten streams that may be open on the old connection are so for ever.
        later = [asyncio.create_task(post.wake()) for _ in range(9)]
        await _until_calls(post, 12)
        post.let_go.set()
        assert await asyncio.gather(kept, *later) == [SENT] * 10
        assert len(post.service.connections) == 2
        assert await post.wake() == SENT
        assert len(post.service.connections) == 2


@on_both_loops
async def test_nobody_there_means_come_back(files: CertificateFiles) -> None:
    for http2 in (True, False):
        async with _post(files, http2=http2) as post:
            alpn = "h2" if http2 else "http/1.1"
            away = (Http2Service if http2 else Http1Service)(post.handle)
            async with served(away, service_tls(files, alpn)):
                post.service.port = away.port
                assert await post.wake() == SENT
            wake = await post.wake()
            assert wake.outcome is WakeOutcome.RETRY
            assert wake.reason.startswith("ConnectError: ")
            assert wake.retry_after_s >= LineOptions().retry_s
            async with served(away, service_tls(files, alpn), away.port):
                assert await post.wake() == SENT
                assert len(away.calls) == 2


async def test_a_service_that_is_not_trusted_gets_nothing(files: CertificateFiles) -> None:
    async with _post(files, tls=ssl.create_default_context()) as post:
        wake = await post.wake()
        assert wake.outcome is WakeOutcome.RETRY
        assert "CERTIFICATE_VERIFY_FAILED" in wake.reason
        assert not post.service.calls


@on_both_loops
async def test_one_that_speaks_no_tls_is_no_service(files: CertificateFiles) -> None:
    def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    async with _post(files) as post:
        post.service.port = server.sockets[0].getsockname()[1]
        assert (await post.wake()).outcome is WakeOutcome.RETRY
    server.close()
    await server.wait_closed()


@on_both_loops
async def test_closing_ends_what_is_under_way(files: CertificateFiles) -> None:
    for http2 in (True, False):
        async with _post(files, http2=http2) as post:
            post.let_go.clear()
            wakes = [asyncio.create_task(post.wake()) for _ in range(5)]
            await _until_calls(post, 1 if http2 else 5)
            await post.line.close()
            await post.line.close()
            results = await asyncio.gather(*wakes)
            assert {result.reason for result in results} == {"the gateway is closed"}
            assert (await post.wake()).reason == "the gateway is closed"


async def _until_calls(post: Post, count: int) -> None:
    await until(lambda: len(post.service.calls) >= count)


# Words and times ------------------------------------------------------------------------------


def _line(**options: Any) -> PushLine:
    return PushLine(
        LineOptions(**options), clock=StoppedClock(), entropy=random.Random(1), http2=False
    )


def test_retries_are_spread_and_bounded() -> None:
    line = _line()
    waits = [line.later("x", 60.0).retry_after_s for _ in range(200)]
    assert min(waits) >= 60
    assert max(waits) <= 90
    assert len(set(waits)) == 200
    assert all(10 <= line.later("x").retry_after_s <= 15 for _ in range(50))
    assert line.later("x", 1e12).retry_after_s == LineOptions().retry_s_max


@pytest.mark.parametrize(
    "text,wait_s",
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        # The clock of these tests stands at 22:13:20.
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 5.0),
        ("0", 5.0),
        ("", 5.0),
        ("-3", 5.0),
        ("1.5", 5.0),
        ("soon", 5.0),
        ("٣", 5.0),
    ],
)
def test_retry_after_is_read_in_both_forms(text: str, wait_s: float) -> None:
    assert _line().advised_s(Answer(503, b"", text), 5.0) == wait_s


def test_an_endless_retry_after_is_bounded() -> None:
    line = _line()
    advised_s = line.advised_s(Answer(503, b"", "9" * 4000), 5.0)
    assert line.later("x", advised_s).retry_after_s == LineOptions().retry_s_max


def test_reasons_are_words() -> None:
    assert word("Unregistered", "HTTP 410") == "Unregistered"
    for text in ("", "two words", "0badc0de\n", "x" * 65, "é"):
        assert word(text, "HTTP 410") == "HTTP 410"
    assert hinted("a", {"a": "b"}) == "a: b"
    assert hinted("a", {"a": ""}) == hinted("a", {}) == "a"


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b"\xff", b"[" * 10_000, b'{"status":"x"}'])
def test_an_answer_that_does_not_fit_is_none(body: bytes) -> None:
    assert decoded(Answer(200, body), Answer) is None


def test_an_answer_shows_no_content() -> None:
    assert "secret" not in repr(Answer(200, b"secret", "secret"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrent_max": 0},
        {"concurrent_max": 101},
        {"waiting_max": -1},
        {"silence_s": 0.0},
        {"silence_s": 10.0},
        {"timeout_s": 300.0},
        {"answer_bytes_max": 0},
        {"retry_s": 0.0},
        {"retry_s": 1e6},
        {"retry_spread": 1.5},
        {"retry_spread": -0.1},
    ],
)
def test_options_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        LineOptions(**wrong)
