"""When a client must beat, and when a server may give it up (spec §9).

Strategy: the client owns the timer and announces its next beat in each Ping, so the server needs
no timer of its own per connection: it compares `deadline_s` with when it last heard anything.
The client's interval adapts to the network as WeChat's mars does: after a few beats that came
through it tries a longer one, and when a longer one kills the link it settles just under it. One
unlucky loss must not last for ever, so after many beats there it forgets and tries again.

Pure functions and a value: no clock, no randomness.
"""

from dataclasses import dataclass, replace

GRACE_FACTOR = 1.5
GRACE_S = 30
STABLE_BEATS = 3
STEP_S = 60
BACK_OFF_S = 20
FORGET_BEATS = 60


def deadline_s(next_beat_s: int, beat_max_s: int) -> float:
    """How long after it last heard from a client a server waits before it closes.

    `next_beat_s` is what the client announced; 0 or more than `beat_max_s` counts as the maximum.
    """
    announced = next_beat_s if 0 < next_beat_s <= beat_max_s else beat_max_s
    return announced * GRACE_FACTOR + GRACE_S


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A client's heartbeat interval, adapting between two bounds."""

    beat_min_s: int
    beat_max_s: int
    interval_s: int
    stable: int = 0
    """Beats in a row that were answered at this interval."""
    ceiling_s: int = 0
    """An interval that lost the link once; 0 while none did."""

    def answered(self) -> "Rhythm":
        """After a Pong: perhaps a longer interval."""
        if self.stable + 1 < STABLE_BEATS:
            return replace(self, stable=self.stable + 1)
        top = self.beat_max_s
        if self.ceiling_s:
            top = min(top, max(self.beat_min_s, self.ceiling_s - BACK_OFF_S))
        longer = min(top, self.interval_s + STEP_S)
        if longer <= self.interval_s:
            # Just under what failed: the network may have changed since.
            if self.ceiling_s and self.stable + 1 >= FORGET_BEATS:
                return replace(self, stable=0, ceiling_s=0)
            # At the very top the count stays, so that it cannot overflow.
            stable = self.stable + 1 if self.ceiling_s else STABLE_BEATS - 1
            return replace(self, stable=stable)
        return replace(self, interval_s=longer, stable=0)

    def lost(self) -> "Rhythm":
        """After a Pong that did not come: a shorter interval, and remember what was too long.

        At the shortest interval the loss says nothing about the interval.
        """
        shorter = max(self.beat_min_s, self.interval_s - STEP_S)
        ceiling_s = self.interval_s if shorter < self.interval_s else self.ceiling_s
        return replace(self, interval_s=shorter, stable=0, ceiling_s=ceiling_s)


def rhythm(beat_min_s: int, beat_max_s: int) -> Rhythm:
    """The rhythm to begin with, between the bounds that Welcome gave."""
    assert 0 < beat_min_s <= beat_max_s
    return Rhythm(beat_min_s, beat_max_s, beat_min_s)
