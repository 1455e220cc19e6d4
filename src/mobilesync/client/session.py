"""One session with the server, from Hello to the end of its connection (spec §6).

Strategy: a reader that takes what one read brings, saves all its pushes in one local transaction,
wakes the handlers and lets the acks follow. Whatever does not fit ends the session with a Close;
the next Hello puts it right, so there is no repair in the middle of a conversation.

A user change is a Bind or Unbind in flight: until its Welcome comes, pushes for users are dropped,
for nobody can know whose they are. One is in flight at a time; the last wish wins.

Not here: when to connect (connector.py), calling handlers (dispatcher.py).

Invariants:
- a Push is acked only after `LocalStore.apply` has returned;
- while the inbox is full nothing is read: the server's window and TCP hold the rest back.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mobilesync.client.acks import Acks
from mobilesync.client.belonging import Belonging
from mobilesync.client.errors import ClientStopped, LinkLost, StoreUnavailable
from mobilesync.client.events import Connected, Paused, ReceivedNotice
from mobilesync.client.heart import Heart
from mobilesync.client.inbox import Channel
from mobilesync.client.local_store import LocalStore, PushRefused
from mobilesync.client.options import ClientOptions
from mobilesync.client.reconnect import Ended
from mobilesync.client.stream import LINGER_S, Stream
from mobilesync.protocol import limits
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.connection import Connection, close_for
from mobilesync.protocol.errors import MessageRefused, ProtocolFault
from mobilesync.protocol.heartbeat import Rhythm
from mobilesync.protocol.transitions import Role
from mobilesync.protocol.versions import accept


@dataclass(frozen=True, slots=True)
class Profile:
    """What Hello says about the device besides its user."""

    device: str
    os: str
    app_version: str
    sdk: str
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a session works on; it outlives the session."""

    store: LocalStore
    gate: asyncio.Lock
    options: ClientOptions
    saved: Callable[[Sequence[Channel], int], None]
    """These channels have something to handle; so many oplogs were saved."""
    notice: Callable[[ReceivedNotice], None]
    room: asyncio.Event
    """Set when the inbox may have room again."""
    handles: Callable[[str], bool]
    """Whether the app has a handler for a biz."""


