"""Tells the server how far the device is.

Strategy: note which channels have moved; one task says so for all of them together, within
`delay_s`, and at once when much was saved, so that the server's window does not close during a
catch-up. An ack is cumulative and read from the store when it is sent, so only the newest counts.

An ack also says why the next oplog is not handled yet (spec §11.4). That it is no longer so is
worth no bytes: the next move of the point tells it.

Invariants:
- nothing is said twice (no news, no bytes);
- what is said is durable: the points are read from the store.
"""

import asyncio
from collections.abc import Callable, Iterable

from mobilesync.client.inbox import Channel
from mobilesync.client.local_store import LocalStore
from mobilesync.client.stream import Stream
from mobilesync.protocol.codes import Waits
from mobilesync.protocol.limits import POINTS_MAX
from mobilesync.protocol.messages import Ack, Acked, SyncPoint

URGENT_COUNT = 64
"""Oplogs saved since the last ack that are worth one at once."""


class Acks:
    """The acks of one session."""

    def __init__(
        self,
        store: LocalStore,
        delay_s: float,
        send: Callable[[Ack], None],
        may_say: Callable[[Channel], bool],
        handles: Callable[[str], bool],
    ) -> None:
        """`may_say(channel)` is whether the server expects to hear of the channel now, and
        `handles(biz)` whether the app has a handler for the biz."""
        self._store = store
        self._delay_s = delay_s
        self._send = send
        self._may_say = may_say
        self._handles = handles
        self._said: dict[Channel, tuple[int, int, int]] = {}
        self._moved: dict[Channel, None] = {}
        self._saved = 0
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self.sent = 0

    def said(self, points: Iterable[SyncPoint]) -> None:
        """A Hello or Bind has told the server these, but not why some wait: that comes with the
        next flush, if there is a reason."""
        for each in points:
            channel = (each.biz, each.target)
            self._said[channel] = (each.received, each.processed, int(Waits.NOTHING))
            if each.processed < each.received:
                self._moved[channel] = None

    def moved(self, channels: Iterable[Channel], saved: int = 0) -> None:
        """These points may have moved; `saved` oplogs came with it."""
        self._moved.update(dict.fromkeys(channels))
        self._saved += saved
        self._wake.set()
        if self._saved >= URGENT_COUNT:
            self._urgent.set()

    def was_reset(self, channel: Channel) -> None:
        """The server has replaced this point: what it was told before does not count any more,
        or a device that was rewound and is soon back where it was would never say so."""
        self._said.pop(channel, None)
        self.moved([channel])

    def reconsider(self, biz: str) -> None:
        """The biz has lost its handler."""
        self.moved([channel for channel in self._said if channel[0] == biz])

    def flush(self) -> None:
        """Say now what may be said; the rest is kept for later."""
        self._saved = 0
        self._wake.clear()
        self._urgent.clear()
        say = [each for each in self._moved if self._may_say(each)]
        for each in say:
            del self._moved[each]
        acked = map(self._news, say)
        news = [each for each in acked if each is not None]
        for begin in range(0, len(news), POINTS_MAX):
            self._send(Ack(news[begin : begin + POINTS_MAX]))
            self.sent += 1

    async def run(self, stream: Stream) -> None:
        """Flush in time until cancelled. Raises OSError when the link is lost."""
        while True:
            await self._wake.wait()
            try:
                async with asyncio.timeout(self._delay_s):
                    await self._urgent.wait()
            except TimeoutError:
                pass
            self.flush()
            # The bound of the write buffer: nothing more is said until this is under way.
            await stream.drain()

    def _news(self, channel: Channel) -> Acked | None:
        if not self._store.holds(channel):
            # Its user was forgotten meanwhile.
            return None
        point = self._store.point(channel)
        now = (point.received, point.processed)
        waits = self._waits(point)
        said = self._said.get(channel)
        if said is not None and said[:2] == now and waits in {said[2], Waits.NOTHING}:
            return None
        self._said[channel] = (*now, waits)
        return Acked(*channel, *now, waits)

    def _waits(self, point: SyncPoint) -> int:
        if point.processed == point.received:
            return int(Waits.NOTHING)
        if not self._handles(point.biz):
            return int(Waits.NO_HANDLER)
        failed = self._store.has_failed((point.biz, point.target))
        return int(Waits.HANDLER_FAILED if failed else Waits.NOTHING)
