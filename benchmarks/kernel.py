"""The kernel's own memory, which no process shows as its: sockets, their buffers, and the like.

Strategy: a thread reads it all along while a load runs. What it grew by is the highest that it
stood at for a while (the median of the upper half), against how it stood before. It is the
machine's: nothing else should come and go meanwhile.
"""

import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVERY_S = 0.5
PAGE_KB = 4
MEMORY, SOCKETS = Path("/proc/meminfo"), Path("/proc/net/sockstat")
_KINDS = ("Slab", "KernelStack", "PageTables", "Percpu")


class KernelMemory:
    """How much more the kernel took while it was `watched`."""

    def __init__(self) -> None:
        self._before_kb = kernel_kb()
        self._seen_kb: list[float] = []
        self._ended = threading.Event()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Read all along, until left."""
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def grown_kb(self) -> float:
        """Since this was made, as it stood for a while."""
        return grown(self._before_kb, self._seen_kb)

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_S):
            self._seen_kb.append(kernel_kb())


def grown(before_kb: float, seen_kb: list[float]) -> float:
    """The median of the upper half of what was seen, beyond what was before; never negative."""
    upper = sorted(seen_kb)[len(seen_kb) // 2 :]
    return max(0.0, statistics.median(upper) - before_kb) if upper else 0.0


def kernel_kb() -> float:
    """What the kernel takes now."""
    return parsed(MEMORY.read_text(), SOCKETS.read_text())


def parsed(memory: str, sockets: str) -> float:
    """From the text of the two files, in KB."""
    total = 0.0
    for line in memory.splitlines():
        name, _, value = line.partition(":")
        if name in _KINDS:
            total += float(value.split()[0])
    for line in sockets.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if name == "TCP" and "mem" in words:
            total += float(words[words.index("mem") + 1]) * PAGE_KB
    return total
