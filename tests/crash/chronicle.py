"""The history of real processes: every fact with the nanosecond at which it was written down.

Strategy: each process writes its own file, one fact a line, unbuffered, so that `kill -9` takes
nothing that was written. All of them read the machine's monotonic clock, which is one for all
processes; so the files, put together and sorted by it, are one history as the checkers want it.

Not here: what a device makes durable, which its own database must say (recorded_store.py).
"""

import time
from collections.abc import Iterable
from pathlib import Path

from mobilesync.sim import history as h

Moment = tuple[int, h.Fact]
"""(nanoseconds, fact)"""


def now_ms() -> int:
    """The true time, as facts carry it."""
    return time.monotonic_ns() // 1_000_000


def to_line(fact: h.Fact) -> bytes:
    """`fact` as a line, marked with this moment."""
    (text,) = h.to_lines([fact])
    return b"%d %s" % (time.monotonic_ns(), text)


def from_line(line: bytes) -> Moment:
    """What `to_line` made."""
    moment, _, text = line.partition(b" ")
    (fact,) = h.from_lines([text])
    return int(moment), fact


def merged(moments: Iterable[Moment]) -> list[h.Fact]:
    """One history, oldest first."""
    return [fact for _, fact in sorted(moments, key=lambda moment: moment[0])]


class Chronicle:
    """Where one process writes down what happens."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab", buffering=0)

    def add(self, fact: h.Fact) -> None:
        """Written, in one piece, when this returns."""
        self._file.write(to_line(fact) + b"\n")

    def close(self) -> None:
        self._file.close()

    def moments(self) -> list[Moment]:
        """All facts so far."""
        return read_moments(self._path)[0]


def read_moments(path: Path, begin: int = 0) -> tuple[list[Moment], int]:
    """The facts in a file from `begin` on, and where it ends now. It may still be written, and
    need not exist yet."""
    if not path.exists():
        return [], begin
    with path.open("rb") as file:
        file.seek(begin)
        found = file.read()
    return [from_line(line) for line in found.splitlines()], begin + len(found)
