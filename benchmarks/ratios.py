"""Compare systems measured in the same run, and say the outcome in one line per work.

Strategy: a figure is a list with one value per round, for each system. A ratio is taken round by
round, ours over theirs, so that a slow minute of the machine weighs on both; its median is told.
What was not measured is told as such (`n/a`), never left out and never guessed.

The best durable peer is chosen for each figure apart: the bar is the harder one.
"""

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Rounds = Mapping[str, Sequence[float]]
"""Of each system, one value per round, in the same order."""

Figures = Mapping[str, float | None]
"""What a last line tells; None for what was not measured."""

OURS = "mobilesync"
FLOOR = "floor"
MOSQUITTO = "mosquitto"
POSTGRESQL = "postgresql"
DURABLE_PEERS = frozenset({"jetstream-always", "redis"})
"""The peers that have fsynced when they answer a publish."""


@dataclass(frozen=True)
class Spread:
    """One figure of one system over all rounds."""

    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """The median and the ends. There is at least one value."""
    assert values
    return Spread(statistics.median(values), min(values), max(values))


def ratio(rounds: Rounds, peer: str) -> float | None:
    """The median of ours over `peer`'s, or None if either was not measured."""
    ours, theirs = rounds.get(OURS, ()), rounds.get(peer, ())
    if not ours or not theirs:
        return None
    if len(ours) != len(theirs):
        raise ValueError(f"{OURS} ran {len(ours)} rounds and {peer} {len(theirs)}")
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def best_ratio(
    rounds: Rounds, peers: Collection[str], better: Literal["more", "less"]
) -> float | None:
    """Ours over the peer that does best at this figure, or None if no peer was measured."""
    known = [found for peer in sorted(peers) if (found := ratio(rounds, peer)) is not None]
    if not known:
        return None
    # Ours over the best: the least ratio where more is better, the greatest where less is.
    return min(known) if better == "more" else max(known)


def line(work: str, figures: Figures) -> str:
    """`W3 time_vs_mosquitto=0.48`: what a run ends with, one of these for each work."""
    told = (f"{name}={_told(value)}" for name, value in figures.items())
    return " ".join((work, *told))


def _told(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"


def unicast_figures(per_s: Sequence[Rounds], cpu_us: Sequence[Rounds]) -> Figures:
    """W1's last line, from oplogs per second and processor time per delivered oplog.

    Each is given for every number of devices; what is told is the hardest of them.
    """
    return {
        "throughput_vs_durable_peer": _least(
            best_ratio(each, DURABLE_PEERS, "more") for each in per_s
        ),
        "cpu_vs_durable_peer": _most(best_ratio(each, DURABLE_PEERS, "less") for each in cpu_us),
        "throughput_vs_mosquitto": _least(ratio(each, MOSQUITTO) for each in per_s),
        "cpu_vs_mosquitto": _most(ratio(each, MOSQUITTO) for each in cpu_us),
        "cpu_vs_floor": _most(ratio(each, FLOOR) for each in cpu_us),
    }


def _least(values: Iterable[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def broadcast_figures(cpu_us: Rounds) -> Figures:
    """W2's last line, from processor time per device."""
    return {"cpu_vs_best_peer": best_ratio(cpu_us, (MOSQUITTO, "nats"), "less")}


def storm_figures(caught_up_s: Rounds) -> Figures:
    """W3's last line, from the time until all are caught up."""
    return {"time_vs_mosquitto": ratio(caught_up_s, MOSQUITTO)}


def idle_figures(kb: Rounds) -> Figures:
    """W4's last line, from resident kilobytes per connection: a figure, not a ratio."""
    ours = kb.get(OURS, ())
    return {"kb_per_connection": statistics.median(ours) if ours else None}


def publish_figures(batch_per_s: Rounds, single_per_s: Rounds) -> Figures:
    """W5's last line, from durable publishes per second."""
    return {
        "batch_vs_postgresql": ratio(batch_per_s, POSTGRESQL),
        "single_vs_postgresql": ratio(single_per_s, POSTGRESQL),
    }


def latency_figures(p99_us: Rounds) -> Figures:
    """W6's last line, from the 99th percentile at half of each system's own maximum."""
    return {"p99_vs_durable_peer": best_ratio(p99_us, DURABLE_PEERS, "less")}
