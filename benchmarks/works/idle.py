"""W4: TLS connections on which nothing happens but heartbeats: their memory and processor time.

As many connections as one process of the load may have files open, and at most what was meant. What
the kernel takes for them is counted apart; it holds both ends of each connection, the load's too.
"""

import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks import systems
from benchmarks.ratios import idle_figures
from benchmarks.results import Size, WorkResult
from benchmarks.systems import System
from benchmarks.works.turns import Bench, Options, Say, Turns

KB, CPU_S = "kb_per_connection", "cpu_s_per_minute"
KERNEL_KB = "kernel_kb_per_connection"
SPARE_FILES = 2_000
"""For what a server or the load has open besides connections."""
PORTS = 28_000
"""From one address to another there are no more, by the usual range of ports."""


@dataclass(frozen=True)
class Extent:
    """How much is done."""

    devices: int
    rounds: int
    seconds: float
    beat_s: int
    systems: Sequence[System] = systems.IDLE


FULL = Extent(devices=50_000, rounds=2, seconds=60, beat_s=60)
# A whole minute: our server allows no heartbeat sooner, and without one it costs nothing.
SHORT = Extent(devices=10_000, rounds=1, seconds=60, beat_s=60)
QUICK = Extent(devices=2_000, rounds=1, seconds=3, beat_s=60)
EXTENTS: Mapping[Size, Extent] = {Size.QUICK: QUICK, Size.SHORT: SHORT, Size.WHOLE: FULL}


def possible(devices: int) -> int:
    """As many of `devices` as this machine lets one load and one server have."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = devices if files == resource.RLIM_INFINITY else files - SPARE_FILES
    return max(1, min(devices, allowed, PORTS))


def measure(bench: Bench, extent: Extent, say: Say) -> WorkResult:
    """Run it."""
    devices = possible(extent.devices)
    if devices < extent.devices:
        say(f"W4 with {devices:,} connections instead of {extent.devices:,}: open files or ports")
    turns = Turns("W4", bench, say)
    options: Options = {"devices": devices, "seconds": extent.seconds, "beat_s": extent.beat_s}
    case = f"{devices:,} connections"
    asked = dict.fromkeys(extent.systems, options)
    turns.take(case, "idle", asked, extent.rounds, (KB, KERNEL_KB, CPU_S))
    settings: dict[str, int | float | str] = {
        "connections": f"{devices:,}",
        "rounds": extent.rounds,
        "seconds of quiet": extent.seconds,
        "seconds between heartbeats": extent.beat_s,
    }
    if devices < extent.devices:
        settings["meant"] = (
            f"{extent.devices:,} connections; this machine's limits of open files and of ports"
            f" between two addresses allow {devices:,}"
        )
    return turns.result(settings, idle_figures(turns.rounds(case, KB)))
