"""Hands saved oplogs to their handlers: per channel one at a time and in order.

Strategy: `backlog` holds the channels that may have something to handle; a channel with a handler
and a wanted target gets a task, as long as fewer than `concurrency_max` run. The task takes row
after row and ends when the channel is empty, must rest after a failure, or has had its turn. What
is true is in the store: the backlog only says where to look.

A finished call is marked before the channel's next one begins; marks of calls that finish in the
same turn of the loop share one transaction. A mark that the store cannot write now is kept and
tried again: the call is never repeated for that.

`gate` is the store's: whoever writes holds it, and a transactional handler holds it to its end.

Invariants:
- at most one task per channel; a resting channel has none;
- a call is made only for targets in `targets` at the time it begins.
"""

import asyncio
import functools
import logging
import random
from collections.abc import Callable, Collection, Iterable, Sequence

from mobilesync.client.clock import Clock
from mobilesync.client.errors import ClientError, StoreUnavailable
from mobilesync.client.events import (
    ChannelReset,
    ListenerFailed,
    Parked,
    ParkedOplog,
    ReceivedOplog,
    WithdrawnOplogs,
)
from mobilesync.client.handlers import Handler, Handlers, call
from mobilesync.client.inbox import Channel, InboxRow
from mobilesync.client.local_store import LocalStore
from mobilesync.client.options import ClientOptions

_log = logging.getLogger("mobilesync.client")

TURN_ROWS_MAX = 32
"""Rows of one channel before others get its place."""
_ERROR_CHARS_MAX = 500
_TROUBLE_FAILURES = 4
"""A store that cannot write is waited for as long as a handler that failed so often."""
_DOUBLINGS_MAX = 30


