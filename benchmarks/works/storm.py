"""W3: all devices reconnect at once, each some oplogs behind, until the last has caught up.

The floor is not in it: it holds no backlog.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks import systems
from benchmarks.ratios import storm_figures
from benchmarks.results import Size, WorkResult
from benchmarks.systems import System
from benchmarks.works.turns import Bench, Options, Say, Turns

CASE = "reconnect at once"
CAUGHT_UP_S = "caught_up_s"


@dataclass(frozen=True)
class Extent:
    """How much is done."""

    devices: int
    rounds: int
    behind: int
    systems: Sequence[System] = systems.STORM


FULL = Extent(devices=10_000, rounds=3, behind=20)
SHORT = Extent(devices=10_000, rounds=2, behind=20)
QUICK = Extent(devices=2_000, rounds=1, behind=20)
EXTENTS: Mapping[Size, Extent] = {Size.QUICK: QUICK, Size.SHORT: SHORT, Size.WHOLE: FULL}


def measure(bench: Bench, extent: Extent, say: Say) -> WorkResult:
    """Run it."""
    turns = Turns("W3", bench, say)
    options: Options = {"devices": extent.devices, "behind": extent.behind}
    asked = dict.fromkeys(extent.systems, options)
    shown = (CAUGHT_UP_S, "server_cpu_share", "load_cpu_share")
    turns.take(CASE, "storm", asked, extent.rounds, shown)
    settings: dict[str, int | float | str] = {
        "devices": f"{extent.devices:,}",
        "rounds": extent.rounds,
        "oplogs that each is behind": extent.behind,
    }
    return turns.result(settings, storm_figures(turns.rounds(CASE, CAUGHT_UP_S)))
