"""The one thread that waits for the disk.

Strategy: the event loop writes, this thread syncs, one sync at a time; each outcome goes back to
the loop in one callback. The sync releases the interpreter lock, so the loop runs on meanwhile.

Not here: what is written, and whom it concerns (commit.py).
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

Done = Callable[[Exception | None], None]


class Writer:
    """Runs `sync` in a thread of its own, once per request."""

    def __init__(self, sync: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        self._sync = sync
        self._loop = loop
        self._requests: SimpleQueue[Done | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def request(self, done: Done) -> None:
        """Sync what has been written so far; `done` is called in the loop, with what went wrong
        or None."""
        self._requests.put(done)

    def stop(self) -> None:
        """End the thread after what was requested. Blocks for at most one sync."""
        self._requests.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (done := self._requests.get()) is not None:
            error: Exception | None = None
            try:
                self._sync()
            except Exception as failure:  # noqa: BLE001 - whatever it is, the loop must learn of it
                error = failure
            try:
                self._loop.call_soon_threadsafe(done, error)
            except RuntimeError:
                return  # the loop was closed: nobody is left to be told
