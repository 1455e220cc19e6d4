"""All sessions of this node: who is connected, who is replaced, who is too late.

Strategy: the house that sessions live in. It hands them what they share (store, clock, options),
keeps one session per device, turns the wheel that finds the silent and the slow, and drains.

Invariants:
- at most one admitted session per (app, device), the one that logged in last;
- an ended session is watched by nobody and found by nobody.
"""

import random
from collections.abc import Callable, Sequence

from msgspec import structs

from mobilesync.domain.channel import Channel, is_user_target, user_target
from mobilesync.domain.clock import Clock
from mobilesync.domain.oplog import Draft, oplog_of
from mobilesync.domain.rules import Look, refusal, withheld
from mobilesync.engine.acks import Progress
from mobilesync.engine.attendance import Attendance
from mobilesync.engine.configs import SyncConfigs
from mobilesync.engine.feed import Feed
from mobilesync.engine.link import Link
from mobilesync.engine.login import Authenticator, Logins, session_id
from mobilesync.engine.metrics import Metrics
from mobilesync.engine.offers import Offers
from mobilesync.engine.options import ServiceOptions
from mobilesync.engine.places import Places
from mobilesync.engine.pump import Pump
from mobilesync.engine.replays import Replays
from mobilesync.engine.session import RETRY_SPREAD_MS, Command, Phase, Session
from mobilesync.engine.slices import SLICE, in_slices
from mobilesync.engine.ticker import pause
from mobilesync.engine.waker import Waker
from mobilesync.engine.wheel import Wheel
from mobilesync.protocol.codec import encode
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.messages import Notice
from mobilesync.storage.contract import Store

REPLACED_RETRY_MS = 5_000