class Session:
    """One conversation over `stream`."""

    def __init__(
        self,
        stream: Stream,
        surroundings: Surroundings,
        profile: Profile,
        *,
        user: str,
        token: str,
        foreground: bool,
        learned: Rhythm,
        publish: Callable[[Connected | Paused], None],
    ) -> None:
        self._stream = stream
        self._around = surroundings
        self._store = surroundings.store
        self._profile = profile
        self.belonging = Belonging(profile.device, user, token)
        self._foreground = self._said_foreground = foreground
        self._publish = publish
        self._connection = Connection(Role.CLIENT)
        self._welcome: m.Welcome | None = None
        self._why = ""
        self._failure: Exception | None = None
        silent = functools.partial(self.give_up, "the server did not answer a Ping in time")
        self.heart = Heart(learned, surroundings.options.pong_timeout_s, self._ping, silent)
        self._linger: asyncio.TimerHandle | None = None
        delay_s = surroundings.options.ack_delay_s
        self.acks = Acks(self._store, delay_s, self._send, self._may_say, surroundings.handles)

    @property
    def opened(self) -> bool:
        """Whether a Welcome has come."""
        return self._welcome is not None

    async def run(self) -> Ended:
        """Converse to the end. Raises StoreDamaged, ClientStopped; the stream is closed then too.

        Cancelled, it says nothing more: `farewell` comes before that.
        """
        acking: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(self._around.options.connect_timeout_s):
                await self._greet()
                messages = await self._read()
            acking = asyncio.get_running_loop().create_task(self._ack())
            while True:
                ended = await self._receive(messages)
                if ended is not None:
                    return ended
                messages = await self._read()
        except MessageRefused as refused:
            # The server would refuse it every time.
            hint = "check what was passed to the client"
            raise ClientStopped(0, f"the SDK may not say this: {refused}", hint=hint) from None
        except ProtocolFault as fault:
            self._send(close_for(fault))
            return Ended(f"the server broke the protocol: {fault.detail}")
        except PushRefused as error:
            self._send(m.Close(CloseCode.UNEXPECTED_MESSAGE, error.message[:256]))
            return Ended(error.message)
        except StoreUnavailable as error:
            self._send(m.Close(CloseCode.NORMAL, "the device cannot save now"))
            return Ended(str(error))
        except (OSError, LinkLost) as error:
            if self._failure is not None:
                raise self._failure from None
            if isinstance(error, TimeoutError) and not self.opened:
                return Ended("the server sent no Welcome in time")
            return Ended(self._why or f"the link was lost: {error}")
        finally:
            self.heart.stop()
            for each in (acking, self._linger):
                if each is not None:
                    each.cancel()
            self._stream.close()

    def rebind(self, user: str, token: str) -> None:
        """From now on the device belongs to `user`, or to nobody."""
        self.belonging.wish(user, token)
        if self.belonging.due():
            self._bind()

    def set_foreground(self, foreground: bool) -> None:
        """Tell the server, once it is open; coming to the foreground also tests the link."""
        self._foreground = foreground
        if self.opened and not self._connection.closed():
            self._say_state()
            if foreground:
                self.heart.beat()

    def farewell(self) -> Stream:
        """Say what is still to be said, and Close. The stream may need time to let it leave."""
        if self.opened and not self._connection.closed():
            self.acks.flush()
        self._send(m.Close(CloseCode.NORMAL))
        self._stream.close()
        return self._stream

    def leave(self, why: str) -> None:
        """End it with a Close; `run` returns when the server has ended it too, or soon after.
        Acks can wait: the next Hello says it all."""
        self._why = self._why or why
        # What is being left is no connection any more.
        self._publish = lambda _event: None
        self._send(m.Close(CloseCode.NORMAL))
        self._stream.close()
        if self._linger is None:
            loop = asyncio.get_running_loop()
            self._linger = loop.call_later(LINGER_S, self._stream.abort)

    def give_up(self, why: str) -> None:
        """End it without a word; `run` returns then."""
        self._why = self._why or why
        self._stream.abort()

    # Sending.

    async def _greet(self) -> None:
        belonging = self.belonging
        points = self._points(belonging.targets)
        profile = self._profile
        hello = m.Hello(
            limits.VERSION_MIN,
            limits.VERSION_MAX,
            belonging.token,
            profile.device,
            belonging.user,
            points,
            profile.os,
            profile.app_version,
            profile.sdk,
            self._foreground,
            0,
            profile.attributes,
            [m.WITHDRAWALS],
        )
        self._send(hello)
        self.acks.said(points)
        await self._stream.drain()

    def _points(self, targets: frozenset[str]) -> list[m.SyncPoint]:
        points = self._store.points(targets)
        if len(points) > limits.POINTS_MAX:
            reason = f"{len(points)} channels; the protocol allows {limits.POINTS_MAX}"
            raise ClientStopped(0, reason, hint="use fewer bizs")
        return points

    def _bind(self) -> None:
        self.acks.flush()
        belonging = self.belonging
        belonging.ask()
        if not belonging.user:
            self._send(m.Unbind())
            return
        points = self._points(frozenset({f"user:{belonging.user}"}))
        self._send(m.Bind(belonging.token, belonging.user, points))
        self.acks.said(points)

    def _say_state(self) -> None:
        if self._said_foreground != self._foreground:
            self._said_foreground = self._foreground
            self._send(m.State(self._foreground, self.heart.next_beat_s))

    def _may_say(self, channel: Channel) -> bool:
        return self.opened and self.belonging.tells(channel[1])

    def _send(self, message: m.Message) -> None:
        if self._connection.closed():
            return
        try:
            self._stream.write(self._connection.send(message))
        except OSError as error:
            self.give_up(f"the link was lost: {error}")

    def _ping(self, next_beat_s: int) -> None:
        self._send(m.Ping(next_beat_s))

    async def _ack(self) -> None:
        try:
            await self.acks.run(self._stream)
        except (OSError, StoreUnavailable) as error:
            self.give_up(f"an ack could not be sent: {error}")
        except Exception as error:  # noqa: BLE001 - the reader raises it: it has a listener
            self._failure = error
            self._stream.abort()

    # Receiving.

    async def _read(self) -> list[m.Message]:
        """What one read completes; raises LinkLost at the end of the stream."""
        while True:
            data = await self._stream.read()
            if not data:
                raise LinkLost("the server ended the connection")
            messages = self._connection.receive_data(data)
            self.heart.heard(pong=any(isinstance(each, m.Pong) for each in messages))
            if messages:
                return messages

    async def _receive(self, messages: list[m.Message]) -> Ended | None:
        pushes: list[m.Push] = []
        for message in messages:
            if isinstance(message, m.Push):
                pushes.append(message)
                continue
            await self._apply(pushes)
            pushes = []
            match message:
                case m.Welcome():
                    await self._welcomed(message)
                case m.Reset():
                    assert self._welcome is not None, "the table lets no Reset in before Welcome"
                    await self._reset(message, self._welcome.epoch, answer=False)
                case m.Notice():
                    self._notice(message)
                case m.Close():
                    return _ended(message)
                case _:
                    # A Pong has done its work; the rest no server may say in any state.
                    assert isinstance(message, m.Pong)
        await self._apply(pushes)
        return None

    async def _welcomed(self, welcome: m.Welcome) -> None:
        self.belonging.check(welcome.user)
        accept(welcome.version, limits.VERSION_MIN, limits.VERSION_MAX)
        if self._welcome is not None and welcome.epoch != self._welcome.epoch:
            raise ProtocolFault(CloseCode.INVALID_FIELD, "the epoch changed inside a session")
        # Before anything may be acked: an ack of a point that was reset would be a lie.
        for reset in welcome.resets:
            await self._reset(reset, welcome.epoch, answer=True)
        self._welcome = welcome
        self.belonging.answered()
        if not self.heart.started:
            self.heart.start(welcome.beat_min_s, welcome.beat_max_s)
        self._say_state()
        if self.belonging.due():
            self._bind()
            return
        self.acks.moved(())
        self._publish(self._connected(welcome))

    def _connected(self, welcome: m.Welcome) -> Connected:
        return Connected(self.belonging.user, welcome.session, welcome.epoch)

    async def _apply(self, pushes: Sequence[m.Push]) -> None:
        if not pushes:
            return
        assert self._welcome is not None, "the transition table lets no Push in before Welcome"
        async with self._saving():
            # Only now: the user may have changed while somebody else had the gate.
            pushes = [each for each in pushes if self.belonging.takes(each.target)]
            if not pushes:
                return
            self._store.apply(pushes, self._welcome.epoch)
        count = sum(len(each.oplogs) for each in pushes)
        channels = [(each.biz, each.target) for each in pushes]
        self.acks.moved(channels, count)
        self._around.saved(channels, count)
        await self._wait_for_room()

    @asynccontextmanager
    async def _saving(self) -> AsyncIterator[None]:
        """Hold the store. While a transactional handler has it, nothing is read: not a Pong."""
        self.heart.deafen(True)
        try:
            async with self._around.gate:
                yield
        finally:
            self.heart.deafen(False)

    async def _reset(self, reset: m.Reset, epoch: int, *, answer: bool) -> None:
        if reset.epoch != epoch:
            raise ProtocolFault(CloseCode.INVALID_FIELD, "a Reset to another epoch")
        if answer and reset.target not in self.belonging.targets:
            raise ProtocolFault(CloseCode.INVALID_FIELD, "a Reset of another device's channel")
        async with self._saving():
            if not answer and not self.belonging.takes(reset.target):
                return
            self._store.reset(reset)
        channel = (reset.biz, reset.target)
        self.acks.was_reset(channel)
        self._around.saved([channel], 0)

    def _notice(self, notice: m.Notice) -> None:
        if self.belonging.takes(notice.target):
            received = ReceivedNotice(
                notice.biz, notice.target, notice.payload, notice.published_at_ms
            )
            self._around.notice(received)

    async def _wait_for_room(self) -> None:
        if not is_full(self._store, self._around.options):
            return
        assert self._welcome is not None
        self._publish(Paused("the inbox is full"))
        self.heart.deafen(True)
        await room(self._store, self._around.options, self._around.room)
        self.heart.deafen(False)
        self._publish(self._connected(self._welcome))


def is_full(store: LocalStore, options: ClientOptions) -> bool:
    """Whether nothing more may be read."""
    return (
        store.inbox_count >= options.inbox_count_max or store.inbox_bytes >= options.inbox_bytes_max
    )


async def room(store: LocalStore, options: ClientOptions, freed: asyncio.Event) -> None:
    """Return once the inbox is no longer full."""
    while is_full(store, options):
        freed.clear()
        await freed.wait()


def _ended(close: m.Close) -> Ended:
    why = close.reason or f"the server closed with code {close.code}"
    return Ended(why, close.code, close.retry_after_ms, close.retry_spread_ms)
