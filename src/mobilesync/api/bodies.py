"""Reads request bodies: bounded in bytes, in time, and in what all of them hold together.

Strategy: what the header announces is judged before a byte is read; what arrives is counted as it
arrives, so that a chunked body cannot lie. A budget over all bodies being read bounds the memory
that many large publishes at once can take; past it they are refused, and told when to come back.

Not here: what the bytes mean (strict_json.py), slow headers (connections.py).

Invariants:
- the budget is given back however reading ends.
"""

import asyncio

from mobilesync.api.errors import HttpError
from mobilesync.api.incoming import Incoming
from mobilesync.domain.errors import Overloaded, TooLarge


class Bodies:
    """Reads one body after another, for all requests of an API."""

    def __init__(self, *, bytes_max: int, total_bytes_max: int, timeout_s: float) -> None:
        assert 0 < bytes_max <= total_bytes_max
        assert timeout_s > 0
        self.bytes_max = bytes_max
        self._total_bytes_max = total_bytes_max
        self._timeout_s = timeout_s
        self._held = 0

    @property
    def held_bytes(self) -> int:
        """What is being read or used now, in all requests together."""
        return self._held

    async def read(self, incoming: Incoming) -> bytes:
        """The whole body, which counts as held until `release(len(body))`.

        Raises TooLarge, Overloaded, Disconnected, HttpError (BODY_TIMEOUT).
        """
        announced = incoming.headers.get(b"content-length")
        if announced is not None and not _fits(announced, self.bytes_max):
            raise _too_large(self.bytes_max)
        if incoming.complete:
            # As most are. No timer, and nothing to join.
            body = incoming.take()
            self._hold(len(body), len(body))
            return body
        return await self._in_time(incoming)

    async def _in_time(self, incoming: Incoming) -> bytes:
        task = asyncio.current_task()
        assert task is not None
        late = False

        def expire() -> None:
            nonlocal late
            late = True
            task.cancel()

        # What asyncio.timeout does, for 2 µs instead of 10.
        timer = asyncio.get_running_loop().call_later(self._timeout_s, expire)
        try:
            return await self._collect(incoming)
        except asyncio.CancelledError:
            if not late or task.uncancel() > 0:
                raise
            raise self._too_slow() from None
        finally:
            timer.cancel()

    def release(self, size: int) -> None:
        """`size` bytes of a body are no longer needed."""
        self._held -= size
        assert self._held >= 0

    def _too_slow(self) -> HttpError:
        hint = f"send it within {self._timeout_s:g} seconds"
        headers = [(b"connection", b"close")]
        return HttpError("BODY_TIMEOUT", "the body came too slowly", hint=hint, headers=headers)

    async def _collect(self, incoming: Incoming) -> bytes:
        parts: list[bytes] = []
        size = 0
        complete = False
        try:
            while not complete:
                await incoming.wait()
                complete = incoming.complete
                part = incoming.take()
                self._hold(len(part), size + len(part))
                size += len(part)
                parts.append(part)
        except BaseException:
            self.release(size)
            raise
        return b"".join(parts)

    def _hold(self, part_bytes: int, body_bytes: int) -> None:
        if body_bytes > self.bytes_max:
            raise _too_large(self.bytes_max)
        if self._held + part_bytes > self._total_bytes_max:
            raise Overloaded("too much is being sent at once", hint="try again shortly")
        self._held += part_bytes


def _fits(announced: bytes, bytes_max: int) -> bool:
    # Long digits first: int() of a megabyte of them is slow.
    return len(announced) <= 15 and announced.isdigit() and int(announced) <= bytes_max


def _too_large(bytes_max: int) -> TooLarge:
    hint = f"at most {bytes_max} bytes; publish in smaller batches"
    return TooLarge("the body is too large", hint=hint)
