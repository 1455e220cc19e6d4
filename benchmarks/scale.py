"""Whether cost stays flat: with many channels, with many stored oplogs; and what a restart takes.

    python -m benchmarks.scale [--quick]

Strategy: ours alone. The same rate, each push acked at once, so that equally little is merged
whatever the number of devices; then only the number of channels changes, or only what is stored.
Both of a pair are run in turns, and the ratio is taken round by round. What is stored is looked at
twice: by devices of their own that are pushed to, and by publishers alone who send batches to the
channels that hold it, at random; the harder ratio is told. At the greatest store the server is
started again, and timed from the start of the process until a publish is answered.
"""

import argparse
import json
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.live import drive, folder_mb
from benchmarks.peers.ours import Ours, ours
from benchmarks.processes import SETTLE_S
from benchmarks.ratios import OURS, line
from benchmarks.results import Run, Size, WorkResult, rounds
from benchmarks.stock import BIZ, FIRST, USERS, fill
from benchmarks.works.turns import Options, Say

CPU_US = "server_cpu_us_per_oplog"
PUBLISH_CPU_US, PUBLISH_PER_S = "publish_cpu_us_per_oplog", "published_per_s"
KB, RESTART_S, DISK_MB = "kb_per_connection", "restart_s", "disk_mb"
IDLE = "idle sessions"


@dataclass(frozen=True)
class Extent:
    """How much is done."""

    channels: tuple[int, int]
    stored: tuple[int, int]
    devices: int
    """Online while what is stored changes."""
    rate: int
    rounds: int
    seconds: float
    idle_s: float


FULL = Extent(
    channels=(100, 10_000),
    stored=(10_000, 10_000_000),
    devices=1_000,
    rate=2_000,
    rounds=3,
    seconds=10,
    idle_s=5,
)
SHORT = replace(FULL, stored=(10_000, 1_000_000), rounds=2, seconds=6, idle_s=3)
QUICK = Extent(
    channels=(100, 2_000),
    stored=(10_000, 1_000_000),
    devices=500,
    rate=2_000,
    rounds=1,
    seconds=4,
    idle_s=2,
)
EXTENTS: Mapping[Size, Extent] = {Size.QUICK: QUICK, Size.SHORT: SHORT, Size.WHOLE: FULL}


def measure(extent: Extent, say: Say) -> WorkResult:
    """Run it."""
    runs = [*_channels(extent, say), *_stored(extent, say)]
    few, many = (_channels_case(count) for count in extent.channels)
    little, much = (_stored_case(count) for count in extent.stored)
    figures = {
        "channels": _growth(runs, few, many, CPU_US),
        "stored": max(_growth(runs, little, much, name) for name in (CPU_US, PUBLISH_CPU_US)),
        "kb_per_session": _median(runs, IDLE, KB),
        "restart_s": _median(runs, much, RESTART_S),
    }
    settings: dict[str, int | float | str] = {
        "oplogs per second": extent.rate,
        "devices while what is stored changes": extent.devices,
        "rounds": extent.rounds,
        "seconds of a round": extent.seconds,
    }
    return WorkResult.of("SCALE", settings, figures, runs, [])


def _channels(extent: Extent, say: Say) -> list[Run]:
    runs: list[Run] = []
    for number in range(extent.rounds):
        for count in extent.channels:
            with ours() as server:
                figures = drive(server, "unicast", _asked(extent, count))
            runs.append(_run(_channels_case(count), number, figures, say))
        with ours() as server:
            idle: Options = {"devices": extent.channels[1], "seconds": extent.idle_s, "beat_s": 60}
            runs.append(_run(IDLE, number, drive(server, "idle", idle), say))
    return runs


def _stored(extent: Extent, say: Say) -> list[Run]:
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd()) as name:
        folders = {count: Path(name) / f"stored-{count}" for count in extent.stored}
        for count, folder in folders.items():
            fill(folder, count, say)
        for number in range(extent.rounds):
            for count, folder in folders.items():
                figures = _served(folder, extent, number)
                runs.append(_run(_stored_case(count), number, figures, say))
    return runs


def _served(folder: Path, extent: Extent, number: int) -> dict[str, float]:
    """A server that is started on this folder: how soon it serves, and what an oplog costs."""
    begin_s = time.monotonic()
    with ours(data=str(folder)) as server:
        publish_one(server)
        restart_s = time.monotonic() - begin_s - SETTLE_S
        # Of each round its own devices: those of the one before have a backlog by now.
        asked = {**_asked(extent, extent.devices), "first": number * extent.devices}
        figures = dict(drive(server, "unicast", asked))
        published = drive(server, "publish", _published(extent))
    figures[PUBLISH_CPU_US] = published[CPU_US]
    figures[PUBLISH_PER_S] = published[PUBLISH_PER_S]
    return {**figures, RESTART_S: restart_s, DISK_MB: folder_mb(folder)}


def _published(extent: Extent) -> Options:
    whom: Options = {"devices": USERS, "first": FIRST}
    return {**whom, "publishers": 16, "batch": 100, "seconds": extent.seconds}


def _asked(extent: Extent, devices: int) -> Options:
    return {"devices": devices, "rate": extent.rate, "seconds": extent.seconds, "ack_ms": 0}


def publish_one(server: Ours) -> None:
    """Publish for a user whom nobody else asks for. Raises URLError when it is refused."""
    body = json.dumps({"biz": BIZ, "target": "user:first", "payload": "x"}).encode()
    headers = {"Authorization": f"Bearer {server.api_key}", "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{server.place.publish_port}/v1/apps/{server.app}/oplogs"
    request = urllib.request.Request(url, body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def _run(case: str, number: int, figures: Mapping[str, float], say: Say) -> Run:
    shown = {
        name: figures[name] for name in (CPU_US, PUBLISH_CPU_US, KB, RESTART_S) if name in figures
    }
    told = ", ".join(f"{name} {value:,.4g}" for name, value in shown.items())
    say(f"SCALE {case}, round {number + 1}: {told}")
    return Run(OURS, case, number, dict(figures))


def _channels_case(count: int) -> str:
    return f"{count:,} channels"


def _stored_case(count: int) -> str:
    return f"{count:,} stored"


def _growth(runs: list[Run], small: str, large: str, figure: str) -> float:
    """The median of the rounds' ratios, large over small."""
    pairs = zip(_values(runs, small, figure), _values(runs, large, figure), strict=True)
    return statistics.median(more / less for less, more in pairs)


def _median(runs: list[Run], case: str, figure: str) -> float:
    return statistics.median(_values(runs, case, figure))


def _values(runs: list[Run], case: str, figure: str) -> list[float]:
    return list(rounds(runs, case, figure).get(OURS, ()))


def main() -> None:
    """Run it alone, and print its line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("--quick", action="store_true", help="fewer of everything")
    arguments = parser.parse_args()
    result = measure(QUICK if arguments.quick else FULL, lambda text: print(text, flush=True))
    print(line(result.work, result.figures))


if __name__ == "__main__":
    main()
