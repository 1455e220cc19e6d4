"""Tells listeners what is not stored: notices and states, in order, one at a time.

Strategy: a bounded queue and one task, so that a slow listener never holds up the session. At the
bound the oldest is dropped and counted: a notice is only for who listens now, and of states the
newest matters. A listener that raises is logged and not called again for the same thing.

Not here: oplogs and resets, which are stored until they are handled (dispatcher.py).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from mobilesync.client.events import ClientEvent, ReceivedNotice
from mobilesync.client.handlers import Handlers, call

_log = logging.getLogger("mobilesync.client")

Item = ReceivedNotice | ClientEvent


class Bulletin:
    """The queue and its task; `run` is the task."""

    def __init__(self, handlers: Handlers, items_max: int, timeout_s: float) -> None:
        self._handlers = handlers
        self._items: deque[Item] = deque()
        self._items_max = items_max
        self._timeout_s = timeout_s
        self._filled = asyncio.Event()
        self.dropped = 0

    def post(self, item: Item) -> None:
        """Tell whoever listens, in time. Never blocks."""
        if not self._functions(item):
            return
        if len(self._items) >= self._items_max:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)
        self._filled.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self._filled.wait()
            await self.flush()

    async def flush(self) -> None:
        """Deliver what is queued now."""
        while self._items:
            item = self._items.popleft()
            for function in self._functions(item):
                await self._tell(function, item)
        self._filled.clear()

    def _functions(self, item: Item) -> tuple[Callable[..., object], ...]:
        if isinstance(item, ReceivedNotice):
            function = self._handlers.of_notice(item.biz)
            return () if function is None else (function,)
        return tuple(self._handlers.state_listeners)

    async def _tell(self, function: Callable[..., object], item: Item) -> None:
        what = type(item).__name__
        try:
            async with asyncio.timeout(self._timeout_s):
                await call(function, item)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            _log.warning("a listener of %s was cancelled", what)
        except Exception:  # noqa: BLE001 - the app's function may raise anything
            _log.exception("a listener of %s failed", what)
