"""W5: durable publishes per second: one by one on many connections, and in batches.

Mobilesync through its HTTP API; PostgreSQL as inserts, each transaction synced; JetStream as
publishes that wait for their ack. Nobody is connected to receive.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import systems
from benchmarks.ratios import publish_figures
from benchmarks.results import WorkResult
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


FULL = Extent(connections=64, rounds=3, seconds=8)
# JetStream with a sync for each does not answer one round of batches in so few seconds.
QUICK = Extent(connections=64, rounds=1, seconds=2, systems=systems.PUBLISH[:2])


def measure(bench: Bench, extent: Extent, say: Say) -> WorkResult:
    """Run it."""
    turns = Turns("W5", bench, say)
    for case, batch in ((SINGLES, 1), (BATCHES, BATCH)):
        options: Options = {
            "publishers": extent.connections,
            "batch": batch,
            "seconds": extent.seconds,
        }
        asked = dict.fromkeys(extent.systems, options)
        turns.take(case, "publish", asked, extent.rounds, (PER_S, CPU_US, "load_cpu_share"))
    settings: dict[str, int | float | str] = {
        "connections": extent.connections,
        "rounds": extent.rounds,
        "seconds of a round": extent.seconds,
    }
    figures = publish_figures(turns.rounds(BATCHES, PER_S), turns.rounds(SINGLES, PER_S))
    return turns.result(settings, figures)
