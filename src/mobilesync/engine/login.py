"""Hello, Bind and Unbind: who a session is, and where it continues.

Strategy: the only steps of a conversation that wait for something else: for a token's check and
for the store. A session's commands are carried out one after the other, by a task that lives
only as long as there are commands. How many may be under way is bounded: beyond it a device is
told when to come back, which is the admission control for reconnect storms.

Order inside a step (spec §6.3): the targets are watched *before* the heads are read, so that no
change falls between the two. The Resets are part of Welcome: were they messages of their own, an
ack of the old sync point could cross them.
"""

import asyncio
import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog

from mobilesync.domain.channel import Channel, is_user_target, session_targets, user_target
from mobilesync.domain.conditions import NO_ATTRIBUTES, Attributes
from mobilesync.domain.errors import (
    InvalidRequest,
    OutcomeUnknown,
    Refused,
    StoreUnavailable,
    TokenRefused,
    UnknownApp,
)
from mobilesync.domain.names import check_biz, check_owner
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import Head, Resume, Skip, SyncPoint
from mobilesync.engine.acks import note_sends, shared_steps
from mobilesync.engine.arrival import Arrival, Entry
from mobilesync.engine.session import RETRY_SPREAD_MS, Command, Phase, Session
from mobilesync.engine.tokens import Identity
from mobilesync.engine.window import Cursor
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import CloseCode, ResetReason
from mobilesync.protocol.errors import ProtocolFault
from mobilesync.protocol.versions import negotiate
from mobilesync.storage.contract import Store

log = structlog.get_logger(__name__)

WAITING_PER_LOGIN = 10
"""How many wait for each that may be under way: a storm is worked off, not sent away."""
CREDENTIAL_ATTRIBUTE = "session_id"
"""The attribute of Hello that holds the app's own session id, when the token has none (`sid`)."""


class Authenticator(Protocol):
    """Says whom a token speaks for (tokens.py)."""

    async def verify(self, token: str) -> Identity:
        """Raises TokenRefused, UnknownApp."""


class Registry(Protocol):
    """What a login tells the one who knows all sessions (sessions.py)."""

    def admit(self, session: Session) -> None:
        """`session` is now the one of its device; an older one is replaced. Watches begin."""

    def watch(self, session: Session, targets: Sequence[str]) -> None:
        """`session` is woken for `targets`, and for no others, from now on."""


class Greeter(Protocol):
    """Who is told of devices as they come (attendance.py)."""

    async def arriving(
        self,
        session: Session,
        said: Mapping[Channel, SyncPoint],
        heads: Mapping[Channel, Head],
        targets: Sequence[str],
    ) -> Arrival:
        """What is known of the session's device in the channels of `targets` before this login;
        `said` are the points that it names. Raises StoreUnavailable."""

    async def record(self, session: Session, arrival: Arrival) -> None:
        """What the session's device is now is durable when it returns, together with what was
        advanced before. Raises Refused, OutcomeUnknown."""

    async def arrived(self, session: Session) -> None:
        """Welcome was said: the session is open for its user. Must not raise."""


