"""Time as an argument: nobody left of `transports` reads a clock of their own."""

from typing import Protocol


class Clock(Protocol):
    """Two times: one for people, which may jump, and one for waiting, which may not."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC. May jump either way."""

    def monotonic_s(self) -> float:
        """Seconds since an unknown moment. Never goes back."""
