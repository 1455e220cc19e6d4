"""Wake whoever waits on a target.

Strategy: a wake says *that* a channel of the target changed, never *what* changed. The one who
is woken reads the store from its own cursor, so wakes may be lost, repeated or merged without
harm; a slow sweep heals what was lost (spec §13.1).

Not here: reading oplogs (pump.py), deciding who may watch (login.py).

Invariants:
- a target is a key only while somebody watches it;
- wake() never blocks, and costs only as much as the target has watchers.
"""

from collections.abc import Collection
from typing import Protocol


class Sleeper(Protocol):
    """Anything that can be told that a target changed: a session, or a test."""

    def wake(self, target: str) -> None:
        """Take note and return at once. Must not raise."""


class Waker:
    """Who watches what, on this node."""

    def __init__(self) -> None:
        # Dictionaries and not sets: they keep their order, so that a simulated run replays.
        self._sleepers: dict[tuple[str, str], dict[Sleeper, None]] = {}

    def watch(self, app: str, target: str, sleeper: Sleeper) -> None:
        """Wake `sleeper` whenever `target` changes from now on.

        After calling this, read once: a change made just before has woken nobody.
        """
        self._sleepers.setdefault((app, target), {})[sleeper] = None

    def unwatch(self, app: str, target: str, sleeper: Sleeper) -> None:
        """Undo `watch`. Harmless when there was none."""
        sleepers = self._sleepers.get((app, target))
        if sleepers is None:
            return
        sleepers.pop(sleeper, None)
        if not sleepers:
            del self._sleepers[app, target]

    def wake(self, app: str, target: str) -> None:
        """Tell every watcher of `target`. Call only once the change is durable."""
        # A copy, because a sleeper may unwatch while it is being told.
        for sleeper in tuple(self._sleepers.get((app, target), ())):
            sleeper.wake(target)

    def watchers(self, app: str, target: str) -> Collection[Sleeper]:
        """Who watches `target` now."""
        return tuple(self._sleepers.get((app, target), ()))