class Logins:
    """Carries out the commands of all sessions."""

    def __init__(
        self,
        store: Store,
        authenticator: Authenticator,
        registry: Registry,
        greeter: Greeter,
        logins_max: int,
    ) -> None:
        self._store = store
        self._authenticator = authenticator
        self._registry = registry
        self._greeter = greeter
        self._logins_max = logins_max
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: deque[Session] = deque()

    def command(self, session: Session, command: Command) -> None:
        """Carry out `command` after those of the session that came before."""
        if session.commands:
            session.commands.append(command)
            return
        if len(self._tasks) < self._logins_max:
            session.commands.append(command)
            self._begin(session)
        elif len(self._waiting) < self._logins_max * WAITING_PER_LOGIN:
            session.commands.append(command)
            self._waiting.append(session)
        else:
            session.close(
                CloseCode.OVERLOADED, retry_after_ms=1000, retry_spread_ms=RETRY_SPREAD_MS
            )

    def _begin(self, session: Session) -> None:
        task = asyncio.get_running_loop().create_task(self._run(session))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        while self._waiting and len(self._tasks) < self._logins_max:
            session = self._waiting.popleft()
            if not session.has_ended():
                self._begin(session)

    async def stop(self) -> None:
        """Give up what is under way."""
        self._waiting.clear()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, session: Session) -> None:
        while session.commands:
            try:
                await self._carry_out(session, session.commands[0])
            except (ProtocolFault, TokenRefused) as refusal:
                code = refusal.code if isinstance(refusal, ProtocolFault) else refusal.close_code
                session.close(code, str(refusal))
            except UnknownApp as refusal:
                session.close(CloseCode.UNKNOWN_APP, str(refusal))
            except InvalidRequest as refusal:
                session.close(CloseCode.INVALID_FIELD, f"{refusal}: {refusal.hint}")
            except Refused as refusal:
                session.close_for_now(refusal)
            except OutcomeUnknown as failure:
                session.close_for_now(StoreUnavailable(failure.message))
            except Exception:
                log.exception("login_failed", session=session.id)
                session.close(CloseCode.INTERNAL, retry_spread_ms=RETRY_SPREAD_MS)
            if session.has_ended():
                return
            session.commands.pop(0)

    async def _carry_out(self, session: Session, command: Command) -> None:
        match command:
            case m.Hello():
                await self._greet(session, command)
            case m.Bind():
                identity = await self._authenticator.verify(command.token)
                if session.has_ended():
                    return
                if identity.app != session.app:
                    raise TokenRefused(CloseCode.TOKEN_CLAIMS, "the token is for another app")
                _check_identity(identity, command.user, session.device)
                session.expires_at_ms = identity.expires_at_ms
                session.credential = identity.session or session.credential
                await self._change_user(session, command.user, command.points)
            case m.Unbind():
                await self._change_user(session, "", [])

    async def _greet(self, session: Session, hello: m.Hello) -> None:
        session.version = negotiate(hello.version_min, hello.version_max)
        identity = await self._authenticator.verify(hello.token)
        _check_identity(identity, hello.user, hello.device)
        if session.has_ended():
            return
        session.app, session.user = identity.app, hello.user
        session.device = check_owner(hello.device, "device")
        session.expires_at_ms = identity.expires_at_ms
        session.attributes = Attributes(
            hello.os, hello.app_version, hello.attributes or NO_ATTRIBUTES
        )
        session.sdk = hello.sdk
        session.credential = identity.session or hello.attributes.get(CREDENTIAL_ATTRIBUTE, "")
        session.look_anew(asks_withdrawals=m.WITHDRAWALS in hello.features, is_validated=False)
        session.foreground, session.next_beat_s = hello.foreground, hello.next_beat_s
        targets = session_targets(session.user, session.device)
        points = _points(session.app, targets, hello.points)
        self._registry.watch(session, targets)
        heads = await self._store.heads(session.app, targets)
        arrival = await self._greeter.arriving(session, points, heads, targets)
        if session.has_ended():
            return
        self._registry.admit(session)
        await self._welcome(session, points, heads, arrival)

    async def _change_user(
        self, session: Session, user: str, listed: Sequence[m.SyncPoint]
    ) -> None:
        new = (user_target(user),) if user else ()
        points = _points(session.app, new, listed)
        session.house.pump.flush(session)
        if session.window.count:
            note_sends(session)
        session.user = user
        session.look_anew(is_validated=False)
        # From here on nothing of the old user leaves: acks are ignored, reads are dropped. Nor
        # does anything of the new one, before Welcome: the device would drop it (spec §6.4).
        session.changing = True
        session.generation += 1
        for channel in [c for c in session.cursors if is_user_target(c.target)]:
            session.window.forget(session.cursors.pop(channel))
            session.skipped.pop(channel, None)
        for channel, cursor in session.cursors.items():
            if cursor.read > cursor.told:
                # Not for the old user, perhaps for the new one: for whom it is a backlog.
                session.backlog[channel] = max(cursor.read, session.backlog.get(channel, 0))
                session.skipped.pop(channel, None)
                cursor.judge_anew()
        for marked in (session.backlog, session.rewound, session.refused):
            for channel in [c for c in marked if is_user_target(c.target)]:
                del marked[channel]
        for channel in [c for c in session.behind if is_user_target(c.target)]:
            del session.behind[channel]
        self._registry.watch(session, session_targets(user, session.device))
        heads = await self._store.heads(session.app, new) if new else {}
        arrival = await self._greeter.arriving(session, points, heads, new)
        if not session.has_ended():
            await self._welcome(session, points, heads, arrival)

    async def _welcome(
        self,
        session: Session,
        points: dict[Channel, SyncPoint],
        heads: dict[Channel, Head],
        arrival: Arrival,
    ) -> None:
        """Say Welcome, which holds the Resets, and begin to push."""
        house = session.house
        lineage = self._store.lineage
        now_ms = house.clock.wall_ms()
        entry = Entry(points, heads, arrival, lineage, now_ms)
        self._store.advance([*entry.advances(), *shared_steps(session, entry.acks())])
        for progress in entry.progress():
            house.progressed(session, progress)
        # Before anything is judged by what the device is now, and after what it was, is on record.
        await self._greeter.record(session, arrival)
        if session.has_ended():
            return
        session.phase = Phase.OPEN
        if session.changing:
            # What was withheld from the last user, or from nobody, may be for this one.
            session.dirty.update(dict.fromkeys(session.targets))
        resets = [self._place(session, channel, point, entry) for channel, point in points.items()]
        said = [each for each in resets if each is not None]
        for channel, lap in entry.laps().items():
            session.cursors.setdefault(channel, Cursor(0)).lap = lap
        house.metrics.resets += len(said)
        options = house.options
        welcome = m.Welcome(
            session.version,
            lineage[-1],
            session.id,
            session.user,
            now_ms,
            options.beat_min_s,
            options.beat_max_s,
            said,
        )
        session.send(welcome)
        session.changing = False
        session.compare(heads)
        for channel, last in session.behind.items():
            if channel in heads:
                session.backlog[channel] = last
        if session.behind or session.dirty:
            house.pump.ready(session)
        await self._greeter.arrived(session)

    def _place(
        self, session: Session, channel: Channel, point: SyncPoint, entry: Entry
    ) -> m.Reset | None:
        """Begin a cursor where the session goes on, and answer the Reset that says so, if any."""
        place = entry.place(channel)
        cursor = session.cursors[channel] = Cursor(place.cursor, point.processed)
        cursor.passed = entry.passed(channel) or None
        if place.reset is ResetReason.TRIMMED:
            cursor.skip(Skip(point.received + 1, place.cursor, int(Reason.EXPIRED)))
        if place.reset is ResetReason.FUTURE:
            # A healthy store cannot cause this: it has lost something, or the device lies.
            log.warning(
                "sync_point_from_the_future", session=session.id, app=session.app, biz=channel.biz
            )
        if place.reset is ResetReason.REWOUND:
            session.rewound[channel] = None
        if place.reset is None:
            return None
        return _reset(channel, entry.lineage[-1], place)


