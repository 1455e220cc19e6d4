"""The real clock. Tests and the simulator bring their own."""

import time


class SystemClock:
    """A Clock that reads the machine's."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()
