"""Do something every so often, for ever: the only place where the engine waits for time.

Strategy: a fixed, small number of tickers serves any number of sessions (heartbeats, sweep,
retention). An action that fails is logged and tried again at the next tick: housekeeping must
not end because of one bad moment.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)


class Ticker:
    """Runs `action` every `interval_s`, the first time after one interval."""

    def __init__(self, name: str, interval_s: float, action: Callable[[], Awaitable[None]]) -> None:
        assert interval_s > 0
        self._name = name
        self._interval_s = interval_s
        self._action = action
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. Call once, inside a running loop."""
        assert self._task is None
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """End; an action that runs is cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self._action()
            except Exception:
                log.exception("tick_failed", ticker=self._name)


async def pause(duration_s: float) -> None:
    """Let others run for `duration_s`."""
    await asyncio.sleep(duration_s)
