"""A native door before a whole service, with real sockets on either event loop."""

import asyncio
import functools
import gc
import random
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from mobilesync.engine.apps import App, Apps, SecretKey
from mobilesync.engine.clock import SystemClock
from mobilesync.engine.options import ServiceOptions, SessionOptions
from mobilesync.engine.publication import Publication
from mobilesync.engine.service import Service
from mobilesync.protocol import messages as m
from mobilesync.protocol.connection import Connection
from mobilesync.protocol.limits import ALPN
from mobilesync.protocol.transitions import Role
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from mobilesync.transports.certificates import (
    CertificateFiles,
    development_certificate,
    server_tls_context,
)
from mobilesync.transports.tls import TlsGateway, TlsOptions
from tests.engine.world import PlainTokens
from tests.loops import LOOPS

SOON_S = 20.0
"""More than anything here takes; only a bug waits so long."""
FIRST_BYTE = b"\x16"
"""What a TLS handshake begins with: whoever says so much has spoken."""

Scenario = Callable[..., Coroutine[Any, Any, None]]


def on_both_loops(scenario: Scenario) -> Callable[..., None]:
    """Run `scenario(files)` on each loop; nothing may escape to the loop or be left on it."""

    @pytest.mark.parametrize("loop_name", LOOPS)
    @functools.wraps(scenario)
    def run(files: CertificateFiles, loop_name: str) -> None:
        escaped: list[dict[str, Any]] = []

        async def checked() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, about: escaped.append(about))
            await asyncio.wait_for(scenario(files), SOON_S * 2)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left

        with capture_logs() as entries, asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
            runner.run(checked())
        gc.collect()
        assert not escaped
        assert [entry for entry in entries if entry["log_level"] == "error"] == []

    # pytest would take the scenario's own parameters for fixtures otherwise.
    del run.__wrapped__
    return run


def certificate(folder: Path) -> CertificateFiles:
    return development_certificate(folder, SystemClock().wall_ms())


def server_context(files: CertificateFiles) -> ssl.SSLContext:
    return server_tls_context(files, SystemClock().wall_ms())


def client_context(files: CertificateFiles, *alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(files.certificate))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class Door:
    """A gateway before a whole service."""

    def __init__(self, files: CertificateFiles, tls: TlsOptions, session: SessionOptions) -> None:
        self.files = files
        clock = SystemClock()
        options = ServiceOptions(
            session=session,
            create_biz_on_first_use=True,
            wheel_tick_s=0.05,
            sweep_interval_s=1000.0,
        )
        self.service = Service(
            MemoryStore(Disk((7,))),
            Apps([App("demo", (SecretKey(b"k" * 32),))]),
            PlainTokens(),
            clock=clock,
            entropy=random.Random(1),
            options=options,
        )
        self.sessions = self.service.sessions
        self.metrics = self.service.metrics
        self.gateway = TlsGateway(
            self.sessions,
            server_context(files),
            host="127.0.0.1",
            port=0,
            options=tls,
            metrics=self.metrics,
        )

    async def device(self, name: str = "d1", *, limit: int = 2**16) -> "Phone":
        context = client_context(self.files, ALPN)
        phone = await self.connect(context, limit=limit)
        phone.say(m.Hello(1, 1, f"demo|u1|{name}|0", name, "u1", []))
        welcome = await phone.hear()
        assert isinstance(welcome, m.Welcome)
        return phone

    async def connect(self, context: ssl.SSLContext, *, limit: int = 2**16) -> "Phone":
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.gateway.port, ssl=context, server_hostname="localhost", limit=limit
        )
        return Phone(reader, writer)

    async def plain(self, first: bytes = b"") -> "Phone":
        """A TCP connection without TLS, which says `first`."""
        phone = Phone(*await asyncio.open_connection("127.0.0.1", self.gateway.port))
        phone.writer.write(first)
        return phone

    async def publish(self, *payloads: bytes) -> None:
        items = [Publication(biz="CHAT", target="everyone", payload=p) for p in payloads]
        await self.service.publisher.publish("demo", items)


class Phone:
    """A client's socket, and its half of the protocol if it speaks it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.connection = Connection(Role.CLIENT)
        self.waiting: list[m.Message] = []

    def say(self, message: m.Message) -> None:
        self.writer.write(self.connection.send(message))

    async def hear(self) -> m.Message:
        """The next message; LookupError at the end."""
        while not self.waiting:
            data = await asyncio.wait_for(self.reader.read(2**16), SOON_S)
            if not data:
                raise LookupError("the server has ended the connection")
            self.waiting = self.connection.receive_data(data)
        return self.waiting.pop(0)

    async def ended(self) -> bytes:
        """What comes until the server ends the connection."""
        data = b""
        with suppress(OSError):
            while part := await asyncio.wait_for(self.reader.read(2**16), SOON_S):
                data += part
        return data

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(self.writer.wait_closed(), SOON_S)


@asynccontextmanager
async def open_door(
    files: CertificateFiles, *, session: SessionOptions | None = None, **tls: float
) -> AsyncIterator[Door]:
    patient = TlsOptions(handshake_timeout_s=SOON_S)
    chosen = replace(patient, **tls)  # type: ignore[arg-type]  # ints and floats alike
    door = Door(files, chosen, session or SessionOptions())
    await door.service.start()
    await door.gateway.start()
    try:
        yield door
    finally:
        await door.service.stop()
        await door.gateway.close(SOON_S)
        assert not door.gateway.links
        await door.service.store.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until `condition` holds; a bug if it does not soon."""
    async with asyncio.timeout(SOON_S):
        while not condition():
            await asyncio.sleep(0.005)


def client_hello(version: int) -> bytes:
    """A ClientHello as before TLS 1.3, which offers `version` at most."""
    suites = struct.pack(">3H", 0xC02B, 0xC009, 0xC013)
    body = struct.pack(">H", version) + b"r" * 32 + b"\0" + struct.pack(">H", len(suites)) + suites
    extensions = _extension(10, struct.pack(">HH", 2, 0x0017)) + _extension(11, b"\x01\0")
    extensions += _extension(13, struct.pack(">HH", 2, 0x0403))
    body += b"\x01\0" + struct.pack(">H", len(extensions)) + extensions
    handshake = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack(">H", len(handshake)) + handshake


def _extension(number: int, data: bytes) -> bytes:
    return struct.pack(">HH", number, len(data)) + data
