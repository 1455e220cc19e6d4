"""One epoll for all device connections, which the event loop watches as a single descriptor.

Strategy: an epoll descriptor is readable while something in it is ready, so the loop waits for all
devices at once and for everything else as ever. A connection costs an entry in a dict, and no
transport, task, timer or buffer of the loop's (docs/decisions/0013-an-epoll-of-our-own.md).

Not here: what a connection does when it is ready (device_link.py).

Invariants:
- level-triggered: what is not taken now is told again, after all others had their turn;
- one turn serves at most `EVENTS_MAX` connections; then the loop serves others.
"""

import asyncio
import select
from typing import Protocol

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
EVENTS_MAX = 64
"""At about 50 us each: 3 ms. What is left is told in the next turn of the loop."""


class Source(Protocol):
    """What is watched: a connection."""

    def ready(self, events: int) -> None:
        """Something of what it waits for can be done now, or it has failed. Must not raise."""


class Poller:
    """Tells sources that they are ready. Linux only, as the door is."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._sources: dict[int, Source] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._turn)

    def stop(self) -> None:
        """End, when all sources have been removed."""
        assert not self._sources, "whoever adds a source removes it"
        if self._loop is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._loop = None
        self._epoll.close()

    def add(self, descriptor: int, source: Source) -> None:
        """Tell `source` when `descriptor` is readable. Raises OSError at the kernel's limit."""
        self._epoll.register(descriptor, READABLE)
        self._sources[descriptor] = source

    def watch(self, descriptor: int, *, writable: bool) -> None:
        """Tell also when it is writable, or no longer."""
        self._epoll.modify(descriptor, READABLE | WRITABLE if writable else READABLE)

    def remove(self, descriptor: int) -> None:
        """Forget it. Call before it is closed, or its number may be another's."""
        del self._sources[descriptor]
        self._epoll.unregister(descriptor)

    def _turn(self) -> None:
        sources = self._sources
        for descriptor, events in self._epoll.poll(0, EVENTS_MAX):
            # It may have been removed by one that was told before it.
            source = sources.get(descriptor)
            if source is not None:
                source.ready(events)
