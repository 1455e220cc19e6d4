"""The floor: what pushing over TLS costs on this machine with no store, login, or rules at all.

A uvloop server that holds TLS connections and sends a frame to one of them for each line of a
plain local socket: no fsync, no ids, no sync points. The distance from here to the real server is
what durability, order and proof cost. Run as a process: prints its two ports as JSON.
"""

import asyncio
import json
import struct
import sys
from pathlib import Path
from typing import cast

import uvloop

from mobilesync.protocol import messages as m
from mobilesync.protocol.codec import encode_oplog, encode_push
from mobilesync.protocol.connection import Connection
from mobilesync.protocol.transitions import Role
from mobilesync.transports.certificates import CertificateFiles, server_tls_context

HEADER = struct.Struct("<II")
"""Number of the connection, and how many payload bytes follow."""


class FloorDevice(asyncio.Protocol):
    """One device's connection."""

    def __init__(self, devices: "list[FloorDevice]") -> None:
        self._connection = Connection(Role.SERVER)
        self._devices = devices
        self._transport: asyncio.Transport | None = None
        self._last = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS stands."""
        # uvloop's transports fit the interface without inheriting it.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Welcome a Hello; acks are decoded and forgotten."""
        for message in self._connection.receive_data(data):
            if isinstance(message, m.Hello) and self._transport is not None:
                welcome = m.Welcome(1, 1, "floor", message.user, 0, 60, 600)
                self._transport.write(self._connection.send(welcome))
                self._devices.append(self)

    def push(self, payload: bytes) -> None:
        """One oplog, made of air."""
        self._last += 1
        oplog = encode_oplog(m.PushedOplog(self._last, 0, payload))
        frame = encode_push("FLOOR", "everyone", self._last - 1, self._last, [oplog])
        if self._transport is not None:
            self._transport.write(frame)


async def _take_lines(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, devices: list[FloorDevice]
) -> None:
    try:
        while True:
            number, size = HEADER.unpack(await reader.readexactly(HEADER.size))
            devices[number % len(devices)].push(await reader.readexactly(size))
    except asyncio.IncompleteReadError:
        writer.close()


async def serve(certificate: Path, key: Path) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    devices: list[FloorDevice] = []
    context = server_tls_context(CertificateFiles(certificate, key), _now_ms())
    door = await loop.create_server(
        lambda: FloorDevice(devices), "127.0.0.1", 0, ssl=context, backlog=4096
    )
    lines = await asyncio.start_server(lambda r, w: _take_lines(r, w, devices), "127.0.0.1", 0)
    ports = {
        "device_port": door.sockets[0].getsockname()[1],
        "line_port": lines.sockets[0].getsockname()[1],
    }
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


def _now_ms() -> int:
    import time

    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
