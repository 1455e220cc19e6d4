"""The user check: whether the app itself still holds a user's session good.

Strategy: after each Welcome that names a user, the app's own callback is asked once. Its verdict
is told to whoever asked, and remembered there. While the callback cannot tell, it is asked again,
ever more seldom, for as long as the session lives. Each app has a line of its own, served in
order by so many tasks as it allows, so that thousands of logins wait their turn and an app whose
callback hangs holds up no other. A session that waits is a row in a table, without a task or timer.

Not here: HTTP (transports/user_check.py), what is withheld meanwhile (domain/rules.py).

Invariants:
- a verdict is for the session and the user that were asked about: one that is overtaken by a
  change of user is dropped;
- a session stands in its line at most once, however often its user changes;
- not knowing is never a verdict.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import structlog
from msgspec import Struct

from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import MobilesyncError
from mobilesync.engine.apps import Apps
from mobilesync.engine.metrics import Metrics
from mobilesync.engine.slices import SLICE
from mobilesync.engine.ticker import pause
from mobilesync.engine.wheel import Wheel

log = structlog.get_logger(__name__)

TICK_S = 1.0
RETRY_FIRST_S = 5.0
RETRY_MAX_S = 300.0
"""How long a session may stay withheld after its app's callback is well again."""


class UserQuestion(Struct, frozen=True):
    """What a callback is asked about."""

    app: str
    user: str
    device: str
    session: str
    """This server's name for the connection, as in its log."""
    credential: str
    """The app's own name for the user's session: what is to be validated."""


class CannotTell(MobilesyncError):
    """The callback gave no verdict. The message says why, without naming anybody."""

    code = "USER_CHECK_FAILED"


class UserCheck(Protocol):
    """Asks an app's callback."""

    async def validate(self, question: UserQuestion) -> bool:
        """Whether `credential` is a good session of `user`.

        Bounded in time by the app's settings. Raises CannotTell.
        """


class Unasked:
    """A UserCheck that asks nobody: whoever would need it stays withheld."""

    async def validate(self, question: UserQuestion) -> bool:
        """Raises CannotTell."""
        raise CannotTell("this server asks no callbacks")


class Checkable(Protocol):
    """What must be known of a session to have its user checked."""

    @property
    def id(self) -> str:
        """Unique among the sessions of this server."""

    @property
    def app(self) -> str:
        """Its app, verified."""

    @property
    def user(self) -> str:
        """Who is logged in now; empty for nobody."""

    @property
    def device(self) -> str:
        """Its device."""

    @property
    def credential(self) -> str:
        """The app's own name for the user's session; empty if it gave none."""

    @property
    def generation(self) -> int:
        """Grows whenever the user changes."""

    def has_ended(self) -> bool:
        """Whether nobody needs to know any more."""


S = TypeVar("S", bound=Checkable)


