"""User checks against a real HTTP server on the loopback interface, which plays all it can."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import Struct

from mobilesync.domain.errors import MobilesyncError
from mobilesync.engine.apps import App, Apps, SecretKey, UserCallback
from mobilesync.engine.signature import sign
from mobilesync.engine.user_check import CannotTell, UserQuestion
from mobilesync.transports.user_check import (
    BODY_BYTES_MAX,
    OPERATION,
    UserCallbacks,
    read_answer,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
QUESTION = UserQuestion("shop", "ada/é", "phone", "c0ffee", "their-session")


class StoppedClock:
    def wall_ms(self) -> int:
        return 1_700_000_000_999

    def monotonic_s(self) -> float:
        return 1.0


class Asked(Struct):
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


Play = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Business:
    """Answers with what it was told, the last one again and again."""

    def __init__(self, *answers: bytes | Play) -> None:
        self.answers = list(answers)
        self.asked: list[Asked] = []
        self.port = 0
        self._serving: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def end(self) -> None:
        """Who hangs does so until now: nobody else would end it but the garbage collector."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *rows = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (row.split(": ", 1) for row in rows)}
            body = await reader.readexactly(int(headers["content-length"]))
            self.asked.append(Asked(line, headers, body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def _http(body: object, status: str = "200 OK", *headers: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + data


async def _hang(writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


async def _drip(writer: asyncio.StreamWriter) -> None:
    """Never silent for long, and never done."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def _pour(writer: asyncio.StreamWriter) -> None:
    """Without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    while True:
        writer.write(chunk)
        await writer.drain()


@asynccontextmanager
async def _asking(
    business: Business, **settings: Any
) -> AsyncIterator[Callable[..., Awaitable[bool]]]:
    server = await asyncio.start_server(business.accept, "127.0.0.1", 0)
    business.port = server.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{business.port}/check?from=mobilesync"
    callback = UserCallback(url, SECRET, "PROD_SHOP", **{"attempts": 1, **settings})
    apps = Apps([App("shop", (SecretKey(b"k" * 32),), user_check=callback)])
    callbacks = UserCallbacks(apps, clock=StoppedClock(), entropy=random.Random(1))
    try:
        yield lambda question=QUESTION: callbacks.validate(question)
    finally:
        await callbacks.close()
        await callbacks.close()
        server.close()
        await business.end()
        await server.wait_closed()


def _mss(valid: object, sid: str = "their-session", /, **members: object) -> dict[str, object]:
    result = {"sid": sid, "valid": valid}
    return {"success": True, "resultCode": "OK", "resultMsg": "fine", "result": result, **members}


# What is asked ---------------------------------------------------------------------------------


async def test_the_question_has_both_forms_and_is_signed() -> None:
    business = Business(_http({"valid": True}))
    async with _asking(business) as ask:
        assert await ask() is True
    (asked,) = business.asked
    assert asked.line == "POST /check?from=mobilesync HTTP/1.1"
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["accept-encoding"] == "identity"
    assert json.loads(asked.body) == {
        "operationType": OPERATION,
        "instanceId": "PROD_SHOP",
        "userId": "ada/é",
        "sessionId": "their-session",
        "app": "shop",
        "user": "ada/é",
        "session": "c0ffee",
        "device": "phone",
    }
    name = asked.headers["webhook-id"]
    for header, value in sign(SECRET, name, 1_700_000_000, asked.body).items():
        assert asked.headers[header] == value


async def test_all_tries_ask_one_question() -> None:
    business = Business(_http(b"", "503 Busy"), b"", _http({"valid": False}))
    async with _asking(business, attempts=3) as ask:
        assert await ask() is False
        assert await ask() is False
    names = [asked.headers["webhook-id"] for asked in business.asked]
    assert names[0] == names[1] == names[2] != names[3]


# What is answered ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer, valid",
    [
        (_mss(True), True),
        (_mss(False), False),
        ({"success": True, "returnCode": "OK", "result": {"valid": True}}, True),
        ({"success": True, "result": {"sid": None, "valid": False}}, False),
        ({"valid": True}, True),
        ({"valid": False, "because": "logged out"}, False),
        ({"valid": True, "sid": "their-session"}, True),
        ({"valid": True, "success": None, "resultCode": None, "result": None}, True),
        (_mss(True, valid=True), True),
    ],
)
def test_a_clear_answer_is_the_verdict(answer: object, valid: bool) -> None:
    assert read_answer(json.dumps(answer).encode(), "their-session") is valid


@pytest.mark.parametrize(
    "answer, words",
    [
        (_mss(True, "another"), "another session"),
        (_mss(False, "another"), "another session"),
        ({"valid": True, "sid": ""}, "another session"),
        (_mss(True, success=False), "failed"),
        (_mss(True, resultCode="OPERATION_ERROR"), "failed"),
        (_mss(True, returnCode="OPERATION_ERROR"), "failed"),
        ({"valid": True, "resultCode": "SYSTEM_ERROR"}, "failed"),
        ({"success": False, "resultCode": "OPERATION_ERROR", "resultMsg": "x"}, "failed"),
        ({"result": {"valid": True}}, "neither form"),
        ({"success": True}, "no verdict"),
        (_mss(True, valid=False), "no verdict"),
        ({}, "no verdict"),
        (_mss("true"), "neither form"),
        (_mss(1), "neither form"),
        ({"valid": "yes"}, "neither form"),
        ({"success": True, "result": {"sid": "their-session"}}, "neither form"),
        ([True], "neither form"),
        (True, "neither form"),
        (None, "neither form"),
    ],
)
def test_whatever_is_not_clear_is_no_verdict(answer: object, words: str) -> None:
    with pytest.raises(CannotTell, match=words):
        read_answer(json.dumps(answer).encode(), "their-session")


@pytest.mark.parametrize("body", [b"", b"no json", b"\xff", b"[" * 60_000, b'{"valid": true'])
def test_garbage_is_no_verdict(body: bytes) -> None:
    with pytest.raises(CannotTell):
        read_answer(body, "their-session")


# What goes wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer, words, tries",
    [
        (_http({"valid": True}, "500 Internal Server Error"), "answered 500", 3),
        (_http({"valid": True}, "429 Too Many Requests"), "answered 429", 3),
        (_http({"valid": True}, "401 Unauthorized"), "answered 401", 1),
        (_http({"valid": True}, "404 Not Found"), "answered 404", 1),
        (_http({"valid": True}, "302 Found", "Location: /check"), "answered 302", 1),
        (b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", "neither form", 1),
        (_http(_mss(True, "another")), "another session", 1),
        (_http(b" " * BODY_BYTES_MAX + b'{"valid": true}'), "too large", 1),
        (_pour, "too large", 1),
        (_http(b"\x1f\x8b\x08garbage", "200 OK", "Content-Encoding: gzip"), "neither form", 1),
        (b"garbage\r\n\r\n", "no answer", 3),
        (b"", "no answer", 3),
        (_http({"valid": True})[:-3], "no answer", 3),
        (_hang, r"no answer within 0\.3 s", 3),
        (_drip, r"no answer within 0\.3 s", 3),
    ],
    ids=lambda each: each if isinstance(each, str) else None,
)
async def test_what_cannot_be_told(answer: bytes | Play, words: str, tries: int) -> None:
    business = Business(answer)
    timeout_s = 0.3 if "within" in words else 20.0
    async with _asking(business, attempts=3, timeout_s=timeout_s) as ask:
        with pytest.raises(CannotTell, match=words) as caught:
            await ask()
    assert isinstance(caught.value, MobilesyncError)
    assert len(business.asked) == tries
    for private in ("ada", "their-session", "127.0.0.1", "check?"):
        assert private not in f"{caught.value} {caught.value.hint}"


async def test_the_largest_body_is_read() -> None:
    body = b'{"valid": true}'.ljust(BODY_BYTES_MAX)
    async with _asking(Business(_http(body))) as ask:
        assert await ask()


async def test_a_slow_answer_within_its_time_is_an_answer() -> None:
    async def late(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        writer.write(_http({"valid": True}))
        await writer.drain()

    async with _asking(Business(late), timeout_s=20.0) as ask:
        assert await ask()


async def test_nobody_there() -> None:
    business = Business(b"")
    async with _asking(business) as ask:
        pass
    # Its port is closed now.
    with pytest.raises(CannotTell, match="no answer"):
        await ask()


async def test_it_is_well_again_within_the_tries() -> None:
    business = Business(_hang, _http(b"", "502 Bad Gateway"), _http(_mss(True)))
    async with _asking(business, attempts=3, timeout_s=1.0) as ask:
        assert await ask()
    assert len(business.asked) == 3


async def test_many_at_once_each_get_their_own_answer() -> None:
    async def echo(writer: asyncio.StreamWriter) -> None:
        writer.write(
            _http({"valid": True, "sid": json.loads(business.asked[-1].body)["sessionId"]})
        )
        await writer.drain()

    business = Business(echo)
    async with _asking(business, concurrent_max=8) as ask:
        questions = [UserQuestion("shop", "u", "d", "s", f"session-{n}") for n in range(50)]
        slots = asyncio.Semaphore(8)

        async def one(question: UserQuestion) -> bool:
            async with slots:
                return await ask(question)

        assert all(await asyncio.gather(*map(one, questions)))
