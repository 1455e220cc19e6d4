"""One oplog for everyone: what it costs the store, and how soon 100,000 devices have it.

    python -m benchmarks.global_oplog [--quick] [--devices N] [--rounds N]

Strategy: the real service over the real embedded store, with as many living sessions as there are
devices, each on a link in memory that acks what it is pushed: so the figures are the service's own,
without TLS and sockets. All devices log in, then an oplog is published to `everyone`, and we note
when the first, the median and the last device was written its push, and how long others had to wait
meanwhile (a unicast publish to one device every 5 ms: publish to push). The store is measured in
rows and in bytes: an oplog is stored once; each device's ack adds its sync point and one step of
the journal, which is its proof of delivery. Devices that are offline cost nothing: that is shown
with as many of them on record.
"""

import argparse
import asyncio
import gc
import os
import platform
import shutil
import statistics
import tempfile
from logging import WARNING
from pathlib import Path
from random import Random
from time import perf_counter

import structlog
import uvloop

from mobilesync.cli.serve import COLLECTOR_THRESHOLDS
from mobilesync.domain.channel import EVERYONE
from mobilesync.domain.errors import TokenRefused
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.apps import App, Apps, SecretKey
from mobilesync.engine.clock import SystemClock
from mobilesync.engine.options import ServiceOptions, SessionOptions
from mobilesync.engine.publication import Publication
from mobilesync.engine.service import Service
from mobilesync.engine.session import Session
from mobilesync.engine.tokens import Identity
from mobilesync.protocol.codec import encode
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.messages import Ack, Acked, Hello
from mobilesync.storage.embedded import EmbeddedStore, open_embedded

APP, BIZ = "shop", "NEWS"
PAYLOAD = bytes(200)
LOGINS_AT_ONCE = 500
PROBE_EVERY_S = 0.005
FAR_MS = 2**52


class Believing:
    """Takes a token for what it says."""

    async def verify(self, token: str) -> Identity:
        app, _, device = token.partition("|")
        if not device:
            raise TokenRefused(CloseCode.TOKEN_INVALID, "not ours")
        return Identity(app, "", device, FAR_MS)


class DeviceLink:
    """A device in memory: acks each push that it is written, on the next turn of the loop."""

    __slots__ = ("device", "loop", "pushed_s", "session", "upto", "world")

    def __init__(self, device: str, world: "World", loop: asyncio.AbstractEventLoop) -> None:
        self.device = device
        self.world = world
        self.loop = loop
        self.pushed_s = 0.0
        self.upto = 0
        self.session: Session | None = None

    @property
    def peer(self) -> str:
        return self.device

    def write(self, data: bytes) -> None:
        if PAYLOAD in data:
            if not self.pushed_s and self.device != "probe":
                self.world.one_more()
            self.pushed_s = perf_counter()
            self.upto += 1
            target = EVERYONE if self.device != "probe" else "device:probe"
            ack = Ack([Acked(BIZ, target, self.upto, self.upto)])
            self.loop.call_soon(self.say, encode(ack))

    def say(self, data: bytes) -> None:
        assert self.session is not None
        self.session.received(data)

    def buffered_bytes(self) -> int:
        return 0

    def close(self) -> None:
        return

    def abort(self) -> None:
        return


class World:
    """A service and its devices."""

    def __init__(self, store: EmbeddedStore, devices: int) -> None:
        self.store = store
        self.service = Service(
            store,
            Apps([App(APP, (SecretKey(bytes(32)),))]),
            Believing(),
            clock=SystemClock(),
            entropy=Random(1),
            options=ServiceOptions(session=SessionOptions(sessions_max=devices + 1)),
        )
        self.links: list[DeviceLink] = []
        self.missing = devices
        self.all_pushed = asyncio.Event()

    def one_more(self) -> None:
        """Another device was written its push."""
        self.missing -= 1
        if not self.missing:
            self.all_pushed.set()

    async def log_in(self, names: list[str]) -> None:
        """Connect these devices."""
        loop = asyncio.get_running_loop()
        for begin in range(0, len(names), LOGINS_AT_ONCE):
            for name in names[begin : begin + LOGINS_AT_ONCE]:
                link = DeviceLink(name, self, loop)
                link.session = self.service.sessions.connected(link)
                hello = Hello(1, 1, f"{APP}|{name}", name, "", [], "android", "1.0")
                link.session.received(encode(hello))
                self.links.append(link)
            while not all(
                link.session and link.session.online_since_ms
                for link in self.links[-LOGINS_AT_ONCE:]
            ):
                await asyncio.sleep(0)
        await self.store.put_documents([])

    async def publish(self, target: str) -> float:
        """Publish one oplog, and answer when the call began."""
        begin_s = perf_counter()
        item = Publication(biz=BIZ, target=target, payload=PAYLOAD)
        await self.service.publisher.publish(APP, [item])
        return begin_s


