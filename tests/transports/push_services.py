"""What a push service is made of: calls, replies, a clock, and TLS servers that speak HTTP.

`Http2Service` speaks HTTP/2 and nothing else, through the h2 library; `Http1Service` HTTP/1.1 with
connections that are kept. Both hand each call to a handler, and may be told to hang, to hang up, or
to end their connections as real services do.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from mobilesync.engine.clock import SystemClock
from mobilesync.transports.certificates import CertificateFiles, server_tls_context
from tests.ports import free_port

LINGER_S = 0.1
"""What a client gets to take the end of its connection."""


class StoppedClock:
    """A clock that only a test moves; `set_wall` lets the wall time jump."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.wall_s = 1_700_000_000.0

    def advance(self, by_s: float) -> None:
        self.now_s += by_s
        self.wall_s += by_s

    def wall_ms(self) -> int:
        return round(self.wall_s * 1000)

    def monotonic_s(self) -> float:
        return self.now_s


@dataclass(frozen=True)
class Call:
    """One request as it came in."""

    connection: int
    """Which of the service's connections it came over, counted from 1."""
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What to answer; `cut` ends the connection in the middle of it."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


Handler = Callable[[Call], Awaitable[Reply]]
"""Gives the reply, or waits as long as it likes, or raises ConnectionError to hang up."""


def json_reply(status: int, content: Any, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(content).encode(), named)


def service_tls(files: CertificateFiles, *alpn: str) -> ssl.SSLContext:
    return server_tls_context(files, SystemClock().wall_ms(), alpn=alpn)


class Http2Connection:
    """The server's side of one connection."""

    def __init__(
        self, number: int, service: "Http2Service", writer: asyncio.StreamWriter, streams: int
    ) -> None:
        self.number = number
        self.writer = writer
        self._service = service
        self._h2 = H2Connection(H2Configuration(client_side=False))
        self._h2.local_settings = Settings(
            client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: streams}
        )
        self._heads: dict[int, dict[str, str]] = {}
        self._bodies: dict[int, bytes] = {}
        self._replies: dict[int, asyncio.Task[None]] = {}
        self.most_at_once = 0

    async def run(self, reader: asyncio.StreamReader) -> None:
        self._h2.initiate_connection()
        self._flush()
        try:
            while data := await reader.read(2**16):
                for event in self._h2.receive_data(data):
                    self._take(event)
                self._flush()
        finally:
            for reply in self._replies.values():
                reply.cancel()
            await asyncio.gather(*self._replies.values(), return_exceptions=True)

    def allow(self, streams: int) -> None:
        """From now on so many requests at once."""
        self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: streams})
        self._flush()

    def go_away(self, last_stream: int | None = None) -> None:
        """Say that no stream after `last_stream` (by default: the newest) will be served."""
        self._h2.close_connection(last_stream_id=last_stream)
        self._flush()

    def cut(self) -> None:
        self.writer.transport.abort()

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._heads[event.stream_id] = {
                bytes(name).decode(): bytes(value).decode() for name, value in event.headers
            }
            self._bodies[event.stream_id] = b""
        elif isinstance(event, DataReceived):
            self._bodies[event.stream_id] += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            head = self._heads.pop(event.stream_id)
            body = self._bodies.pop(event.stream_id)
            call = Call(self.number, head[":method"], head[":path"], head, body)
            self._replies[event.stream_id] = asyncio.create_task(self._reply(event.stream_id, call))
            self.most_at_once = max(self.most_at_once, len(self._replies))

    async def _reply(self, stream: int, call: Call) -> None:
        try:
            reply = await self._service.handle(call)
        except ConnectionError:
            self.cut()
            return
        finally:
            del self._replies[stream]
        # The connection may have ended meanwhile, or been told to.
        with suppress(ProtocolError):
            self._h2.send_headers(stream, [(":status", str(reply.status)), *reply.headers.items()])
            self._h2.send_data(stream, reply.body, end_stream=not reply.cut)
            self._flush()
        if reply.cut:
            self.writer.close()

    def _flush(self) -> None:
        self.writer.write(self._h2.data_to_send())


class Http2Service:
    """A TLS server that speaks HTTP/2 only, like Apple's."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.streams_at_first = 100
        """What it allows on a new connection."""
        self.connections: list[Http2Connection] = []
        self.calls: list[Call] = []
        self.port = 0

    @property
    def origin(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def handle(self, call: Call) -> Reply:
        self.calls.append(call)
        return await self._handler(call)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = writer.get_extra_info("ssl_object")
        try:
            assert tls.selected_alpn_protocol() == "h2"
            number = len(self.connections) + 1
            connection = Http2Connection(number, self, writer, self.streams_at_first)
            self.connections.append(connection)
            await connection.run(reader)
        except (ConnectionError, ProtocolError, ssl.SSLError):
            pass  # a client that goes on after GOAWAY is a ProtocolError for h2
        finally:
            await _end(writer)


class Http1Service:
    """A TLS server that speaks HTTP/1.1 and keeps its connections."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.connections: list[asyncio.StreamWriter] = []
        self.calls: list[Call] = []
        self.port = 0

    @property
    def origin(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        number = len(self.connections)
        try:
            while True:
                call = await _read_call(reader, number)
                self.calls.append(call)
                reply = await self._handler(call)
                length = len(reply.body) + (1 if reply.cut else 0)
                lines = [f"HTTP/1.1 {reply.status} Whatever", f"content-length: {length}"]
                lines += [f"{name}: {value}" for name, value in reply.headers.items()]
                writer.write("\r\n".join([*lines, "", ""]).encode() + reply.body)
                await writer.drain()
                if reply.cut:
                    return
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            await _end(writer)


async def _end(writer: asyncio.StreamWriter) -> None:
    """Close a connection, with or without the other side."""
    writer.close()
    with suppress(OSError, TimeoutError):
        await asyncio.wait_for(writer.wait_closed(), LINGER_S)
    writer.transport.abort()


async def _read_call(reader: asyncio.StreamReader, number: int) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {}
    for line in head[1:-2]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Call(number, method, path, headers, body)


@asynccontextmanager
async def served(
    service: Http2Service | Http1Service, tls: ssl.SSLContext, port: int = 0
) -> AsyncIterator[None]:
    """`service` on a free port of this machine, or again on `port`."""
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(service.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    service.port = port or free_port()
    server = await asyncio.start_server(accept, "127.0.0.1", service.port, ssl=tls)
    try:
        yield
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
