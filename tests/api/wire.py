"""For tests of connections: an API that shows what it was asked, and a peer that speaks bytes."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from mobilesync.api.incoming import Answer, Disconnected, Incoming
from mobilesync.api.options import ListenOptions
from mobilesync.api.server import ApiServer, serve_api
from tests.loops import LOOPS

SOON_S = 20.0


def on_both_loops(scenario: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a scenario on each loop; its own parameters stay pytest's to fill."""

    def run(loop_name: str, **arguments: Any) -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
            runner.run(asyncio.wait_for(scenario(**arguments), SOON_S))

    signature = inspect.signature(scenario)
    loop_name = inspect.Parameter("loop_name", inspect.Parameter.KEYWORD_ONLY)
    parameters = [*signature.parameters.values(), loop_name]
    # For pytest, which reads there what to fill.
    vars(run)["__signature__"] = signature.replace(parameters=parameters)
    run.__name__, run.__doc__ = scenario.__name__, scenario.__doc__
    marked: Callable[..., None] = pytest.mark.parametrize("loop_name", LOOPS)(run)
    return marked


@dataclass
class Echo:
    """Answers with method, target and body. By target: `/hang` waits for `go`, `/unread` is
    answered without reading, `/end` too and then the connection ends; `/large` is answered with a
    megabyte, `/huge` with twenty."""

    seen: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    gone: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, incoming: Incoming) -> Answer | None:
        self.seen.append(f"{incoming.method} {incoming.target.decode()}")
        self.begun.set()
        if incoming.target.startswith(b"/hang"):
            await self.go.wait()
        body = b""
        if not incoming.target.startswith((b"/unread", b"/end")):
            try:
                body = await self._read(incoming)
            except Disconnected:
                self.gone += 1
                return None
        self.bodies.append(body)
        said = b"%b %b %b." % (incoming.method.encode(), incoming.target, body)
        if incoming.target.startswith(b"/large"):
            said = b"x" * 1_000_000
        elif incoming.target.startswith(b"/huge"):
            said = b"x" * 20_000_000
        close = incoming.target.startswith(b"/end")
        return Answer(200, b"content-length: %d\r\n" % len(said), said, close)

    async def _read(self, incoming: Incoming) -> bytes:
        parts = []
        complete = False
        while not complete:
            await incoming.wait()
            complete = incoming.complete
            parts.append(incoming.take())
        return b"".join(parts)


class Peer:
    """A client without any idea of HTTP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes) -> None:
        """Each piece alone, so that it arrives alone."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await turns()

    async def answer(self) -> tuple[bytes, bytes]:
        """The next head and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
        return head, await self.reader.readexactly(length)

    async def said(self) -> bytes:
        """The body of the next answer, which must be a good one."""
        head, body = await self.answer()
        assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
        return body

    def pause(self) -> None:
        """Take nothing of what the server sends, until `resume`."""
        self._transport().pause_reading()

    def resume(self) -> None:
        """Take all again."""
        self._transport().resume_reading()

    def answers(self) -> int:
        """How many have come and were not looked at."""
        buffered: bytes = vars(self.reader)["_buffer"]
        return buffered.count(b"HTTP/1.1 200")

    def _transport(self) -> asyncio.ReadTransport:
        return cast("asyncio.ReadTransport", self.writer.transport)

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        return await self.reader.read()


async def turns(count: int = 5) -> None:
    """Let the server do what it can do."""
    for _ in range(count):
        await asyncio.sleep(0.0005)


@asynccontextmanager
async def served(
    echo: Echo, options: ListenOptions | None = None
) -> AsyncIterator[tuple[ApiServer, Peer]]:
    """A server and one peer; whatever the loop has to complain of fails the test."""
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    server = await serve_api(echo, "127.0.0.1", 0, options=options)
    peer = await connect(server)
    try:
        yield server, peer
    finally:
        peer.writer.close()
        await server.stop(0)
    assert faults == []


async def connect(server: ApiServer) -> Peer:
    """One more peer."""
    return Peer(*await asyncio.open_connection("127.0.0.1", server.port))


def get(target: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    """A request without a body."""
    lines = [f"{method} {target} HTTP/{version}", "host: x", *headers, "", ""]
    return "\r\n".join(lines).encode()


def post(target: str, body: bytes, *headers: str) -> bytes:
    """A request whose body has its length before it."""
    return get(target, f"Content-Length: {len(body)}", *headers, method="POST") + body


def chunked(target: str, *parts: bytes, trailers: bytes = b"") -> bytes:
    """A request whose body comes in chunks."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b"") if part)
    head = get(target, "Transfer-Encoding: chunked", method="POST")
    return head + chunks + b"0\r\n" + trailers + b"\r\n"


def refusal(answer: bytes) -> tuple[int, str]:
    """Status and code of the one answer in `answer`."""
    assert answer.count(b"HTTP/1.1 4") == 1, answer
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]) == len(body)
    code: str = json.loads(body)["error"]["code"]
    return int(head.split()[1]), code
