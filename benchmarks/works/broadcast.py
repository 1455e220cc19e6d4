"""W2: one oplog for everyone, to many online TLS devices, acked by all.

Measured by itself; then with a trickle of oplogs for single devices beside it, whose latency is
compared with that of the same trickle alone: everyone's oplog may not stand in the way of others'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks import systems
from benchmarks.ratios import broadcast_figures
from benchmarks.results import Size, WorkResult
from benchmarks.systems import System
from benchmarks.works.turns import Bench, Options, Say, Turns

ALONE, BESIDE, WITHOUT = "by itself", "with unicasts beside it", "those unicasts alone"
CPU_US, LAST_MS = "cpu_us_per_device", "last_device_ms"
UNICAST_P99_US, P99_US = "unicast_p99_us", "p99_us"


@dataclass(frozen=True)
class Extent:
    """How much is done."""

    devices: int
    rounds: int
    count: int
    pause_ms: int
    unicast_rate: int
    """Oplogs for single devices per second; 0 leaves those two cases out."""
    systems: Sequence[System] = systems.BROADCAST


FULL = Extent(devices=10_000, rounds=3, count=10, pause_ms=1_500, unicast_rate=200)
SHORT = Extent(devices=10_000, rounds=3, count=5, pause_ms=800, unicast_rate=200)
QUICK = Extent(devices=2_000, rounds=1, count=4, pause_ms=500, unicast_rate=0)
EXTENTS: Mapping[Size, Extent] = {Size.QUICK: QUICK, Size.SHORT: SHORT, Size.WHOLE: FULL}


def measure(bench: Bench, extent: Extent, say: Say) -> WorkResult:
    """Run it."""
    turns = Turns("W2", bench, say)
    alone: Options = {
        "devices": extent.devices,
        "count": extent.count,
        "pause_ms": extent.pause_ms,
    }
    asked = dict.fromkeys(extent.systems, alone)
    turns.take(ALONE, "broadcast", asked, extent.rounds, (CPU_US, LAST_MS, "load_cpu_share"))
    if extent.unicast_rate:
        beside = {**alone, "unicast_rate": extent.unicast_rate}
        asked = dict.fromkeys(extent.systems, beside)
        turns.take(BESIDE, "broadcast", asked, extent.rounds, (UNICAST_P99_US, LAST_MS))
        without: Options = {
            "devices": extent.devices,
            "rate": extent.unicast_rate,
            "seconds": extent.count * extent.pause_ms / 1000,
        }
        # Core NATS stores and acks nothing, so it is no system for oplogs to single devices.
        able = [system for system in extent.systems if system.speaks != "nats"]
        turns.take(WITHOUT, "unicast", dict.fromkeys(able, without), extent.rounds, (P99_US,))
    settings: dict[str, int | float | str] = {
        "devices": f"{extent.devices:,}",
        "rounds": extent.rounds,
        "oplogs for everyone in a round": extent.count,
        "unicasts per second beside them": extent.unicast_rate or "none",
    }
    return turns.result(settings, broadcast_figures(turns.rounds(ALONE, CPU_US)))
