"""What must end in time, under one timer for all of a kind.

Strategy: all have the same time, so whoever came first is due first: a dict in the order of coming
is the queue, and one timer waits for its first entry.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Deadlines(Generic[T]):
    """Those that are given `timeout_s` each; `late` is told of every one that takes longer."""

    def __init__(self, timeout_s: float, late: Callable[[T], None]) -> None:
        """`late` is called once for each, which is no longer held then. Must not raise."""
        assert timeout_s > 0
        self._timeout_s = timeout_s
        self._late = late
        self._begun: dict[T, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._begun)

    def __iter__(self) -> Iterator[T]:
        """Whoever is held, the one that came first before all others."""
        return iter(self._begun)

    def add(self, item: T) -> None:
        """The time of `item` begins. It must not be held already."""
        assert item not in self._begun
        loop = asyncio.get_running_loop()
        self._begun[item] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._timeout_s, self._look)

    def discard(self, item: T) -> None:
        """`item` has ended in time, or is not held."""
        self._begun.pop(item, None)
        if not self._begun and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def oldest(self) -> tuple[T, float] | None:
        """Whoever has taken longest, and since when by the loop's clock."""
        return next(iter(self._begun.items()), None)

    def begun_by(self, begun_s: float, count_max: int) -> list[T]:
        """Whoever began by `begun_s` of the loop's clock, oldest first; at most `count_max`."""
        found: list[T] = []
        for item, since_s in self._begun.items():
            if since_s > begun_s or len(found) == count_max:
                break
            found.append(item)
        return found

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while (oldest := self.oldest()) is not None:
            item, begun_s = oldest
            if begun_s + self._timeout_s > loop.time():
                self._timer = loop.call_at(begun_s + self._timeout_s, self._look)
                return
            del self._begun[item]
            self._late(item)
