"""The load generator sees what goes wrong: oplogs lost, repeated or swapped, requests refused."""

import asyncio
import base64
import json
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from benchmarks.load import Load, LoadFailed, Report
from benchmarks.native.build import BuildError, build
from mobilesync.protocol import limits
from mobilesync.protocol import messages as m
from mobilesync.protocol.connection import Connection
from mobilesync.protocol.transitions import Role
from mobilesync.transports.certificates import development_certificate

STAMPS = struct.Struct("<QQ")


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    try:
        build("load")
    except BuildError as error:
        pytest.skip(str(error))


async def _run(load: Load) -> Report:
    return await asyncio.to_thread(load.run, 30)


class FaultyFloor:
    """Speaks like the floor, to one device; pushes what `fault` makes of each oplog."""

    def __init__(self, fault: Callable[[int, bytes], list[bytes]]) -> None:
        self._fault = fault
        self._count = 0
        self._last_id = 0
        self._connection = Connection(Role.SERVER)
        self._device: asyncio.StreamWriter | None = None
        self.acked = 0

    async def device(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._device = writer
        while data := await reader.read(65536):
            for message in self._connection.receive_data(data):
                match message:
                    case m.Hello():
                        self._say(m.Welcome(1, 1, "fake", message.user, 0, 1, 540))
                    case m.Ack():
                        self.acked = message.acked[0].received
                    case _:
                        pass
        writer.close()

    async def publisher(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(4):
            body = await reader.readexactly(*struct.unpack(">I", head))
            count = 0
            while body:
                (size,) = struct.unpack_from(">H", body, 4)
                self._push(body[6 : 6 + size])
                body = body[6 + size :]
                count += 1
            writer.write(struct.pack(">I", count))
        writer.close()

    def _push(self, payload: bytes) -> None:
        self._count += 1
        for each in self._fault(self._count, payload):
            after = self._last_id
            self._last_id += 1
            oplog = m.PushedOplog(self._last_id, 1, each)
            self._say(m.Push("BENCH", "user:u0", after, self._last_id, [oplog]))

    def _say(self, message: m.Message) -> None:
        assert self._device is not None
        self._device.write(self._connection.send(message))


@asynccontextmanager
async def _listening(floor: FaultyFloor, folder: Path) -> AsyncIterator[Load]:
    files = development_certificate(folder, 1_700_000_000_000)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.set_alpn_protocols([limits.ALPN])
    devices = await asyncio.start_server(floor.device, "127.0.0.1", 0, ssl=context)
    publishers = await asyncio.start_server(floor.publisher, "127.0.0.1", 0)
    async with devices, publishers:
        yield Load(
            speak="floor",
            device_port=devices.sockets[0].getsockname()[1],
            publish_port=publishers.sockets[0].getsockname()[1],
            devices=1,
            publishers=1,
            rate=200,
            seconds=0.2,
            warm_seconds=0,
            drain_s=0.5,
            ack_ms=10,
        )


async def test_loss_repeats_and_disorder_are_counted(tmp_path: Path) -> None:
    held: list[bytes] = []

    def fault(number: int, payload: bytes) -> list[bytes]:
        match number:
            case 5:
                return [payload, payload]
            case 8:
                held.append(payload)
                return []
            case 9:
                return [payload, held.pop()]
            case 12:
                return []
            case _:
                return [payload]

    floor = FaultyFloor(fault)
    async with _listening(floor, tmp_path) as load:
        report = await _run(load)
    assert (report.published, report.delivered) == (40, 39)
    assert (report.repeated, report.out_of_order, report.lost) == (1, 2, 1)
    assert floor.acked == report.acks == 40  # what came twice is acked as well


async def test_what_is_none_of_its_payloads_ends_the_run(tmp_path: Path) -> None:
    floor = FaultyFloor(lambda number, payload: [payload] if number < 5 else [b"short"])
    async with _listening(floor, tmp_path) as load:
        with pytest.raises(LoadFailed, match="device 0 received a payload of 5 bytes"):
            await _run(load)


class Desk:
    """An HTTP API that answers as it is told; what it was sent is kept."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.batches: list[list[dict[str, str]]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.batches.append(json.loads(await reader.readexactly(size)))
                answer = self._answers.pop(0) if self._answers else _answer(200)
                if not answer:
                    return
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def publish(self) -> Report:
        """What a publisher reports that works for a moment with one oplog at a time."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        async with server:
            return await _run(
                Load(
                    speak="mobilesync",
                    work="publish",
                    publish_port=server.sockets[0].getsockname()[1],
                    api_key="k",
                    app="a",
                    devices=5,
                    publishers=1,
                    batch=3,
                    payload=101,
                    seconds=1.5,
                    warm_seconds=0,
                )
            )


def _answer(status: int, more: str = "", body: bytes = b"[]") -> bytes:
    head = f"HTTP/1.1 {status} x\r\n{more}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def test_a_batch_is_json_of_numbered_payloads() -> None:
    desk = Desk()
    report = await desk.publish()
    assert report.published
    numbers: dict[str, int] = {}
    for item in [item for batch in desk.batches for item in batch]:
        payload = base64.b64decode(item["payload_base64"], validate=True)
        _, running = STAMPS.unpack_from(payload)
        assert len(payload) == 101
        assert item["biz"] == "BENCH"
        numbers[item["target"]] = numbers.get(item["target"], 0) + 1
        assert running & 0xFFFFFFFF == numbers[item["target"]]
    assert set(numbers) == {f"user:u{number}" for number in range(5)}
    assert all(len(batch) == 3 for batch in desk.batches)


async def test_what_is_refused_is_sent_again_when_the_server_says() -> None:
    desk = Desk(_answer(429, "Retry-After: 1\r\n"))
    report = await desk.publish()
    assert report.refused == 1
    assert report.published
    assert desk.batches[0] == desk.batches[1]


async def test_what_a_connection_took_along_is_sent_again() -> None:
    desk = Desk(_answer(200), b"")
    report = await desk.publish()
    assert report.reopened == 1
    assert report.published
    assert desk.batches[1] == desk.batches[2]


async def test_another_status_ends_the_run() -> None:
    with pytest.raises(LoadFailed, match=r"publishing: HTTP 400 \{no\}"):
        await Desk(_answer(400, body=b"{no}")).publish()
