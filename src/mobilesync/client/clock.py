"""The app's clock and the seed of its jitter: the only place where the SDK touches either.

Everything else takes a `Clock` and a `random.Random`, so that a simulator can replay it.
"""

import random
import time
from typing import Protocol


class Clock(Protocol):
    """Two times: one for people, which may jump, and one for waiting, which may not."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC. May jump either way."""

    def monotonic_s(self) -> float:
        """Seconds since an unknown moment. Never goes back."""


class SystemClock:
    """The clock of the machine."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC, as the machine believes."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds since the machine started, more or less."""
        return time.monotonic()


def seeded_by_the_system() -> random.Random:
    """Chance for jitter: a thousand devices that lost one server must not come back together."""
    return random.Random(random.SystemRandom().getrandbits(64))
