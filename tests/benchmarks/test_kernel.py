"""The kernel's memory is added up from its two files."""

from benchmarks.kernel import kernel_kb, parsed

MEMORY = "MemTotal:  100 kB\nSlab:  30 kB\nSReclaimable:  9 kB\nKernelStack:  5 kB\n"
SOCKETS = "sockets: used 7\nTCP: inuse 2 orphan 0 tw 0 alloc 2 mem 3\nUDP: inuse 0 mem 9\n"


def test_both_files_are_added_up() -> None:
    assert parsed(MEMORY, SOCKETS) == 30 + 5 + 3 * 4


def test_this_machine_has_some() -> None:
    assert kernel_kb() > 1000