def _check_identity(identity: Identity, user: str, device: str) -> None:
    """The token and what the app believes must agree: a wrong user on a link is found here."""
    if identity.device and identity.device != device:
        raise TokenRefused(CloseCode.TOKEN_CLAIMS, "the token is for another device")
    if identity.user != user:
        raise TokenRefused(CloseCode.TOKEN_CLAIMS, "the token is for another user")


def _points(
    app: str, targets: Sequence[str], listed: Sequence[m.SyncPoint]
) -> dict[Channel, SyncPoint]:
    points: dict[Channel, SyncPoint] = {}
    for point in listed:
        if point.target not in targets:
            detail = "a sync point of a target that is not this session's"
            raise ProtocolFault(CloseCode.INVALID_FIELD, detail)
        channel = Channel(app, check_biz(point.biz), point.target)
        assert channel not in points, "the protocol's rules let no doubled sync point in"
        points[channel] = SyncPoint(point.epoch, point.received, point.processed)
    return points


def _reset(channel: Channel, epoch: int, place: Resume) -> m.Reset:
    assert place.reset is not None
    return m.Reset(channel.biz, channel.target, epoch, place.cursor, int(place.reset))


def session_id(entropy: random.Random) -> str:
    """A name for one session, for logs and Welcome."""
    return f"{entropy.getrandbits(64):016x}"
