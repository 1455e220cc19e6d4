"""Tells the server how far the device is.

Strategy: note which channels have moved; one task says so for all of them together, within
`delay_s`, and at once when much was saved, so that the server's window does not close during a
catch-up. An ack is cumulative and read from the store when it is sent, so only the newest counts.

Invariants:
- nothing is said twice (no news, no bytes);
- what is said is durable: the points are read from the store.
"""

import asyncio
from collections.abc import Callable, Iterable

from mobilesync.client.inbox import Channel
from mobilesync.client.local_store import LocalStore
from mobilesync.client.stream import Stream
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
    ) -> None:
        """`may_say(channel)` is whether the server expects to hear of the channel now."""
        self._store = store
        self._delay_s = delay_s
        self._send = send
        self._may_say = may_say
        self._said: dict[Channel, tuple[int, int]] = {}
        self._moved: dict[Channel, None] = {}
        self._saved = 0
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self.sent = 0

    def said(self, points: Iterable[SyncPoint]) -> None:
        """A Hello or Bind has told the server these."""
        for each in points:
            self._said[each.biz, each.target] = (each.received, each.processed)

    def moved(self, channels: Iterable[Channel], saved: int = 0) -> None:
        """These points may have moved; `saved` oplogs came with it."""
        self._moved.update(dict.fromkeys(channels))
        self._saved += saved
        self._wake.set()
        if self._saved >= URGENT_COUNT:
            self._urgent.set()

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
        if self._said.get(channel) == now:
            return None
        self._said[channel] = now
        return Acked(*channel, *now)
