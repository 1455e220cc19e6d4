"""A request as it arrives, and the answer that it gets: all that connections and the API share.

Strategy: the head is complete when a request is made; its body comes in parts, most often before
anybody asks for it. So reading is a matter of a call where it can be, and of waiting where it
must: only then the connection is told, which reads on, or bids the caller to go on sending.

Not here: parsing (parser.py), what a request means (app.py), bounds of bodies (bodies.py).

Invariants:
- parts are kept until they are taken, or the request is over; what comes later is dropped;
- at most one reader waits.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple, Protocol


class Disconnected(Exception):
    """The caller went away before the body was complete: nobody is left to be answered."""


class Answer(NamedTuple):
    """What is sent back, but for what concerns the connection alone."""

    status: int
    head: bytes
    """Lines of headers, each with its end."""
    body: bytes
    close: bool = False
    """Whether the connection must end, since the rest of the request will not be read."""


class Incoming:
    """One request. Made and fed by a connection; read by the API."""

    __slots__ = (
        "_over",
        "_parts",
        "_waiter",
        "complete",
        "gone",
        "headers",
        "held_bytes",
        "last",
        "method",
        "on_taken",
        "on_wait",
        "peer",
        "received_bytes",
        "target",
    )

    def __init__(
        self, method: str, target: bytes, headers: dict[bytes, bytes], peer: str = ""
    ) -> None:
        """`target` is as sent; the names of `headers` are in lower case."""
        self.method = method
        self.target = target
        self.headers = headers
        self.peer = peer
        """The address of whoever sends it; may be empty."""
        self.last = False
        """Whether nothing may follow on its connection."""
        self.complete = False
        """Whether the whole body has arrived."""
        self.gone = False
        """Whether the rest of the body will never arrive."""
        self.held_bytes = 0
        """Of the body, arrived and not taken."""
        self.received_bytes = 0
        self.on_wait: Callable[[], None] | None = None
        """Called before somebody waits for more of the body."""
        self.on_taken: Callable[[], None] | None = None
        """Called when parts were taken, though more are to come."""
        self._parts: list[bytes] = []
        self._over = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def missing_bytes(self) -> int:
        """How much of an announced body is to come; 0 or less where that is not known."""
        return int(self.headers.get(b"content-length", b"0")) - self.received_bytes

    def feed(self, part: bytes) -> None:
        """The next part of the body."""
        self.received_bytes += len(part)
        if not self._over:
            self._parts.append(part)
            self.held_bytes += len(part)
            self._wake()

    def end(self) -> None:
        """The body is complete."""
        self.complete = True
        self._wake()

    def lose(self) -> None:
        """Whoever sent it is gone."""
        self.gone = True
        self._wake()

    def discard(self) -> None:
        """It is answered: nobody will want the rest of the body."""
        self._over = True
        self._parts.clear()
        self.held_bytes = 0

    def take(self) -> bytes:
        """What has arrived of the body since the last time. Raises Disconnected."""
        if self.gone:
            raise Disconnected
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.held_bytes = 0
        if self.on_taken is not None and not self.complete:
            self.on_taken()
        return data

    async def wait(self) -> None:
        """Until there is something to take, or the body is complete. May raise Disconnected, or
        leave that to `take`."""
        while not (self._parts or self.complete or self.gone):
            assert self._waiter is None
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                # After the waiter is there: whoever is told may have more at once.
                if self.on_wait is not None:
                    self.on_wait()
                await self._waiter
            finally:
                self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Answers(Protocol):
    """Whatever answers requests: the API, or a test."""

    async def answer(self, incoming: Incoming) -> Answer | None:
        """The answer; None when the caller went away. Raises CancelledError, and nothing else."""
