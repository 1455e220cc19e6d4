"""The heartbeat of one session (spec §9): keeps the link alive, and notices when it is dead.

Strategy: timers of the loop and no task. Each beat sends a Ping; whatever comes back is life, but
only a Pong lets the rhythm try a longer interval. Silence past the timeout means a half-open link:
`dead` is called once, and the rhythm remembers that this interval was too long.

A Ping announces the longest time to the next one that may follow, since an answer may stretch the
interval: the server must not give up a client that keeps its word.

Invariant: between `start` and `stop` exactly one timer runs.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from mobilesync.protocol.heartbeat import Rhythm, rhythm
from mobilesync.protocol.limits import BEAT_S_MAX

UNLEARNED = rhythm(1, BEAT_S_MAX)
"""The pace before the first session."""


def continued(learned: Rhythm, beat_min_s: int, beat_max_s: int) -> Rhythm:
    """What was learned in earlier sessions, inside the bounds of this one."""
    beat_min_s = max(1, min(beat_min_s, BEAT_S_MAX))
    beat_max_s = max(beat_min_s, min(beat_max_s, BEAT_S_MAX))
    interval_s = min(max(learned.interval_s, beat_min_s), beat_max_s)
    return replace(learned, beat_min_s=beat_min_s, beat_max_s=beat_max_s, interval_s=interval_s)


class Heart:
    """Beats from `start` to `stop`."""

    def __init__(
        self,
        learned: Rhythm,
        pong_timeout_s: float,
        ping: Callable[[int], None],
        dead: Callable[[], None],
    ) -> None:
        """`learned` is the pace of the session before. `ping(next_beat_s)` sends a Ping;
        `dead()` ends the link. Neither may raise."""
        self.pace = learned
        self._pong_timeout_s = pong_timeout_s
        self._ping = ping
        self._dead = dead
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = False
        """Whether silence counts: a Ping is out and nothing has come since."""
        self._unanswered = False
        """Whether a Pong is due, which may come after other things."""
        self._deaf = False

    @property
    def next_beat_s(self) -> int:
        """The longest time that may pass until the next Ping; 0 when that is not known yet."""
        if self._timer is None:
            return 0
        longest = max(self.pace.interval_s, self.pace.answered().interval_s)
        return min(BEAT_S_MAX, longest + int(self._pong_timeout_s) + 1)

    @property
    def started(self) -> bool:
        """Whether it beats."""
        return self._timer is not None

    def start(self, beat_min_s: int, beat_max_s: int) -> None:
        """Begin to wait for the first beat, within the bounds that Welcome gave."""
        self.pace = continued(self.pace, beat_min_s, beat_max_s)
        self._wait(self.pace.interval_s, self.beat)

    def stop(self) -> None:
        """No more beats. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def beat(self) -> None:
        """Ping now, unless a Ping waits for its answer already."""
        if self._timer is None or self._waiting:
            return
        self._waiting = self._unanswered = True
        self._ping(self.next_beat_s)
        self._wait(self._pong_timeout_s, self._silent)

    def heard(self, *, pong: bool) -> None:
        """Something came from the server."""
        if self._timer is None:
            return
        if pong and self._unanswered:
            self._unanswered = False
            self.pace = self.pace.answered()
        if self._waiting:
            self._waiting = False
            self._wait(self.pace.interval_s, self.beat)

    def deafen(self, deaf: bool) -> None:
        """While nothing is read on purpose, silence proves nothing. Afterwards a Pong that lies
        there unread gets its full time to be read."""
        self._deaf = deaf
        if not deaf and self._waiting and self._timer is not None:
            self._wait(self._pong_timeout_s, self._silent)

    def _silent(self) -> None:
        if self._deaf:
            self._waiting = False
            self._wait(self.pace.interval_s, self.beat)
            return
        self.pace = self.pace.lost()
        self.stop()
        self._dead()

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        self.stop()
        self._timer = asyncio.get_running_loop().call_later(seconds, then)
