"""W5: durable publishes per second: one by one on many connections, and in batches.

Mobilesync through its HTTP API; PostgreSQL as inserts, each transaction synced; JetStream as
publishes that wait for their ack. Nobody is connected to receive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks import systems
from benchmarks.ratios import publish_figures
from benchmarks.results import Size, WorkResult
from benchmarks.systems import System
from benchmarks.works.turns import Bench, Options, Say, Turns

PER_S, CPU_US = "published_per_s", "server_cpu_us_per_oplog"
BATCH = 100
SINGLES, BATCHES = "one by one", f"in batches of {BATCH}"


@dataclass(frozen=True)
class Extent:
    """How much is done."""

    connections: int
    rounds: int
    seconds: float
    systems: Sequence[System] = systems.PUBLISH
    only_singles: Sequence[System] = ()
    """Those of the systems that are left out of the batches."""


FULL = Extent(connections=64, rounds=3, seconds=8)
# JetStream with a sync for each does not answer one round of batches in so few seconds.
SHORT = Extent(connections=64, rounds=3, seconds=4, only_singles=(systems.JETSTREAM_SYNCED,))
QUICK = Extent(connections=64, rounds=1, seconds=2, systems=systems.PUBLISH[:2])
EXTENTS: Mapping[Size, Extent] = {Size.QUICK: QUICK, Size.SHORT: SHORT, Size.WHOLE: FULL}


def measure(bench: Bench, extent: Extent, say: Say) -> WorkResult:
    """Run it."""
    turns = Turns("W5", bench, say)
    for case, batch in ((SINGLES, 1), (BATCHES, BATCH)):
        options: Options = {
            "publishers": extent.connections,
            "batch": batch,
            "seconds": extent.seconds,
        }
        left_out = extent.only_singles if batch > 1 else ()
        able = [system for system in extent.systems if system not in left_out]
        asked = dict.fromkeys(able, options)
        turns.take(case, "publish", asked, extent.rounds, (PER_S, CPU_US, "load_cpu_share"))
    settings: dict[str, int | float | str] = {
        "connections": extent.connections,
        "rounds": extent.rounds,
        "seconds of a round": extent.seconds,
    }
    if extent.only_singles:
        settings["only one by one"] = " and ".join(each.title for each in extent.only_singles)
    figures = publish_figures(turns.rounds(BATCHES, PER_S), turns.rounds(SINGLES, PER_S))
    return turns.result(settings, figures)
