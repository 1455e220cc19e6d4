"""The kernel's own memory, which no process shows as its: sockets, their buffers, and the like.

It is the whole machine's, so nothing else should come and go between two looks at it.
"""

from pathlib import Path

PAGE_KB = 4
MEMORY, SOCKETS = Path("/proc/meminfo"), Path("/proc/net/sockstat")
_KINDS = ("Slab", "KernelStack", "PageTables", "Percpu")


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
