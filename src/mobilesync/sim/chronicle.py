"""Where everybody writes down what happens: the history for the checkers, the trace for people."""

import hashlib

from mobilesync.sim.clock import true_ms
from mobilesync.sim.history import Fact
from mobilesync.sim.loop import VirtualLoop
from mobilesync.sim.trace import Trace


class Chronicle:
    """History and trace of one run."""

    def __init__(self, loop: VirtualLoop, trace: Trace) -> None:
        self._loop = loop
        self.trace = trace
        self.history: list[Fact] = []

    def now_ms(self) -> int:
        """The true time, as facts carry it."""
        return true_ms(self._loop)

    def add(self, fact: Fact) -> None:
        """Keep `fact`; it goes into the trace's hash too."""
        self.history.append(fact)
        self.trace.add(self._loop.time(), "fact", repr(fact))

    def say(self, who: str, what: str) -> None:
        """A line for people."""
        self.trace.add(self._loop.time(), who, what)


def digest_of(payload: bytes) -> str:
    """Enough to tell payloads apart."""
    return hashlib.blake2b(payload, digest_size=8).hexdigest()