async def probe(world: World, link: DeviceLink, until: asyncio.Event) -> list[float]:
    """Publish to one device again and again; how long each took, from the call to its push."""
    taken: list[float] = []
    while not until.is_set():
        link.pushed_s = 0.0
        begin_s = await world.publish("device:probe")
        while not link.pushed_s:
            await asyncio.sleep(0)
        taken.append(link.pushed_s - begin_s)
        await asyncio.sleep(PROBE_EVERY_S)
    return taken


async def round_of(devices: int, offline: int) -> dict[str, float]:
    """One store, one oplog."""
    folder = Path(tempfile.mkdtemp(prefix="mobilesync-global-"))
    try:
        store = await open_embedded(folder / "data", random=Random(1))
        world = World(store, devices)
        await world.service.start()
        await world.service.configs.put(APP, SyncConfig(biz=BIZ))
        await world.log_in([f"away-{n}" for n in range(offline)])
        for link in world.links:
            assert link.session is not None
            link.session.lost()
        world.links.clear()
        await world.log_in([*(f"device-{n}" for n in range(devices)), "probe"])
        found = await _measure(world)
        await world.service.stop()
        await store.close()
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(world: World) -> dict[str, float]:
    store = world.store
    links, probing = world.links[:-1], world.links[-1]
    quiet = asyncio.Event()
    asyncio.get_running_loop().call_later(1.0, quiet.set)
    idle = await probe(world, probing, quiet)
    before = store._tables.last_write()
    done = asyncio.Event()
    watching = asyncio.create_task(probe(world, probing, done))
    cpu_s = os.times()
    # As the server does it: a full collection walks over all sessions.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    begin_s = await world.publish(EVERYONE)
    stored = store._tables.last_write() - before
    await world.all_pushed.wait()
    await store.put_documents([])
    spent = os.times()
    done.set()
    busy = await watching
    taken = sorted(link.pushed_s - begin_s for link in links)
    points = [await store.points(APP, link.device) for link in (links[0], links[-1])]
    assert all(len(each) == 1 for each in points), "each device has its sync point"
    return {
        "first_ms": taken[0] * 1e3,
        "median_ms": statistics.median(taken) * 1e3,
        "last_ms": taken[-1] * 1e3,
        "cpu_us_per_device": (spent.user + spent.system - cpu_s.user - cpu_s.system)
        * 1e6
        / len(links),
        "rows_written_before_answer": float(stored),
        "unicast_idle_p50_ms": statistics.median(idle) * 1e3,
        "unicast_meanwhile_p50_ms": statistics.median(busy) * 1e3,
        "unicast_meanwhile_max_ms": max(busy) * 1e3,
    }


async def growth(devices: int) -> dict[str, float]:
    """Bytes on disk, flushed and compacted: before, after the publish, and after all acks."""
    folder = Path(tempfile.mkdtemp(prefix="mobilesync-global-"))
    try:
        store = await open_embedded(folder / "data", random=Random(1))
        world = World(store, devices)
        await world.service.start()
        await world.service.configs.put(APP, SyncConfig(biz=BIZ))
        await world.log_in([f"device-{n}" for n in range(devices)])
        known = _settled_bytes(store)
        for link in world.links:
            assert link.session is not None
            link.session.lost()
        await store.put_documents([])
        offline = _settled_bytes(store)
        await world.publish(EVERYONE)
        published = _settled_bytes(store)
        world.links.clear()
        await world.log_in([f"device-{n}" for n in range(devices)])
        await world.all_pushed.wait()
        await asyncio.sleep(0.5)
        acked = _settled_bytes(store)
        await world.service.stop()
        await store.close()
        return {
            "known_device_bytes": known / devices,
            "oplog_bytes_while_all_are_offline": float(published - offline),
            "proof_bytes_per_device": (acked - published) / devices,
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settled_bytes(store: EmbeddedStore) -> int:
    tables = store._tables
    tables.flush()
    for table in (tables.oplogs, tables.points, tables.journal, tables.documents):
        tables.compact(table, b"", b"\xff" * 8)
    return tables.disk_bytes()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few devices, one round")
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    logging_level = structlog.make_filtering_bound_logger(WARNING)
    structlog.configure(wrapper_class=logging_level)
    devices = 2_000 if arguments.quick else arguments.devices
    rounds = [
        uvloop.run(round_of(devices, offline=devices // 10))
        for _ in range(1 if arguments.quick else arguments.rounds)
    ]
    system = f"{os.cpu_count()} processors, Python {platform.python_version()}"
    print(f"{system}: one oplog for {devices} online devices, medians of {len(rounds)} rounds")
    for name in rounds[0]:
        print(f"GLOBAL {name}={statistics.median(each[name] for each in rounds):.2f}")
    for name, value in uvloop.run(growth(devices)).items():
        print(f"GLOBAL {name}={value:.1f}")


if __name__ == "__main__":
    main()
