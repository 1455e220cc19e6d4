"""A link in memory whose other end takes what it gets only when the test lets it."""

import asyncio
from collections.abc import Callable

HIGH_BYTES = 32 * 1024
LOW_BYTES = 8 * 1024


class MemoryLink:
    """A `Link` for the engine. Behaves as the native door does: `drained` is said once the buffer
    has fallen to its low mark after it was above its high mark."""

    def __init__(
        self, peer: str = "memory", *, high_bytes: int = HIGH_BYTES, low_bytes: int = LOW_BYTES
    ) -> None:
        self.peer = peer
        self._high_bytes = high_bytes
        self._low_bytes = low_bytes
        self.deliver: Callable[[bytes], None] = lambda data: None
        """Where bytes for the device go."""
        self.on_drained: Callable[[], None] = lambda: None
        self.on_lost: Callable[[], None] = lambda: None
        self.holding = False
        """Whether the kernel takes nothing."""
        self.closing = self.aborted = self.is_lost = False
        self.writes = 0
        self.most_buffered = 0
        self._buffer = bytearray()
        self._above = False
        self._flushing = False

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if self.closing or self.is_lost:
            return
        self.writes += 1
        self._buffer += data
        self._above = self._above or len(self._buffer) > self._high_bytes
        self.most_buffered = max(self.most_buffered, len(self._buffer))
        self._flush_soon()

    def buffered_bytes(self) -> int:
        return len(self._buffer)

    def close(self) -> None:
        self.closing = True
        self._flush_soon()

    def abort(self) -> None:
        self.closing = self.aborted = True
        self._buffer.clear()
        self._flush_soon()

    # For the test ------------------------------------------------------------------------

    def hold(self) -> None:
        """Take nothing from here on."""
        self.holding = True

    def release(self) -> None:
        """Take everything again."""
        self.holding = False
        self._flush_soon()

    def lose(self) -> None:
        """The network is gone: what was not taken is lost too."""
        self.abort()

    def _flush_soon(self) -> None:
        # Never inside the engine's own call, as no event loop does.
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self.is_lost:
            return
        if not self.holding and self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            self.deliver(data)
        if self._above and len(self._buffer) <= self._low_bytes:
            self._above = False
            if not self.closing:
                self.on_drained()
        if self.closing and not self._buffer:
            self.is_lost = True
            self.on_lost()
