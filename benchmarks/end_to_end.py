"""Publish → fsync → push over TLS → ack, to many online devices, beside the floor in the same run.

Strategy: the same fleet of light devices connects to `mobilesync serve` and to the floor (bare
pushing over TLS, no store, no rules), in turns. Three figures of each: memory per idle connection,
latency at a modest fixed rate (open loop: the publisher does not wait for slow answers), and
processor time per delivered oplog when as many are published as get through.

Figures are medians over the rounds; ratios are taken round by round.
"""

import asyncio
import base64
import json
import random
import time
from dataclasses import dataclass

import msgspec

from benchmarks.devices import Fleet, client_context, hello, stamped
from benchmarks.floor_server import HEADER
from benchmarks.http_line import HttpLine
from benchmarks.processes import Measured, floor_server, mobilesync_server
from mobilesync.engine.clock import SystemClock
from mobilesync.engine.tokens import sign_token

PAYLOAD_BYTES = 200
OUTSTANDING_MAX = 20_000
SETTLE_S = 1.0


@dataclass(frozen=True)
class Work:
    """How much is done."""

    devices: int = 1_000
    rate_per_s: int = 500
    latency_s: float = 6.0
    throughput_s: float = 6.0
    batch: int = 100
    lines: int = 4


class Outcome(msgspec.Struct):
    """What one server did in one round."""

    kb_per_connection: float
    p50_ms: float
    p99_ms: float
    delivered_per_s: float
    cpu_us_per_oplog: float
    out_of_order: int


class Source:
    """Publishes to the devices of one server, one oplog or many."""

    async def publish(self, devices: list[int]) -> None:
        """One oplog for each of `devices`, stamped now. Returns when the server has answered."""
        raise NotImplementedError


class MobilesyncSource(Source):
    """Publishes over the HTTP API: the answer means fsynced."""

    def __init__(self, server: Measured, lines: list[HttpLine]) -> None:
        self._key = server.ports["api_key"]
        self._path = f"/v1/apps/{server.ports['app']}/oplogs"
        self._lines: asyncio.Queue[HttpLine] = asyncio.Queue()
        for line in lines:
            self._lines.put_nowait(line)

    async def publish(self, devices: list[int]) -> None:
        line = await self._lines.get()
        payload = base64.b64encode(stamped(PAYLOAD_BYTES)).decode()
        items = [
            {"biz": "BENCH", "target": f"user:u{device}", "payload_base64": payload}
            for device in devices
        ]
        try:
            await line.post(self._path, self._key, msgspec.json.encode(items))
        finally:
            self._lines.put_nowait(line)


class FloorSource(Source):
    """Writes lines to the floor's local socket, which answers nothing."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def publish(self, devices: list[int]) -> None:
        payload = stamped(PAYLOAD_BYTES)
        lines = (HEADER.pack(device, len(payload)) + payload for device in devices)
        self._writer.write(b"".join(lines))
        await self._writer.drain()


async def measure_mobilesync(work: Work) -> Outcome:
    """One round of the real server."""
    with mobilesync_server() as server:
        left = server.ports
        lines = [await HttpLine.open(left["api_url"]) for _ in range(max(work.lines, 32))]
        source = MobilesyncSource(server, lines)
        await source.publish([0])
        outcome = await _measure(server, left["port"], left["certificate"], source, work)
        for line in lines:
            line.close()
        return outcome


async def measure_floor(work: Work) -> Outcome:
    """One round of the floor."""
    with floor_server() as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.ports["line_port"])
        port, certificate = server.ports["device_port"], server.ports["certificate"]
        outcome = await _measure(server, port, certificate, FloorSource(writer), work)
        writer.close()
        return outcome


async def _measure(
    server: Measured, port: int, certificate: str, source: Source, work: Work
) -> Outcome:
    before_kb = server.rss_kb()
    fleet = Fleet()
    hellos = [
        hello(_token(server, number), f"d{number}", f"u{number}") for number in range(work.devices)
    ]
    await fleet.connect("127.0.0.1", port, client_context(certificate), hellos)
    await asyncio.sleep(SETTLE_S)
    kb = (server.rss_kb() - before_kb) / work.devices
    latencies_s = await _latency(fleet, source, work)
    delivered_per_s, cpu_us = await _throughput(server, fleet, source, work)
    fleet.close()
    return Outcome(
        kb,
        _quantile(latencies_s, 0.5) * 1000,
        _quantile(latencies_s, 0.99) * 1000,
        delivered_per_s,
        cpu_us,
        fleet.received.out_of_order,
    )


async def _latency(fleet: Fleet, source: Source, work: Work) -> list[float]:
    """From the publish call to the device, at a fixed rate whatever the answers do."""
    chance = random.Random(1)
    fleet.received.keep_latencies = True
    base = fleet.received.count
    count = round(work.rate_per_s * work.latency_s)
    begin_s = time.monotonic()
    calls: list[asyncio.Task[None]] = []
    for number in range(count):
        await asyncio.sleep(max(0.0, begin_s + number / work.rate_per_s - time.monotonic()))
        device = chance.randrange(work.devices)
        calls.append(asyncio.create_task(source.publish([device])))
    await asyncio.gather(*calls)
    if not await fleet.received_count(base + count, 30):
        raise RuntimeError("oplogs are missing")
    fleet.received.keep_latencies = False
    return fleet.received.latencies_s


async def _throughput(
    server: Measured, fleet: Fleet, source: Source, work: Work
) -> tuple[float, float]:
    chance = random.Random(2)
    base = fleet.received.count
    published = 0
    begin_s, begin_cpu_s = time.monotonic(), server.cpu_s()

    async def keep_publishing() -> None:
        nonlocal published
        while time.monotonic() < begin_s + work.throughput_s:
            published += work.batch
            await source.publish([chance.randrange(work.devices) for _ in range(work.batch)])
            while published - (fleet.received.count - base) > OUTSTANDING_MAX:
                await asyncio.sleep(0.001)

    await asyncio.gather(*(keep_publishing() for _ in range(work.lines)))
    if not await fleet.received_count(base + published, 60):
        raise RuntimeError("oplogs are missing")
    took_s, cpu_s = time.monotonic() - begin_s, server.cpu_s() - begin_cpu_s
    return published / took_s, cpu_s / published * 1e6


def _token(server: Measured, number: int) -> str:
    if "hs256_secret" not in server.ports:
        return "floor"
    now_ms = SystemClock().wall_ms()
    return sign_token(
        server.ports["hs256_secret"],
        app=server.ports["app"],
        user=f"u{number}",
        device=f"d{number}",
        issued_at_ms=now_ms,
        expires_at_ms=now_ms + 3_600_000,
    )


def _quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def as_json(outcomes: list[Outcome]) -> str:
    """Every round, for the record."""
    return json.dumps([msgspec.to_builtins(outcome) for outcome in outcomes])
