"""When to come back after a session has ended (spec §8.2).

Strategy: full jitter under an exponential bound, so that devices which lost a server together do
not come back together; a server's advice is a time before which nobody comes. A session that
lasted lets the bound begin anew; an accepted one that broke at once does not, or a server that
accepts and dies would be hammered. A server that only wants a new Hello gets it at once.

Pure but for the chance that is passed in: no clock, no waiting.
"""

import random
from dataclasses import dataclass, field, replace

from mobilesync.protocol.codes import CloseCode

RESUMES_MAX = 10
"""As often in a row a server may send the device away to come back at once."""
_DOUBLINGS_MAX = 30


@dataclass(frozen=True, slots=True)
class Wait:
    """How long to wait before the next attempt."""

    seconds: float
    advised_s: float
    """The part of it that the server asked for: not even the app coming to the foreground
    shortens it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a session, or the attempt at one, ended."""

    why: str
    code: int = 0
    """The close code; 0 when none was given."""
    retry_after_ms: int = 0
    retry_spread_ms: int = 0
    lasted_s: float = 0.0
    """How long the session was open."""
    token: str = field(default="", repr=False)
    """The last token that was shown to the server."""

    def of_session(self, lasted_s: float, token: str) -> "Ended":
        """The same, with what the session itself does not know."""
        return replace(self, lasted_s=lasted_s, token=token)


class Reconnect:
    """Counts attempts and says how long to wait."""

    def __init__(
        self, first_s: float, longest_s: float, stable_s: float, chance: random.Random
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._stable_s = stable_s
        self._chance = chance
        self.failures = 0
        """Ends in a row since the last stable session, but those that ask for a new Hello."""
        self._resumes = 0

    def after(self, ended: Ended, *, at_once_once: bool = False) -> Wait:
        """What to do after `ended`. With `at_once_once` the first of a row of ends costs no wait:
        that an expired token must be renewed is no failure."""
        if ended.lasted_s >= self._stable_s:
            self.forgive()
        self._resumes = self._resumes + 1 if ended.code == CloseCode.RESUME else 0
        resumes = 0 < self._resumes <= RESUMES_MAX
        bound_s = min(self._longest_s, self._first_s * 2 ** min(self.failures, _DOUBLINGS_MAX))
        own_s = self._chance.uniform(0, bound_s)
        if resumes or (at_once_once and self.failures == 0):
            own_s = 0.0
        self.failures += not resumes
        spread_ms = self._chance.uniform(0, ended.retry_spread_ms)
        advised_s = (ended.retry_after_ms + spread_ms) / 1000
        return Wait(max(own_s, advised_s), advised_s)

    def forgive(self) -> None:
        """The app or its user changed something: begin anew."""
        self.failures = self._resumes = 0
