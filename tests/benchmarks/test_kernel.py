"""The kernel's memory is read and compared with what it was before."""

import pytest

from benchmarks import kernel
from benchmarks.kernel import KernelMemory, grown, parsed

MEMORY = "MemTotal:  100 kB\nSlab:  30 kB\nSReclaimable:  9 kB\nKernelStack:  5 kB\n"
SOCKETS = "sockets: used 7\nTCP: inuse 2 orphan 0 tw 0 alloc 2 mem 3\nUDP: inuse 0 mem 9\n"


def test_both_files_are_added_up() -> None:
    assert parsed(MEMORY, SOCKETS) == 30 + 5 + 3 * 4


@pytest.mark.parametrize(
    "seen, kb", [([], 0.0), ([5.0], 0.0), ([20.0, 110.0, 112.0, 300.0, 25.0, 111.0], 102.0)]
)
def test_it_grew_by_what_lasted(seen: list[float], kb: float) -> None:
    assert grown(10.0, seen) == kb


def test_watching_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "EVERY_S", 0.001)
    memory = KernelMemory()
    with memory.watched():
        while not memory._seen_kb:
            pass
    assert memory.grown_kb() >= 0
