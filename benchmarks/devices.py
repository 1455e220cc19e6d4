"""A fleet of light devices: many TLS connections in one process, to load a server.

Strategy: the protocol's own core over uvloop, without the SDK's local store and handlers, because a
thousand SQLite files in one process would measure the disk of the load and not the server. What a
device holds is a counter per channel, so that order and completeness are still checked.

The first 8 bytes of a payload are the monotonic time in nanoseconds at which it was published.
"""

import asyncio
import ssl
import struct
import time
from dataclasses import dataclass, field
from typing import cast

from mobilesync.protocol import limits
from mobilesync.protocol import messages as m
from mobilesync.protocol.connection import Connection
from mobilesync.protocol.transitions import Role

STAMP = struct.Struct("<q")
CONNECTS_AT_ONCE = 64


def stamped(payload_bytes: int) -> bytes:
    """A payload that says when it was published: now."""
    return STAMP.pack(time.monotonic_ns()).ljust(payload_bytes, b"\0")


@dataclass
class Received:
    """What all devices of a fleet received."""

    count: int = 0
    out_of_order: int = 0
    latencies_s: list[float] = field(default_factory=list)
    keep_latencies: bool = False


class Device(asyncio.Protocol):
    """One connection. Acks at once whatever it gets."""

    __slots__ = ("_connection", "_hello", "_received", "_transport", "_upto", "opened")

    def __init__(self, hello: m.Hello, received: Received) -> None:
        self._hello = hello
        self._received = received
        self._connection = Connection(Role.CLIENT)
        self._upto: dict[tuple[str, str], int] = {}
        self._transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say Hello."""
        # uvloop's transports fit the interface without inheriting it.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._connection.send(self._hello))

    def data_received(self, data: bytes) -> None:
        """Count what came, and ack it in one frame."""
        acked: list[m.Acked] = []
        for message in self._connection.receive_data(data):
            match message:
                case m.Push():
                    self._take(message)
                    upto = message.upto
                    acked.append(m.Acked(message.biz, message.target, upto, upto))
                case m.Welcome():
                    self.opened.set_result(None)
                case m.Close():
                    raise ConnectionError(f"closed by the server: {message}")
                case _:
                    pass
        if acked and self._transport is not None:
            self._transport.write(self._connection.send(m.Ack(acked)))

    def connection_lost(self, exc: Exception | None) -> None:
        """The server has gone."""
        self._transport = None
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionError("closed before Welcome"))

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self, push: m.Push) -> None:
        received = self._received
        key = (push.biz, push.target)
        expected = self._upto.get(key, 0)
        if push.after != expected:
            received.out_of_order += 1
        for oplog in push.oplogs:
            expected += 1
            if oplog.id != expected:
                received.out_of_order += 1
                expected = oplog.id
            if received.keep_latencies:
                (published_ns,) = STAMP.unpack_from(oplog.payload)
                received.latencies_s.append((time.monotonic_ns() - published_ns) / 1e9)
        received.count += len(push.oplogs)
        self._upto[key] = push.upto


class Fleet:
    """Devices that are connected together."""

    def __init__(self) -> None:
        self.received = Received()
        self._devices: list[Device] = []

    async def connect(
        self, host: str, port: int, context: ssl.SSLContext, hellos: list[m.Hello]
    ) -> None:
        """Connect a device for each of `hellos`; all are welcomed when it returns."""
        room = asyncio.Semaphore(CONNECTS_AT_ONCE)
        loop = asyncio.get_running_loop()

        async def connect_one(hello: m.Hello) -> None:
            async with room:
                device = Device(hello, self.received)
                await loop.create_connection(
                    lambda: device, host, port, ssl=context, server_hostname="localhost"
                )
                await device.opened
                self._devices.append(device)

        await asyncio.gather(*(connect_one(hello) for hello in hellos))

    async def received_count(self, count: int, timeout_s: float) -> bool:
        """Wait until `count` oplogs have come in all; False when they have not in time."""
        end_s = time.monotonic() + timeout_s
        while self.received.count < count:
            if time.monotonic() > end_s:
                return False
            await asyncio.sleep(0.002)
        return True

    def close(self) -> None:
        """Disconnect all."""
        for device in self._devices:
            device.close()
        self._devices.clear()


def client_context(ca_file: str) -> ssl.SSLContext:
    """What devices trust in a benchmark: the development certificate."""
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols([limits.ALPN])
    return context


def hello(token: str, device: str, user: str) -> m.Hello:
    """A first Hello, holding nothing."""
    return m.Hello(limits.VERSION_MIN, limits.VERSION_MAX, token, device, user, [], sdk="bench")
