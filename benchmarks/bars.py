"""The bars: what must be true of the last lines of a run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.ratios import Figures


@dataclass(frozen=True)
class Bar:
    """One figure of a last line, and its limit."""

    figure: str
    limit: float
    better: Literal["more", "less"]
    says: str

    def is_met(self, value: float) -> bool:
        """Whether `value` is as good as the limit."""
        return value >= self.limit if self.better == "more" else value <= self.limit

    @property
    def told(self) -> str:
        """`≥ 2` or `≤ 0.6`."""
        return f"{'≥' if self.better == 'more' else '≤'} {self.limit:g}"


_DURABLE = "the best peer that syncs before it answers"

BARS: Mapping[str, tuple[Bar, ...]] = {
    "W1": (
        Bar("throughput_vs_durable_peer", 2.0, "more", f"throughput, over {_DURABLE}"),
        Bar("cpu_vs_durable_peer", 0.6, "less", f"processor time per oplog, over {_DURABLE}"),
        Bar("throughput_vs_mosquitto", 1.5, "more", "throughput, over Mosquitto (no sync)"),
        Bar("cpu_vs_mosquitto", 0.8, "less", "processor time per oplog, over Mosquitto (no sync)"),
        Bar("cpu_vs_floor", 2.5, "less", "processor time per oplog, over the C floor"),
    ),
    "W2": (Bar("cpu_vs_best_peer", 0.7, "less", "processor time per device, over the best peer"),),
    "W3": (Bar("time_vs_mosquitto", 0.5, "less", "time until all are caught up, over Mosquitto"),),
    "W4": (Bar("kb_per_connection", 20.0, "less", "resident KB per idle TLS connection"),),
    "W5": (
        Bar("batch_vs_postgresql", 2.0, "more", "batches of 100: oplogs/s, over PostgreSQL"),
        Bar("single_vs_postgresql", 1.0, "more", "one by one: oplogs/s, over PostgreSQL"),
    ),
    "W6": (Bar("p99_vs_durable_peer", 1.0, "less", f"p99 at 50 % load, over {_DURABLE}"),),
    "SCALE": (
        Bar("channels", 1.2, "less", "processor time per oplog: most channels over fewest"),
        Bar("stored", 1.2, "less", "processor time per oplog: most stored over fewest"),
    ),
}


def judged(work: str, figures: Figures) -> Iterator[tuple[Bar, float | None, bool | None]]:
    """Each bar of a work, what was found, and whether it is met; None where nothing was found."""
    for bar in BARS.get(work, ()):
        value = figures.get(bar.figure)
        yield bar, value, None if value is None else bar.is_met(value)