class Sessions:
    """The house of all sessions (see `House` in session.py)."""

    def __init__(
        self,
        store: Store,
        authenticator: Authenticator,
        configs: SyncConfigs,
        waker: Waker,
        feed: Feed,
        offers: Offers,
        attendance: Attendance,
        replays: Replays,
        *,
        clock: Clock,
        entropy: random.Random,
        options: ServiceOptions,
        metrics: Metrics,
    ) -> None:
        self.store = store
        self.clock = clock
        self.metrics = metrics
        self.options = options.session
        self.configs = configs
        self._attendance = attendance
        self._replays = replays
        self.on_progress: list[Callable[[Session, Progress], None]] = []
        """Called with each ack that moved a point, in the turn in which it advances."""
        self._waker = waker
        self._entropy = entropy
        self._wheel = Wheel(options.wheel_tick_s, clock.monotonic_s())
        self._all: dict[str, Session] = {}
        self._by_device: dict[tuple[str, str], Session] = {}
        self._logins = Logins(store, authenticator, self, attendance, options.session.logins_max)
        size = options.session
        self.pump = Pump(
            store,
            feed,
            Places(store, feed, clock),
            offers,
            configs,
            waker,
            clock,
            metrics,
            push_bytes=size.push_bytes,
            buffered_bytes_max=size.buffered_bytes_max,
        )
        self.draining = False

    def __len__(self) -> int:
        return len(self._all)

    # For the transports ------------------------------------------------------------------

    def connected(self, link: Link) -> Session:
        """A session for a new link. When there is no room it ends at once, saying so."""
        session = Session(session_id(self._entropy), link, self)
        self.metrics.connections_accepted += 1
        if self.draining:
            session.close(CloseCode.DRAINING, retry_spread_ms=RETRY_SPREAD_MS)
        elif len(self._all) >= self.options.sessions_max:
            session.close(
                CloseCode.OVERLOADED, retry_after_ms=5000, retry_spread_ms=RETRY_SPREAD_MS
            )
        else:
            self._all[session.id] = session
        linger_s = self.options.close_linger_s if session.has_ended() else 0.0
        self._wheel.add(session, self.clock.monotonic_s() + linger_s)
        return session

    # For sessions (House) and logins (Registry) ------------------------------------------

    def command(self, session: Session, command: Command) -> None:
        """Carry out a Hello, Bind or Unbind."""
        self._logins.command(session, command)

    def admit(self, session: Session) -> None:
        """`session` becomes the one of its device."""
        key = (session.app, session.device)
        old = self._by_device.get(key)
        if old is not None and old is not session:
            old.close(
                CloseCode.REPLACED,
                retry_after_ms=REPLACED_RETRY_MS,
                retry_spread_ms=RETRY_SPREAD_MS,
            )
        self._by_device[key] = session
        self.metrics.logins += 1

    def watch(self, session: Session, targets: Sequence[str]) -> None:
        """Replace what `session` watches."""
        for target in session.targets:
            if target not in targets:
                self._waker.unwatch(session.app, target, session)
                if is_user_target(target):
                    # Where only the newest device of a user gets something, it is another now.
                    newest = self._waker.newest(session.app, target)
                    if newest is not None:
                        newest.wake(target)
        for target in targets:
            self._waker.watch(session.app, target, session)
        session.targets = tuple(targets)

    def progressed(self, session: Session, progress: Progress) -> None:
        """Tell whoever wants to know."""
        for listener in self.on_progress:
            listener(session, progress)

    def rewound(self, session: Session, channel: Channel) -> None:
        """The device has followed a replay."""
        self._replays.done(channel, session.device)

    def ended(self, session: Session) -> None:
        """Forget `session`."""
        self._all.pop(session.id, None)
        self.watch(session, ())
        key = (session.app, session.device)
        if self._by_device.get(key) is session:
            del self._by_device[key]
            self._attendance.left(session)
        # It may wait in the wheel for long; what it held must not wait with it.
        session.cursors.clear()
        session.behind.clear()
        session.skipped.clear()
        session.refused.clear()

    # For the service and the API ---------------------------------------------------------

    def of_device(self, app: str, device: str) -> Session | None:
        """The living session of a device."""
        return self._by_device.get((app, device))

    def of_user(self, app: str, user: str) -> list[Session]:
        """The living sessions of a user."""
        watchers = self._waker.watchers(app, user_target(user))
        return [s for s in watchers if isinstance(s, Session) and s.phase is Phase.OPEN]

    def kick(self, app: str, device: str, reason: str = "") -> bool:
        """End a device's session: it must log in anew. False when there is none."""
        session = self._by_device.get((app, device))
        if session is None:
            return False
        session.close(CloseCode.LOGGED_OUT, reason)
        return True

    def resume(self, app: str, device: str) -> bool:
        """Have a device log in again at once, for its sync point is to change. False when it has
        no session."""
        session = self._by_device.get((app, device))
        if session is None:
            return False
        session.close(CloseCode.RESUME)
        return True

    def validated(self, session: Session) -> None:
        """The app's user check has validated `session`: what was withheld for that may flow."""
        session.look_anew(is_validated=True)
        self.wake_all_targets(session)

    def is_newest(self, session: Session) -> bool:
        """Whether no device of the session's user connected after it."""
        return self._waker.newest(session.app, user_target(session.user)) is session

    async def notify(self, draft: Draft) -> int:
        """Push a notice to who watches the draft's target now and may have it; answer to how many
        it went."""
        channel = draft.channel
        if not (watchers := self._waker.watchers(channel.app, channel.target)):
            return 0
        config = self.configs.find(channel.app, channel.biz)
        oplog = oplog_of(draft, 0)
        notice = Notice(channel.biz, channel.target, draft.published_at_ms, draft.payload)
        frame = encode(notice)
        look = Look(self.clock.wall_ms())
        count = 0
        for number, watcher in enumerate(watchers, 1):
            assert isinstance(watcher, Session)
            viewer = watcher.viewer
            if config is not None and config.has_user_points:
                viewer = structs.replace(viewer, is_newest=self.is_newest(watcher))
            # Each is asked again: it may have ended or changed its user while others were served.
            if not withheld(config, channel, viewer) and not refusal(oplog, viewer, look):
                count += watcher.notice(channel.target, frame)
            if number % SLICE == 0:
                await pause(0)
        return count

    def wake_app(self, app: str) -> None:
        """Have all sessions of `app` look at all their channels: its rules have changed."""
        in_slices([s for s in self._open() if s.app == app], self.wake_all_targets)

    def wake_all_targets(self, session: Session) -> None:
        """Have `session` look at all its channels."""
        for target in session.targets:
            session.wake(target)

    def slice(self, number: int, slices: int) -> list[Session]:
        """One of `slices` parts of the open sessions. A session stays in its part, so each is met
        once in `slices` calls however others come and go."""
        part = number % slices
        return [s for s in self._open() if int(s.id[-4:], 16) % slices == part]

    async def turn_wheel(self) -> None:
        """Find the silent, the slow and the late. Called every tick."""
        while self._wheel.turn(self.clock.monotonic_s(), SLICE):
            await pause(0)

    def oldest_unacked_s(self) -> float:
        """Age of the oldest oplog that was pushed to some device and not acked."""
        times = [ms for s in self._all.values() if (ms := s.oldest_unacked_ms()) is not None]
        return max(0.0, (self.clock.wall_ms() - min(times)) / 1000) if times else 0.0

    def drain(self, spread_ms: int, count_max: int) -> int:
        """Tell up to `count_max` devices to come back elsewhere; answer how many are left."""
        self.draining = True
        for session in list(self._all.values())[:count_max]:
            session.close(CloseCode.DRAINING, retry_spread_ms=spread_ms)
        return len(self._all)

    async def stop(self) -> None:
        """End everything at once."""
        self.draining = True
        for session in list(self._all.values()):
            session.close(CloseCode.DRAINING, retry_spread_ms=RETRY_SPREAD_MS)
        await self._logins.stop()
        await self.pump.stop()

    def _open(self) -> list[Session]:
        return [s for s in self._all.values() if s.phase is Phase.OPEN]
