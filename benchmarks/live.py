"""Do a work once, for real: start the system, drive the load at it, end it.

Strategy: every run gets a fresh server on an empty folder, so that no run inherits another's
backlog. What the load reports is checked before it counts: nothing lost, nothing out of order.
"""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

import mobilesync
from benchmarks.kernel import kernel_kb
from benchmarks.load import Load, LoadFailed, Report
from benchmarks.peers.ours import ours
from benchmarks.peers.peer import PeerMissing, Running, find, running
from benchmarks.peers.postgresql import POSTGRESQL, insert, make_table
from benchmarks.systems import ALL, OURS, System
from benchmarks.works.turns import Options

WITHIN_S = 300.0
SPARE_S = 60.0
PAYLOAD_BYTES = 200


class LiveBench:
    """The Bench that measures."""

    def once(self, system: System, work: str, options: Options) -> Mapping[str, float]:
        """As Bench.once."""
        with serving(system) as peer:
            if system.speaks == "sql":
                return _insert(peer, options)
            return drive(peer, work, options)


@contextmanager
def serving(system: System) -> Iterator[Running]:
    """The system, accepting connections. Raises PeerMissing."""
    if system == OURS:
        with ours() as mine:
            yield mine
    else:
        assert system.recipe is not None
        with running(system.recipe) as peer:
            yield peer


def drive(peer: Running, work: str, options: Options) -> Mapping[str, float]:
    """What the load reports of one work. Raises LoadFailed, also when oplogs were lost."""
    count = int(options.get("devices", 1))
    others: dict[str, Any] = {name: options[name] for name in options if name != "devices"}
    load = Load.against(peer, devices=count, work=work, payload=PAYLOAD_BYTES, **others)
    if work == "idle":
        return _idle(load, count, options)
    return checked(load.run(WITHIN_S), options)


def _idle(load: Load, count: int, options: Options) -> Mapping[str, float]:
    """Quiet for so many seconds, once all are connected; with what the kernel took for them."""
    before_kb, quiet_s = kernel_kb(), options["seconds"]
    with replace(load, seconds=quiet_s + SPARE_S).held() as held:
        grown_kb = kernel_kb() - before_kb
        time.sleep(quiet_s)
    assert held.report is not None
    return {
        **checked(held.report, options),
        "kernel_kb_per_connection": max(0.0, grown_kb) / count,
    }


def checked(report: Report, options: Options) -> dict[str, float]:
    """The report's figures by name, with the rate that was offered.

    Raises LoadFailed if the system lost oplogs, changed their order, or did nothing.
    """
    for name in ("lost", "out_of_order"):
        if count := getattr(report, name):
            raise LoadFailed(f"{count:,} oplogs {name.replace('_', ' ')}")
    if report.published == 0:
        raise LoadFailed("nothing was answered while it was measured")
    fields = msgspec.to_builtins(report)
    figures = {name: float(value) for name, value in fields.items() if _is_number(value)}
    if rate := options.get("rate"):
        figures["offered_per_s"] = float(rate)
    return figures


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _insert(peer: Running, options: Options) -> Mapping[str, float]:
    program = find(POSTGRESQL)
    make_table(peer, program)
    done = insert(
        peer,
        program,
        connections=int(options["publishers"]),
        batch=int(options["batch"]),
        seconds=options["seconds"],
        payload_bytes=PAYLOAD_BYTES,
    )
    return {
        "published_per_s": done.rows_per_s,
        "server_cpu_us_per_oplog": done.server_cpu_s / done.rows * 1e6,
        "load_cpu_share": done.load_cpu_share,
        "mean_us": done.mean_ms * 1000,
    }


def versions() -> dict[str, str]:
    """What each system says it is; without those that are not there."""
    told = {OURS.name: mobilesync.__version__}
    for system in ALL:
        if system.recipe is None or not system.version:
            continue
        try:
            program = find(system.recipe)
        except PeerMissing:
            continue
        done = subprocess.run(
            [program, *system.version], check=False, capture_output=True, text=True, timeout=10
        )
        told[system.name] = version_of(done.stdout or done.stderr)
    return told


def version_of(text: str) -> str:
    """The first word of a program's answer that is a version."""
    words = text.split()
    found = (word for word in words if word.strip("v=,").replace(".", "").isdigit() and "." in word)
    return next((word.strip("v=,") for word in found), text.strip().partition("\n")[0])


def folder_mb(path: Path) -> float:
    """What the files in a folder take."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1024**2
