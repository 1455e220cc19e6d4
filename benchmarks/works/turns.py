"""Let systems take turns at one work, round by round.

Strategy: in every round each system does the work once, on a server started for it; who begins
changes from round to round. So a slow minute of the machine falls on all, and a ratio taken round
by round cancels it.

A peer that is not there is told, not guessed, and so is one that fails twice: the run goes on
without it. What we measure ourselves must not fail: that ends the run.
"""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import psutil

from benchmarks.load import LoadFailed
from benchmarks.peers.peer import PeerMissing
from benchmarks.peers.postgresql import PostgresqlFailed
from benchmarks.ratios import Rounds
from benchmarks.results import Missing, Run, WorkResult, rounds
from benchmarks.systems import OURS, System

Options = Mapping[str, int | float]
"""How much is done: the load's options by name, such as `devices` or `ack_ms`."""
Say = Callable[[str], None]
FAILURES = (
    LoadFailed,
    PostgresqlFailed,
    RuntimeError,
    OSError,
    psutil.Error,
    subprocess.SubprocessError,
)
_TRIES = 2


class Bench(Protocol):
    """Does a work once."""

    def once(self, system: System, work: str, options: Options) -> Mapping[str, float]:
        """Start `system`, let it do `work`, end it; its figures by name.

        Raises PeerMissing, or one of FAILURES.
        """


class Turns:
    """The runs of one work."""

    def __init__(self, work: str, bench: Bench, say: Say) -> None:
        self.work = work
        self.runs: list[Run] = []
        self.missing: list[Missing] = []
        self._bench = bench
        self._say = say

    def take(
        self,
        case: str,
        work: str,
        asked: Mapping[System, Options],
        rounds: int,
        shown: Sequence[str],
    ) -> None:
        """`rounds` rounds of `work` by the systems that are asked, with what each is asked for.

        `shown` are the figures that the progress names.
        """
        systems = tuple(asked)
        for number in range(rounds):
            first = number % max(len(systems), 1)
            for system in (*systems[first:], *systems[:first]):
                if self._is_missing(system, case):
                    continue
                figures = self._try(system, case, work, asked[system])
                if figures is None:
                    continue
                self.runs.append(Run(system.name, case, number, dict(figures)))
                told = ", ".join(f"{name} {figures.get(name, 0):,.4g}" for name in shown)
                self._say(f"{self.work} {case}, round {number + 1}, {system.title}: {told}")

    def rounds(self, case: str, figure: str) -> Rounds:
        """One figure of the systems that were measured in all rounds of a case."""
        gone = {each.system for each in self.missing if each.case == case}
        found = rounds(self.runs, case, figure)
        return {system: values for system, values in found.items() if system not in gone}

    def result(
        self, settings: Mapping[str, int | float | str], figures: Mapping[str, float | None]
    ) -> WorkResult:
        """All of it, and what the last line tells."""
        return WorkResult.of(self.work, settings, figures, self.runs, self.missing)

    def _is_missing(self, system: System, case: str) -> bool:
        return any((each.system, each.case) == (system.name, case) for each in self.missing)

    def _try(
        self, system: System, case: str, work: str, options: Options
    ) -> Mapping[str, float] | None:
        why = ""
        for _ in range(_TRIES):
            try:
                return self._bench.once(system, work, options)
            except PeerMissing as missing:
                why = str(missing)
                break
            except FAILURES as failure:
                if system == OURS:
                    raise
                why = f"{type(failure).__name__}: {failure}"
                self._say(f"{self.work} {case}, {system.title} failed: {why}")
        self.missing.append(Missing(system.name, case, why))
        self._say(f"{self.work} {case}, {system.title} is left out: {why}")
        return None
