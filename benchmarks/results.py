"""What a run found, whole: every single run, where and on what, and how it is kept as JSON.

Strategy: a run is one system doing one work once, in one *case* of it ("1,000 devices"). It is kept
as the figures that it gave, by name. Whatever is told afterwards (ratios, medians, the page) is
made from these and from nothing else, so that it can be made again from the file.
"""

import os
import platform
import ssl
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

import msgspec
import psutil

from benchmarks.ratios import Figures, Rounds, Spread, line, spread

_FSYNCS = 200
_LOOK_S = 1.0


class Size(StrEnum):
    """How much a run does: of each work the extent that has this name."""

    QUICK = "quick"
    SHORT = "short"
    WHOLE = "whole"


class Run(msgspec.Struct, frozen=True):
    """One system, one case, once."""

    system: str
    case: str
    round: int
    figures: dict[str, float]


class Missing(msgspec.Struct, frozen=True):
    """A system that was not measured in one case."""

    system: str
    case: str
    why: str


class WorkResult(msgspec.Struct):
    """All runs of one work. Made by `of`."""

    work: str
    settings: dict[str, str]
    """How much was done, as the page shows it."""
    figures: dict[str, float | None]
    """What the last line tells."""
    missing: list[Missing]
    runs: list[Run]
    medians: dict[str, dict[str, dict[str, Spread]]]
    """By case, figure and system; without the systems that are missing."""
    at: str = ""
    """When, by which commit, with which command and in which size of a run it was measured; all
    empty in files of runs that did not note it for each work."""
    commit: str = ""
    command: str = ""
    size: Size | None = None

    @classmethod
    def of(
        cls,
        work: str,
        settings: Mapping[str, int | float | str],
        figures: Figures,
        runs: Sequence[Run],
        missing: Sequence[Missing],
    ) -> Self:
        """The result with its medians."""
        gone = {(each.system, each.case) for each in missing}
        kept = [run for run in runs if (run.system, run.case) not in gone]
        medians: dict[str, dict[str, dict[str, Spread]]] = {}
        for case in dict.fromkeys(run.case for run in kept):
            names = dict.fromkeys(
                name for run in kept if run.case == case for name in sorted(run.figures)
            )
            medians[case] = {
                name: {system: spread(each) for system, each in rounds(kept, case, name).items()}
                for name in names
            }
        told = {name: str(value) for name, value in settings.items()}
        return cls(work, told, dict(figures), list(missing), list(runs), medians)

    @property
    def line(self) -> str:
        """The work's last line."""
        return line(self.work, self.figures)

    def spreads(self, case: str, figure: str) -> dict[str, Spread]:
        """Of each system; empty if the figure was not measured."""
        return self.medians.get(case, {}).get(figure, {})


class Results(msgspec.Struct, kw_only=True):
    """A whole run of the benchmarks."""

    at: str
    command: str
    quick: bool
    short: bool = False
    commit: str
    machine: dict[str, str]
    versions: dict[str, str]
    works: list[WorkResult]

    @property
    def size(self) -> Size:
        """How much the run did."""
        if self.quick:
            return Size.QUICK
        return Size.SHORT if self.short else Size.WHOLE

    def sign(self, work: WorkResult) -> WorkResult:
        """Note in `work` that this run measured it, unless it says who did."""
        if not work.at:
            work.at, work.commit = self.at, self.commit
            work.command, work.size = self.command, self.size
        return work

    def is_earlier(self, work: WorkResult) -> bool:
        """Whether another run measured `work`, which is kept here."""
        ours = (self.at, self.commit, self.command)
        return bool(work.at) and (work.at, work.commit, work.command) != ours


def joined(measured: Sequence[WorkResult], earlier: Results | None) -> list[WorkResult]:
    """What was measured, and of an earlier run the works that were not measured again."""
    if earlier is None:
        return list(measured)
    again = {work.work for work in measured}
    return [*measured, *(earlier.sign(work) for work in earlier.works if work.work not in again)]


def rounds(runs: Iterable[Run], case: str, figure: str) -> Rounds:
    """One figure in one case: of each system, its rounds in order."""
    found: dict[str, list[float]] = {}
    for run in sorted(runs, key=lambda run: run.round):
        if run.case == case and figure in run.figures:
            found.setdefault(run.system, []).append(run.figures[figure])
    return found


def write(results: Results, path: Path) -> None:
    """Keep `results` in a file, readable for people as well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def read(path: Path) -> Results:
    """What `write` kept."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def now() -> str:
    """The day and the minute, for people."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def commit() -> str:
    """The commit that is measured, marked when files differ from it."""
    described = ["git", "describe", "--always", "--abbrev=10", "--dirty=, with changes"]
    done = subprocess.run(described, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def machine(folder: Path) -> dict[str, str]:
    """What is measured on; `folder` is on the disk that is written to."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return {
        "processors": f"{os.cpu_count()} × {_processor()}",
        "memory": f"{memory:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "OpenSSL": ssl.OPENSSL_VERSION,
        "append and fdatasync of 200 B": f"{_fsync_us(folder):.0f} µs in the median",
        "in use by others when it began": f"{others():.2f} processors",
    }


def others() -> float:
    """How many processors are busy now, while we do nothing: with other people's work."""
    before_s, begin_s = sum(_busy_s()), time.monotonic()
    time.sleep(_LOOK_S)
    return (sum(_busy_s()) - before_s) / (time.monotonic() - begin_s)


def _busy_s() -> Iterator[float]:
    times = psutil.cpu_times()
    yield from (times.user, times.system, times.nice, times.irq, times.softirq, times.steal)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [each.partition(":")[2].strip() for each in lines if each.startswith("model name")]
    return names[0] if names else platform.machine()


def _fsync_us(folder: Path) -> float:
    taken: list[float] = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_FSYNCS):
            begin_s = time.perf_counter()
            os.write(file.fileno(), bytes(200))
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - begin_s)
    return statistics.median(taken) * 1e6
