"""A bench that measures nothing: each system has the figures that a test gives it."""

from collections.abc import Mapping

from benchmarks.load import LoadFailed
from benchmarks.peers.peer import PeerMissing
from benchmarks.systems import System
from benchmarks.works.turns import Options


class CannedBench:
    """Answers from a table, and notes what it was asked."""

    def __init__(self, figures: Mapping[str, Mapping[str, float]]) -> None:
        self.figures = figures
        self.asked: list[tuple[str, str, Options]] = []
        self.absent: set[str] = set()
        self.failures: dict[str, int] = {}
        """By system, how often it fails before it works."""

    def once(self, system: System, work: str, options: Options) -> Mapping[str, float]:
        self.asked.append((system.name, work, options))
        if system.name in self.absent:
            raise PeerMissing(f"{system.name} is missing")
        if self.failures.get(system.name, 0):
            self.failures[system.name] -= 1
            raise LoadFailed("connection refused")
        return self.figures[system.name]


def silent(_text: str) -> None:
    """Says nothing."""
