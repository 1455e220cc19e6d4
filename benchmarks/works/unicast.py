"""W1: publish in batches → fsync → push over TLS → ack → sync point saved, one channel per device.

As fast as it gets through: publishers have a few batches unanswered each, and send the next when
one was answered; then what each oplog cost the server. The floor's maximum shows what the load can
do when the server costs little.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks import systems
from benchmarks.ratios import Figures, unicast_figures
from benchmarks.results import Size, WorkResult
from benchmarks.systems import System
from benchmarks.works.turns import Bench, Options, Say, Turns

PER_S, CPU_US = "delivered_per_s", "server_cpu_us_per_oplog"
CEILING = "the floor alone, with more in flight"
SHOWN = (PER_S, CPU_US, "server_cpu_share", "load_cpu_share")


@dataclass(frozen=True)
class Extent:
    """How much is done."""

    devices: tuple[int, ...]
    rounds: int
    seconds: float
    warm_s: float
    publishers: int = 4
    window: int = 2
    """Batches that each publisher may have unanswered."""
    batch: int = 100
    systems: Sequence[System] = systems.UNICAST


FULL = Extent(devices=(1_000, 10_000), rounds=3, seconds=8, warm_s=2)
SHORT = Extent(devices=(1_000,), rounds=3, seconds=6, warm_s=2, systems=systems.UNICAST_JUDGED)
QUICK = Extent(devices=(1_000,), rounds=1, seconds=3, warm_s=1)
EXTENTS: Mapping[Size, Extent] = {Size.QUICK: QUICK, Size.SHORT: SHORT, Size.WHOLE: FULL}


def case(devices: int) -> str:
    """What a number of devices is called in results."""
    return f"{devices:,} devices"


def measure(bench: Bench, extent: Extent, say: Say) -> WorkResult:
    """Run it."""
    turns = Turns("W1", bench, say)
    for devices in extent.devices:
        options: Options = {
            "devices": devices,
            "seconds": extent.seconds,
            "warm_seconds": extent.warm_s,
            "publishers": extent.publishers,
            "window": extent.window,
            "batch": extent.batch,
        }
        asked = dict.fromkeys(extent.systems, options)
        turns.take(case(devices), "unicast", asked, extent.rounds, SHOWN)
    # What the load is able to do, when the server costs little and is always kept busy.
    most: Options = {
        "devices": extent.devices[0],
        "seconds": extent.seconds,
        "warm_seconds": extent.warm_s,
        "publishers": 8,
        "window": 8,
        "outstanding": 20_000,
    }
    turns.take(CEILING, "unicast", {systems.FLOOR: most}, 1, SHOWN)
    settings: dict[str, int | float | str] = {
        "devices": " and ".join(f"{each:,}" for each in extent.devices),
        "rounds": extent.rounds,
        "seconds of a round": extent.seconds,
        "publishers": extent.publishers,
        "batches in flight for each": extent.window,
        "oplogs in a batch": extent.batch,
    }
    return turns.result(settings, _figures(turns, extent))


def _figures(turns: Turns, extent: Extent) -> Figures:
    cases = [case(devices) for devices in extent.devices]
    return unicast_figures(
        [turns.rounds(each, PER_S) for each in cases],
        [turns.rounds(each, CPU_US) for each in cases],
    )


def maxima(result: WorkResult) -> dict[str, float]:
    """Of each system that was measured with fewest devices, the most that it delivered per second.

    That is, the median of the rounds.
    """
    first = next(iter(result.medians.values()), {})
    return {system: found.median for system, found in first.get(PER_S, {}).items()}