class Dispatcher:
    """Runs handlers from `start` to `stop`."""

    def __init__(
        self,
        store: LocalStore,
        gate: asyncio.Lock,
        handlers: Handlers,
        *,
        clock: Clock,
        chance: random.Random,
        options: ClientOptions,
        moved: Callable[[Channel], None],
        told: Callable[[Parked | ListenerFailed], None],
        broken: Callable[[Exception], None],
    ) -> None:
        """`moved(channel)`: its processed point, or why that does not move, may have changed, and
        the inbox may have more room.
        `broken(error)`: the store is beyond use."""
        self._store = store
        self._gate = gate
        self._handlers = handlers
        self._clock = clock
        self._chance = chance
        self._options = options
        self._moved = moved
        self._told = told
        self._broken = broken
        self.targets: Collection[str] = ()
        self._backlog: dict[Channel, None] = {}
        self._running: dict[Channel, asyncio.Task[None]] = {}
        self._resting: dict[Channel, asyncio.TimerHandle] = {}
        self._marks: dict[int, Channel] = {}
        self._open = False
        self.handled = 0
        self.failed = 0

    def start(self) -> None:
        """Handle what an earlier run left behind, and whatever comes. Raises store errors."""
        now_ms = self._clock.wall_ms()
        for parked in self._store.recover(self._options.attempts_max, now_ms):
            # Later: the app registers its listeners right after it has started the client.
            asyncio.get_running_loop().call_soon(self._told, Parked(parked))
        self._open = True
        self.wake(self._store.waiting())

    def wake(self, channels: Iterable[Channel] = ()) -> None:
        """These channels have something to handle, or handlers or targets have changed."""
        self._backlog.update(dict.fromkeys(channels))
        while self._open and len(self._running) < self._options.concurrency_max:
            channel = next(filter(self._ready, self._backlog), None)
            if channel is None:
                return
            # To the end, so that every channel gets its turn.
            del self._backlog[channel]
            self._backlog[channel] = None
            task = asyncio.get_running_loop().create_task(self._turn(channel))
            self._running[channel] = task
            task.add_done_callback(functools.partial(self._ended, channel))

    def switch(self, targets: Collection[str]) -> None:
        """From now on calls are made for `targets` only."""
        self.targets = targets
        self.wake()

    def check_outside(self) -> None:
        """Raises ClientError when a handler calls this: it cannot wait for its own end."""
        if asyncio.current_task() in self._running.values():
            hint = "let the handler return, and close from elsewhere"
            raise ClientError("a handler cannot close its own client", hint=hint)

    async def stop(self) -> None:
        """Cancel calls that run, and wait for their end."""
        self.abort()
        tasks = list(self._running.values())
        await asyncio.gather(*tasks, return_exceptions=True)
        # From Python 3.12 on gather does not yield for tasks that were done before: their
        # callbacks, which clear this, run in this turn of the loop.
        await asyncio.sleep(0)

    def save_marks(self) -> None:
        """After `stop`: keep the marks of calls that finished, and excuse those that were cut off.

        Raises StoreUnavailable, StoreDamaged: then finished calls are made again.
        """
        assert not self._running
        self._store.finish(list(self._marks))
        self._store.release()
        for channel in self._marks.values():
            self._moved(channel)

    def abort(self) -> None:
        """Cancel everything at once and write nothing, as if the process died."""
        self._open = False
        for timer in self._resting.values():
            timer.cancel()
        self._resting.clear()
        for task in self._running.values():
            task.cancel()

    def _ready(self, channel: Channel) -> bool:
        biz, target = channel
        return (
            channel not in self._running
            and channel not in self._resting
            and target in self.targets
            and self._handlers.of(biz) is not None
        )

    def _ended(self, channel: Channel, task: asyncio.Task[None]) -> None:
        del self._running[channel]
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._open = False
            self._broken(error)
        self.wake()

    async def _turn(self, channel: Channel) -> None:
        for _ in range(TURN_ROWS_MAX):
            handler = self._handlers.of(channel[0])
            if handler is None or channel[1] not in self.targets:
                return
            try:
                async with self._gate:
                    row = self._store.take(channel)
            except StoreUnavailable as error:
                self._rest(channel, _TROUBLE_FAILURES, str(error))
                return
            if row is None:
                self._backlog.pop(channel, None)
                return
            if not await self._handle(row, handler):
                return

    async def _handle(self, row: InboxRow, handler: Handler) -> bool:
        """Whether the channel may go on to its next row."""
        error = "its calls were cut off too often"
        if row.failures < self._options.attempts_max:
            try:
                marked = await self._call(row, handler)
            except StoreUnavailable as unavailable:
                # The device's trouble and not the handler's: it does not count.
                self._rest(row.channel, _TROUBLE_FAILURES, str(unavailable))
                return False
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                error = "the handler was cancelled from inside"
            except Exception as raised:  # noqa: BLE001 - the app's handler may raise anything
                error = f"{type(raised).__name__}: {raised}"[:_ERROR_CHARS_MAX]
                _log.warning("the handler of %s failed: %s", row.channel[0], type(raised).__name__)
            else:
                self.handled += isinstance(row.item, ReceivedOplog)
                if not marked:
                    await self._mark(row)
                self._moved(row.channel)
                return True
        return await self._fail(row, error)

    async def _call(self, row: InboxRow, handler: Handler) -> bool:
        """Call who is to be called for `row`; whether the row is finished in the store already."""
        if not isinstance(row.item, ReceivedOplog):
            async with asyncio.timeout(self._options.handler_timeout_s):
                for listener in self._listeners(row.item):
                    await call(listener, row.item)
            return False
        if not handler.transactional:
            async with asyncio.timeout(self._options.handler_timeout_s):
                await call(handler.function, row.item)
            return False
        async with self._gate:
            with self._store.handling(row.key) as transaction:
                async with asyncio.timeout(self._options.handler_timeout_s):
                    await call(handler.function, row.item, transaction)
        return True

    def _listeners(self, what: ChannelReset | WithdrawnOplogs) -> Sequence[Callable[..., object]]:
        if isinstance(what, ChannelReset):
            return self._handlers.reset_listeners
        listener = self._handlers.of_withdrawn(what.biz)
        return () if listener is None else (listener,)

    async def _mark(self, row: InboxRow) -> None:
        self._marks[row.key] = row.channel
        # Calls of other channels that finish in this turn of the loop join the transaction.
        await asyncio.sleep(0)
        tries = 0
        while row.key in self._marks:
            try:
                async with self._gate:
                    # Whoever has the gate first marks for all that wait for it.
                    if row.key in self._marks:
                        self._store.finish(list(self._marks))
                        self._marks.clear()
            except StoreUnavailable as error:
                tries += 1
                _log.warning("a finished call could not be marked: %s", error)
                await asyncio.sleep(self._backoff_s(tries))

    async def _fail(self, row: InboxRow, error: str) -> bool:
        self.failed += 1
        failures = row.failures + 1
        final = failures >= self._options.attempts_max
        now_ms = self._clock.wall_ms()
        try:
            async with self._gate:
                # Withdrawn meanwhile: nobody wants it to succeed any more.
                gone = self._store.drop_withdrawn(row.key)
                if final and not gone and not isinstance(row.item, ReceivedOplog):
                    self._store.finish([row.key])
                elif not gone:
                    self._store.fail(row.key, error, now_ms if final else None)
        except StoreUnavailable as unavailable:
            self._rest(row.channel, _TROUBLE_FAILURES, str(unavailable))
            return False
        # Also when it is tried again, for an ack may say that it has failed.
        self._moved(row.channel)
        if gone:
            return True
        if not final:
            self._rest(row.channel, failures, error)
            return False
        if isinstance(row.item, ReceivedOplog):
            self._told(Parked(ParkedOplog(row.key, row.item, error, now_ms)))
        else:
            self._told(ListenerFailed(row.item, error))
        return True

    def _rest(self, channel: Channel, failures: int, why: str) -> None:
        if not self._open:
            return
        delay_s = self._backoff_s(failures)
        _log.info("%s rests for %.1f s: %s", channel[0], delay_s, why)
        loop = asyncio.get_running_loop()
        self._resting[channel] = loop.call_later(delay_s, self._rested, channel)

    def _rested(self, channel: Channel) -> None:
        self._resting.pop(channel, None)
        self.wake([channel])

    def _backoff_s(self, failures: int) -> float:
        options = self._options
        bound_s = options.handler_backoff_s * 2 ** min(failures - 1, _DOUBLINGS_MAX)
        return self._chance.uniform(0, min(options.handler_backoff_max_s, bound_s))
