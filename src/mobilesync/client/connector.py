"""Keeps one session alive: connect, converse, wait, again.

Strategy: one task, `run`, that is the only one to connect. What the server's close code means is
looked up by range (spec §8): come back later, get a new token, or stop until the app or its user
changes something. A full inbox is a reason to wait too, and is told.

Not here: the conversation (session.py), the length of waits (reconnect.py).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from mobilesync.client.clock import Clock
from mobilesync.client.credentials import Credentials
from mobilesync.client.errors import (
    ClientStopped,
    LinkLost,
    NotConnected,
    StoreDamaged,
    TokenFailed,
)
from mobilesync.client.events import ClientEvent, Connected, Connecting, Paused, Stopped, Waiting
from mobilesync.client.heart import UNLEARNED
from mobilesync.client.inbox import Channel
from mobilesync.client.reconnect import Ended, Reconnect, Wait
from mobilesync.client.session import Profile, Session, Surroundings, is_full, room
from mobilesync.client.stream import Stream
from mobilesync.protocol.codes import MEANINGS, CloseCode, Reaction, reaction

_log = logging.getLogger("mobilesync.client")

Connect = Callable[[], Awaitable[Stream]]

_STATIC_TOKEN_HINT = "give a callable as token, or log in with a new token"  # noqa: S105 - advice
_STOP_HINTS = {
    CloseCode.REPLACED: "only one connection per device: give each installation its own device id",
    CloseCode.UNSUPPORTED_VERSION: "update the app: its SDK is too old or too new for this server",
    CloseCode.UNKNOWN_APP: "check the app name and that the server serves it",
}


class Connector:
    """`run` is its task; everything else may be called from anywhere on the loop."""

    def __init__(
        self,
        connect: Connect,
        credentials: Credentials,
        profile: Profile,
        surroundings: Surroundings,
        reconnect: Reconnect,
        clock: Clock,
        told: Callable[[ClientEvent], None],
    ) -> None:
        """`told(event)` hears each change of state."""
        self._connect = connect
        self.credentials = credentials
        self._profile = profile
        self._around = surroundings
        self._reconnect = reconnect
        self._clock = clock
        self._told = told
        self._session: Session | None = None
        self._learned = UNLEARNED
        self._nudged = asyncio.Event()
        self._changed = asyncio.Event()
        self._acks = 0
        self._opened_at_s: float | None = None
        self._broken: Exception | None = None
        self._why = ""
        self.foreground = True
        self.state: ClientEvent | None = None
        self.connects = 0

    # What the app and the handlers do.

    def publish(self, event: ClientEvent) -> None:
        """The state is now this."""
        if isinstance(event, Connected) and self._opened_at_s is None:
            self._opened_at_s = self._clock.monotonic_s()
            self.connects += 1
        if event == self.state:
            return
        if isinstance(event, Waiting):
            self._why = event.why
        self.state = event
        self._changed.set()
        self._told(event)

    def moved(self, channel: Channel) -> None:
        """A processed point, or why it does not move, may have changed; the inbox may have room."""
        self._around.room.set()
        if self._session is not None:
            self._session.acks.moved([channel])

    def switch(self, credentials: Credentials, token: str | None) -> None:
        """The device belongs to another user, or shows another token. `token` is None when it has
        to be asked for: at the next connect."""
        self.credentials = credentials
        if self._session is not None:
            self._session.rebind(credentials.user, token or "")
        self.resume()

    def renew(self, profile: Profile) -> None:
        """The device has changed: log in again at once, which tells the server."""
        self._profile = profile
        why = "the device's attributes have changed"
        if self._session is not None:
            self._session.leave(why)
            self.publish(Waiting(self._clock.wall_ms(), why))
        if not isinstance(self.state, Stopped):
            self._reconnect.forgive()
            self._nudged.set()

    def reconsider(self, biz: str) -> None:
        """The biz has lost its handler: what waits for one may have to be told."""
        if self._session is not None:
            self._session.acks.reconsider(biz)

    def nudge(self, foreground: bool) -> None:
        """The app went to the foreground, where an attempt is due, or to the background."""
        self.foreground = foreground
        if self._session is not None:
            self._session.set_foreground(foreground)
        if foreground and not isinstance(self.state, Stopped):
            self._nudged.set()

    def resume(self) -> None:
        """Something has changed: try again, even after Stopped."""
        if isinstance(self.state, Stopped):
            self.publish(Waiting(self._clock.wall_ms(), "resumed by the app"))
        self._reconnect.forgive()
        self._nudged.set()

    def break_off(self, error: Exception) -> None:
        """The handlers cannot go on, so nothing can: stop, visibly and for good."""
        self._broken = error
        if self._session is not None:
            self._session.give_up(str(error))
        # At once, for the task may wait for room that no handler will make.
        self.publish(_stopped_for(error))
        self._nudged.set()

    async def connected(self) -> None:
        """Return once a session is open for the current user. Raises ClientStopped."""
        while not self._is_connected():
            if isinstance(self.state, Stopped):
                stopped = self.state
                raise ClientStopped(stopped.code, stopped.reason, hint=stopped.hint)
            self._changed.clear()
            await self._changed.wait()

    def _is_connected(self) -> bool:
        match self.state:
            case Connected(user=user):
                return user == self.credentials.user
            case Paused():
                return True
        return False

    def not_connected(self, timeout_s: float) -> NotConnected:
        """Why `connected` did not return in time."""
        because = f": {self._why}" if self._why else ""
        return NotConnected(f"not connected within {timeout_s:g} s{because}")

    @property
    def acks(self) -> int:
        """Ack messages sent so far."""
        return self._acks + (0 if self._session is None else self._session.acks.sent)

    @property
    def beat_interval_s(self) -> int:
        """The heartbeat interval; 0 before the first session."""
        pace = self._learned if self._session is None else self._session.heart.pace
        return pace.interval_s if self.connects else 0

    def farewell(self) -> Stream | None:
        """End the session in good order, and give its stream, if there is one. Call before
        cancelling `run`."""
        return None if self._session is None else self._session.farewell()

    # The task.

    async def run(self) -> None:
        """Until cancelled. What nobody foresaw stops the client visibly."""
        while True:
            try:
                if self._broken is not None:
                    raise self._broken
                await self._round()
            except Exception as error:  # noqa: BLE001 - a dead task would look like a quiet server
                await self._stop(_stopped_for(error))

    async def _round(self) -> None:
        if is_full(self._around.store, self._around.options):
            self.publish(Waiting(None, "the inbox is full"))
            await room(self._around.store, self._around.options, self._around.room)
        self._nudged.clear()
        self.publish(Connecting(self._reconnect.failures + 1))
        credentials = self.credentials
        try:
            token = await credentials.token()
        except TokenFailed as error:
            await self._wait(self._reconnect.after(Ended(error.message)), Ended(error.message))
            return
        if credentials is not self.credentials:
            return
        ended = await self._attempt(credentials.user, token)
        await self._react(ended)

    async def _attempt(self, user: str, token: str) -> Ended:
        self._opened_at_s = None
        try:
            async with asyncio.timeout(self._around.options.connect_timeout_s):
                stream = await self._connect()
        except (OSError, LinkLost) as error:
            return Ended(f"no connection: {type(error).__name__}: {error}".rstrip(": "))
        if user != self.credentials.user:
            stream.close()
            return Ended("the user changed meanwhile")
        session = Session(
            stream,
            self._around,
            self._profile,
            user=user,
            token=token,
            foreground=self.foreground,
            learned=self._learned,
            publish=self.publish,
        )
        self._session = session
        try:
            ended = await session.run()
        finally:
            self._session = None
            self._acks += session.acks.sent
            self._learned = session.heart.pace
        return ended.of_session(self._lasted_s(), session.belonging.token)

    def _lasted_s(self) -> float:
        if self._opened_at_s is None:
            return 0.0
        return self._clock.monotonic_s() - self._opened_at_s

    async def _react(self, ended: Ended) -> None:
        match reaction(ended.code):
            case Reaction.STOP:
                await self._stop(Stopped(ended.code, ended.why, _stop_hint(ended.code)))
            case Reaction.REAUTHENTICATE:
                if self.credentials.refuse(ended.token):
                    fresh = await self._has_other_token(ended.token)
                    await self._wait(self._reconnect.after(ended, at_once_once=fresh), ended)
                else:
                    await self._stop(Stopped(ended.code, ended.why, _STATIC_TOKEN_HINT))
            case Reaction.RETRY:
                await self._wait(self._reconnect.after(ended), ended)

    async def _has_other_token(self, refused: str) -> bool:
        try:
            return await self.credentials.token() != refused
        except TokenFailed:
            # The next round asks again, and tells why it fails.
            return False

    async def _wait(self, wait: Wait, ended: Ended) -> None:
        until_ms = self._clock.wall_ms() + round(wait.seconds * 1000)
        self.publish(Waiting(until_ms, ended.why, ended.code))
        await asyncio.sleep(wait.advised_s)
        try:
            async with asyncio.timeout(wait.seconds - wait.advised_s):
                await self._nudged.wait()
        except TimeoutError:
            pass

    async def _stop(self, stopped: Stopped) -> None:
        self._nudged.clear()
        self.publish(stopped)
        await self._nudged.wait()


def _stopped_for(error: Exception) -> Stopped:
    if isinstance(error, ClientStopped):
        return Stopped(error.code, error.reason, error.hint)
    if isinstance(error, StoreDamaged):
        return Stopped(0, error.message, error.hint)
    _log.error("the client failed", exc_info=error)
    hint = "a bug in the SDK, or in what was passed to it; the log has more"
    return Stopped(0, f"{type(error).__name__}: {error}", hint)


def _stop_hint(code: int) -> str:
    if code not in MEANINGS:
        return "update the app: this SDK does not know the code"
    known = CloseCode(code)
    return _STOP_HINTS.get(known, MEANINGS[known])