class UserChecks(Generic[S]):
    """All sessions whose app has not given its verdict yet."""

    def __init__(
        self,
        check: UserCheck,
        apps: Apps,
        verdict: Callable[[S, bool], None],
        *,
        clock: Clock,
        entropy: random.Random,
        metrics: Metrics | None = None,
    ) -> None:
        """`verdict` is called from the loop, once for each question that got one."""
        self._check = check
        self._verdict = verdict
        self._clock = clock
        self._entropy = entropy
        self._lines: dict[str, _Line[S]] = {}
        for name in apps.names():
            callback = apps.get(name).user_check
            if callback is not None:
                self._lines[name] = _Line(name, callback.concurrent_max)
        self._cases: dict[str, _Case[S]] = {}
        """By session id; bounded by the sessions, but for a few that ended since."""
        self._wheel = Wheel(TICK_S, clock.monotonic_s())
        self._tasks: set[asyncio.Task[None]] = set()
        self.valid = self.invalid = self.unknown = 0
        if metrics is not None:
            self._add_metrics(metrics)

    def __len__(self) -> int:
        return len(self._cases)

    def ask(self, session: S) -> None:
        """Have the app asked about `session` as it is now; returns at once.

        Call after each Welcome. Nobody is asked, and the session stays unvalidated, when the app
        has no callback, nobody is logged in, or the device has shown no session of the app's.
        """
        line = self._lines.get(session.app)
        if line is None or not session.user or not session.credential:
            return
        case = self._cases.get(session.id)
        if case is None:
            case = self._cases[session.id] = _Case(session, line, self._look_at)
        case.generation = session.generation
        case.failures = 0
        if not case.is_asked:
            self._enqueue(case)

    async def tick(self) -> None:
        """Have those asked again whose time has come. Called every TICK_S."""
        while self._wheel.turn(self._clock.monotonic_s(), SLICE):
            await pause(0)

    async def stop(self) -> None:
        """Give up what is under way."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Steps -------------------------------------------------------------------------------

    def _enqueue(self, case: "_Case[S]") -> None:
        line = case.line
        case.due_s = None
        # One that is in it already keeps its turn.
        line.queue[case.session.id] = case
        if line.serving < line.concurrent_max:
            line.serving += 1
            task = asyncio.get_running_loop().create_task(self._serve(line))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, line: "_Line[S]") -> None:
        passed = 0
        try:
            while line.queue:
                _, case = line.queue.popitem(last=False)
                if not self._is_over(case):
                    await self._settle(case)
                    continue
                passed += 1
                if passed % SLICE == 0:
                    await pause(0)
        finally:
            line.serving -= 1

    async def _settle(self, case: "_Case[S]") -> None:
        generation = case.generation
        valid: bool | None = None
        case.is_asked = True
        try:
            valid = await self._check.validate(_question(case.session))
            case.line.heard(is_well=True)
        except CannotTell as reason:
            case.line.heard(is_well=False, reason=reason.message)
        except Exception:
            log.exception("user_check_failed", app=case.line.app)
        finally:
            case.is_asked = False
        if self._is_over(case):
            return
        if case.generation != generation:
            # The user changed and was asked about meanwhile: the answer is for the old one.
            self._enqueue(case)
        elif valid is None:
            self._later(case)
        else:
            del self._cases[case.session.id]
            self._tell(case.session, valid)

    def _tell(self, session: S, valid: bool) -> None:
        self.valid += valid
        self.invalid += not valid
        try:
            self._verdict(session, valid)
        except Exception:
            # The others in the line are still to be served.
            log.exception("user_check_failed", app=session.app)

    def _later(self, case: "_Case[S]") -> None:
        self.unknown += 1
        wait_s = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(case.failures, 30))
        case.failures += 1
        # Everybody was told the same, and must not come back at the same moment.
        case.due_s = self._clock.monotonic_s() + wait_s * self._entropy.uniform(0.5, 1)
        self._wheel.add(case, case.due_s)

    def _look_at(self, case: "_Case[S]", now_s: float) -> float | None:
        """The wheel's check: ask again, come back later, or never."""
        if case.due_s is None or self._is_over(case):
            return None
        if now_s < case.due_s:
            return case.due_s
        self._enqueue(case)
        return None

    def _is_over(self, case: "_Case[S]") -> bool:
        """Whether nobody waits for the answer; then it is forgotten."""
        session = case.session
        if not session.has_ended() and session.generation == case.generation:
            return False
        if self._cases.get(session.id) is case:
            del self._cases[session.id]
        return True

    def _add_metrics(self, metrics: Metrics) -> None:
        metrics.gauge(
            "mobilesync_user_checks_waiting",
            "sessions whose app has not said yet whether they are good",
            lambda: float(len(self)),
        )
        for name, description in (
            ("valid", "sessions that their app holds good"),
            ("invalid", "sessions that their app does not hold good"),
            ("unknown", "user checks without a verdict; they are repeated"),
        ):
            metrics.counter(
                f"mobilesync_user_checks_{name}_total",
                description,
                lambda name=name: float(getattr(self, name)),  # type: ignore[misc]  # no inference
            )


class _Line(Generic[S]):
    """One app's sessions that wait to be asked about."""

    __slots__ = ("app", "concurrent_max", "is_down", "queue", "serving")

    def __init__(self, app: str, concurrent_max: int) -> None:
        self.app = app
        self.concurrent_max = concurrent_max
        self.queue: OrderedDict[str, _Case[S]] = OrderedDict()
        self.serving = 0
        self.is_down = False

    def heard(self, *, is_well: bool, reason: str = "") -> None:
        """The callback gave a verdict, or did not: a change is worth a line in the log."""
        if self.is_down and is_well:
            log.info("user_check_works_again", app=self.app)
        elif not self.is_down and not is_well:
            log.warning("user_check_fails", app=self.app, reason=reason)
        self.is_down = not is_well


class _Case(Generic[S]):
    """One session that is asked about."""

    __slots__ = ("_look_at", "due_s", "failures", "generation", "is_asked", "line", "session")

    def __init__(
        self,
        session: S,
        line: _Line[S],
        look_at: "Callable[[_Case[S], float], float | None]",
    ) -> None:
        self.session = session
        self.line = line
        self.generation = 0
        """The session's, when it was asked about last."""
        self.failures = 0
        self.is_asked = False
        """Whether the callback is being asked just now."""
        self.due_s: float | None = None
        """When to ask again, if it waits for that."""
        self._look_at = look_at

    def check(self, now_s: float) -> float | None:
        """For the wheel."""
        return self._look_at(self, now_s)


def _question(session: Checkable) -> UserQuestion:
    return UserQuestion(session.app, session.user, session.device, session.id, session.credential)
