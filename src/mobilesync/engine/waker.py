"""Wake whoever waits on a target.

Strategy: a wake says *that* a channel of the target changed, never *what* changed. The one who
is woken reads the store from its own cursor, so wakes may be lost, repeated or merged without
harm; a slow sweep heals what was lost (spec §13.1).

Not here: reading oplogs (pump.py), deciding who may watch (login.py).

A target with many watchers is gone through in slices, once at a time: a wake that comes meanwhile
lets it be gone through once more, so a stream of broadcasts costs no more than the loop can give.

Invariants:
- a target is a key only while somebody watches it;
- wake() never blocks: it wakes at most a slice of the watchers before it returns;
- whoever watches when wake() is called is told after that, however often it is called.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol

from mobilesync.engine.slices import SLICE


class Sleeper(Protocol):
    """Anything that can be told that a target changed: a session, or a test."""

    def wake(self, target: str) -> None:
        """Take note and return at once. Must not raise."""


class Waker:
    """Who watches what, on this node."""

    def __init__(self) -> None:
        # Dictionaries and not sets: they keep their order, so that a simulated run replays.
        self._sleepers: dict[tuple[str, str], dict[Sleeper, None]] = {}
        self._walks: dict[tuple[str, str], bool] = {}
        """Targets that are being gone through, and whether once more."""

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
        key = (app, target)
        if key in self._walks:
            self._walks[key] = True
            return
        # A copy, because a sleeper may unwatch while it is being told.
        sleepers = tuple(self._sleepers.get(key, ()))
        if len(sleepers) > SLICE:
            self._walks[key] = False
            self._walk(key, sleepers, 0)
            return
        for sleeper in sleepers:
            sleeper.wake(target)

    def _walk(self, key: tuple[str, str], sleepers: Sequence[Sleeper], begin: int) -> None:
        end = begin + SLICE
        loop = asyncio.get_running_loop()
        # Before this slice is told: what a sleeper raises must not end the walk.
        if end < len(sleepers):
            loop.call_soon(self._walk, key, sleepers, end)
        elif self._walks.pop(key):
            loop.call_soon(self.wake, *key)
        for sleeper in sleepers[begin:end]:
            sleeper.wake(key[1])

    def watchers(self, app: str, target: str) -> Collection[Sleeper]:
        """Who watches `target` now."""
        return tuple(self._sleepers.get((app, target), ()))

    def is_watched(self, app: str, target: str) -> bool:
        """Whether anybody watches `target` now."""
        return (app, target) in self._sleepers

    def newest(self, app: str, target: str) -> Sleeper | None:
        """Who began to watch `target` last."""
        sleepers = self._sleepers.get((app, target))
        return next(reversed(sleepers)) if sleepers else None
