"""The app's own word on its users, as its callback gives it: late, or not at all.

Strategy: the app holds each of its users good or not, and may change its mind; the callback says
what holds when it answers. While it is in trouble it gives no verdict.

Not here: when it is in trouble (app_faults.py), what the service makes of it.
"""

import random

from mobilesync.engine.user_check import CannotTell, UserQuestion
from mobilesync.sim import history as h
from mobilesync.sim.chronicle import Chronicle
from mobilesync.sim.loop import pause


class SimUserCheck:
    """All callbacks of all apps. Fits `UserCheck`."""

    def __init__(self, rng: random.Random, chronicle: Chronicle) -> None:
        self._rng = rng
        self._chronicle = chronicle
        self._questions = 0
        self._bad: dict[tuple[str, str], None] = {}
        self.fail_share = 0.0
        """How many questions get no verdict."""
        self.answer_s = 0.02
        """How long an answer takes at most."""

    def hold(self, app: str, user: str, *, valid: bool) -> None:
        """From here on the app holds the user's sessions good, or not."""
        if valid:
            self._bad.pop((app, user), None)
        else:
            self._bad[app, user] = None
        self._chronicle.add(h.UserHeld(self._chronicle.now_ms(), app, user, valid))

    def is_good(self, app: str, user: str) -> bool:
        """What the app would answer now."""
        return (app, user) not in self._bad

    async def validate(self, question: UserQuestion) -> bool:
        """Takes a seeded while. Raises CannotTell."""
        self._questions += 1
        number = self._questions
        now_ms = self._chronicle.now_ms
        asked = h.UserAsked(now_ms(), number, question.session, question.user)
        self._chronicle.add(asked)
        await pause(self._rng.random() * self.answer_s)
        if self._rng.random() < self.fail_share:
            raise CannotTell("the simulated callback is in trouble")
        valid = self.is_good(question.app, question.user)
        self._chronicle.add(h.UserJudged(now_ms(), number, valid))
        return valid
