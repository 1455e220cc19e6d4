"""Durable publishes through the HTTP API, one by one and in batches, beside their floor.

Strategy: the real API, publisher and embedded store in this process; the load in another, which
writes ready-made requests to plain sockets, so that its cost stays small. The floor is the same
load on uvicorn answering a constant: what HTTP in Python costs before anything is published.

Reported: oplogs per second, and the server's CPU per oplog, which does not depend on how busy the
machine is otherwise. `python -m benchmarks.http_publish [--quick]`
"""

import asyncio
import functools
import json
import random
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from mobilesync.api.app import AsgiApp, create_api
from mobilesync.api.keys import ApiKeys
from mobilesync.api.options import ApiOptions
from mobilesync.api.server import serve_api
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.apps import App, Apps, SecretKey
from mobilesync.engine.clock import SystemClock
from mobilesync.engine.service import Service
from mobilesync.engine.tokens import NoKeySource, Tokens
from mobilesync.storage.embedded.opening import open_embedded

CONNECTIONS = 64
BATCHES = (1, 100)
PAYLOAD = "x" * 200


class Load(asyncio.Protocol):
    """One connection that sends the next request when the answer is there."""

    def __init__(self, request: bytes, answers: list[int]) -> None:
        self._request = request
        self._answers = answers
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count whole answers."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        if len(body) >= length:
            assert head.startswith(b"HTTP/1.1 200"), self._received
            self._received = b""
            self._answers[0] += 1
            self._transport.write(self._request)


async def load(port: int, key: str, batch: int, seconds: float) -> None:
    """Drive the server for `seconds`; print how many answers came."""
    answers = [0]
    loop = asyncio.get_running_loop()
    for number in range(CONNECTIONS):
        item = {"biz": "CHAT", "target": f"user:{number}", "payload": PAYLOAD}
        body = json.dumps(item if batch == 1 else [item] * batch).encode()
        head = (
            "POST /v1/apps/demo/oplogs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        make = functools.partial(Load, head.encode() + body, answers)
        await loop.create_connection(make, "127.0.0.1", port)
    await asyncio.sleep(seconds)
    print(answers[0])


async def measure(name: str, app: AsgiApp, key: str, batch: int, seconds: float) -> None:
    """One line of the table."""
    server = await serve_api(app, "127.0.0.1", 0)
    begin_s, begin_cpu_s = time.monotonic(), time.process_time()
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.http_publish", "load"),
        *(str(server.port), key, str(batch), str(seconds)),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await child.communicate()
    took_s, cpu_s = time.monotonic() - begin_s, time.process_time() - begin_cpu_s
    await server.stop(0)
    count = int(printed) * batch
    rate, cost = count / took_s, cpu_s / max(count, 1) * 1e6
    print(f"{name:<28} {rate:>10,.0f} oplogs/s {cost:>8.1f} µs CPU per oplog")


async def floor(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body and answers a constant."""
    await receive()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


async def benchmark(seconds: float) -> None:
    """The whole table."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        store = await open_embedded(Path(folder) / "data", random=random.Random())
        apps = Apps([App("demo", (SecretKey(secrets.token_bytes(32)),))])
        tokens = Tokens(apps, clock, NoKeySource())
        service = Service(store, apps, tokens, clock=clock, entropy=random.Random())
        await service.start()
        await service.configs.put("demo", SyncConfig(biz="CHAT"))
        keys = ApiKeys(store, clock=clock, random_bytes=secrets.token_bytes)
        key = await keys.development_key()
        api = create_api(service, keys, ApiOptions(access_log=False))
        await measure("floor: uvicorn, raw ASGI", floor, key, 1, seconds)
        for batch in BATCHES:
            await measure(f"publish, {batch} in a request", api, key, batch, seconds)
        await service.stop()
        await store.close()


def main() -> None:
    match sys.argv[1:]:
        case ["load", port, key, batch, seconds]:
            uvloop.run(load(int(port), key, int(batch), float(seconds)))
        case ["--quick"]:
            uvloop.run(benchmark(1.0))
        case _:
            uvloop.run(benchmark(5.0))


if __name__ == "__main__":
    main()
