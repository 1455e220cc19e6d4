"""When to try a publish again: full jitter, and never sooner than the server advises.

Not here: sending, sleeping, what counts as a failure (exchange.py).
"""

import random
from dataclasses import dataclass

WAIT_MAX_S = 300.0
"""However long the server advises, a wait longer than this is the caller's to decide."""


@dataclass(frozen=True, slots=True)
class Retries:
    """A schedule of tries."""

    tries: int = 6
    first_wait_s: float = 0.2
    """The upper bound of the first wait; it doubles each time."""
    wait_max_s: float = 10.0

    def __post_init__(self) -> None:
        if self.tries < 1 or not 0 <= self.first_wait_s <= self.wait_max_s <= WAIT_MAX_S:
            raise ValueError("tries >= 1 and 0 <= first_wait_s <= wait_max_s <= 300")

    def wait_s(self, failures: int, advised_s: float, entropy: random.Random) -> float | None:
        """How long to wait after so many failures in a row; None to give up.

        Chance is added to the server's advice and never taken from it: everybody was told the
        same, and must not come back at the same moment.
        """
        assert failures >= 1
        if failures >= self.tries or advised_s > WAIT_MAX_S:
            return None
        bound_s = min(self.wait_max_s, self.first_wait_s * 2.0 ** min(failures - 1, 30))
        return max(0.0, advised_s) + entropy.uniform(0, bound_s)
