"""W6: from when an oplog falls due to the device, at a part of what each system does at most.

Open loop: oplogs fall due at a fixed rate whatever the answers do, and the time counts from then.
Each system is loaded with a part of its own maximum in W1 of the same run, so the same part means a
higher rate for a faster system; the rates are among the figures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks import systems
from benchmarks.ratios import latency_figures
from benchmarks.results import Size, WorkResult
from benchmarks.systems import System
from benchmarks.works.turns import Bench, Options, Say, Turns

P99_US = "p99_us"
SHOWN = ("offered_per_s", "p50_us", P99_US, "p999_us", "load_cpu_share")
JUDGED = 50


@dataclass(frozen=True)
class Extent:
    """How much is done."""

    devices: int
    rounds: int
    seconds: float
    warm_s: float
    loads: tuple[int, ...] = (25, JUDGED, 75)
    """In percent of each system's maximum."""
    systems: Sequence[System] = systems.UNICAST


FULL = Extent(devices=1_000, rounds=3, seconds=8, warm_s=2)
SHORT = Extent(devices=1_000, rounds=2, seconds=4, warm_s=1, systems=systems.UNICAST_JUDGED)
QUICK = Extent(
    devices=1_000,
    rounds=1,
    seconds=3,
    warm_s=1,
    loads=(JUDGED,),
    systems=systems.UNICAST_JUDGED,
)
EXTENTS: Mapping[Size, Extent] = {Size.QUICK: QUICK, Size.SHORT: SHORT, Size.WHOLE: FULL}


def case(percent: int) -> str:
    """What a load is called in results."""
    return f"{percent} % of its maximum"


def measure(bench: Bench, extent: Extent, maxima: Mapping[str, float], say: Say) -> WorkResult:
    """Run it. `maxima` are oplogs per second by system; a system that has none is left out."""
    turns = Turns("W6", bench, say)
    for percent in extent.loads:
        asked: dict[System, Options] = {
            system: {
                "devices": extent.devices,
                "seconds": extent.seconds,
                "warm_seconds": extent.warm_s,
                "rate": max(1, round(maxima[system.name] * percent / 100)),
            }
            for system in extent.systems
            if system.name in maxima
        }
        turns.take(case(percent), "unicast", asked, extent.rounds, SHOWN)
    settings: dict[str, int | float | str] = {
        "devices": f"{extent.devices:,}",
        "rounds": extent.rounds,
        "seconds of a round": extent.seconds,
    }
    return turns.result(settings, latency_figures(turns.rounds(case(JUDGED), P99_US)))
