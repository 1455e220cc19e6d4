"""Reads request bodies: bounded in bytes, in time, and in what all of them hold together.

Strategy: what the header announces is judged before a byte is read; what arrives is counted as it
arrives, so that a chunked body cannot lie. A budget over all bodies being read bounds the memory
that many large publishes at once can take; past it they are refused, and told when to come back.

Not here: what the bytes mean (strict_json.py), slow headers (connections.py).

Invariants:
- the budget is given back however reading ends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from mobilesync.api.errors import HttpError
from mobilesync.domain.errors import Overloaded, TooLarge

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Disconnected(Exception):
    """The caller went away before the body was complete: nobody is left to be answered."""


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

    async def read(self, headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> bytes:
        """The whole body, which counts as held until `release(len(body))`.

        Raises TooLarge, Overloaded, Disconnected, HttpError (BODY_TIMEOUT).
        """
        self._check_announced(headers)
        task = asyncio.current_task()
        assert task is not None
        late = False

        def expire() -> None:
            nonlocal late
            late = True
            task.cancel()

        # What asyncio.timeout does, for 2 µs instead of 10: most bodies are there already.
        timer = asyncio.get_running_loop().call_later(self._timeout_s, expire)
        try:
            return await self._collect(receive)
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

    async def _collect(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        more = True
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                part: bytes = message.get("body", b"")
                more = message.get("more_body", False)
                if size + len(part) > self.bytes_max:
                    raise _too_large(self.bytes_max)
                if self._held + len(part) > self._total_bytes_max:
                    raise Overloaded("too much is being sent at once", hint="try again shortly")
                self._held += len(part)
                size += len(part)
                parts.append(part)
        except BaseException:
            self.release(size)
            raise
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _check_announced(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        for name, value in headers:
            if name == b"content-length" and not _fits(value, self.bytes_max):
                raise _too_large(self.bytes_max)


def _fits(announced: bytes, bytes_max: int) -> bool:
    # Long digits first: int() of a megabyte of them is slow.
    return len(announced) <= 15 and announced.isdigit() and int(announced) <= bytes_max


def _too_large(bytes_max: int) -> TooLarge:
    hint = f"at most {bytes_max} bytes; publish in smaller batches"
    return TooLarge("the body is too large", hint=hint)
