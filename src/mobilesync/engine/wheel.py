"""A timing wheel: one timer for any number of sessions.

Strategy: a session sits in the slot of its next check. When the slot comes up, the session says
when it wants to be looked at again. Hearing from a device therefore costs nothing here: the
session only notes the time, and asks for a later check when its old one comes up.

Invariant: an entry is in exactly one slot, and is checked at most one tick late.
"""

from typing import Protocol


class Checked(Protocol):
    """Something that wants to be looked at now and then."""

    def check(self, now_s: float) -> float | None:
        """Do what is due, and say when to come back (monotonic seconds), or None for never."""


class Wheel:
    """Entries by the time of their next check."""

    def __init__(self, tick_s: float, now_s: float) -> None:
        assert tick_s > 0
        self._tick_s = tick_s
        # A dictionary and not a set, for its order: a simulated run must replay.
        self._slots: dict[int, dict[Checked, None]] = {}
        self._turned = int(now_s / tick_s)

    def __len__(self) -> int:
        return sum(len(slot) for slot in self._slots.values())

    def add(self, entry: Checked, at_s: float) -> None:
        """Have `entry` checked at about `at_s`, never before."""
        number = max(int(at_s / self._tick_s) + 1, self._turned + 1)
        self._slots.setdefault(number, {})[entry] = None

    def turn(self, now_s: float, count_max: int = 2**31) -> bool:
        """Check up to `count_max` that are due, and answer whether there are more."""
        number = int(now_s / self._tick_s)
        self._turned = max(self._turned, number)
        # A clock that slept long would turn through many empty slots; look at the full ones only.
        for due in sorted(slot for slot in self._slots if slot <= number):
            entries = self._slots[due]
            while entries:
                if not count_max:
                    return True
                count_max -= 1
                # Taken out first: one whose check fails must not keep the others from theirs.
                entry, _ = entries.popitem()
                again_s = entry.check(now_s)
                if again_s is not None:
                    self.add(entry, again_s)
            del self._slots[due]
        return False
