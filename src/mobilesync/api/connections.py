"""HTTP connections: uvicorn's, with bounds on what it leaves open.

Strategy: uvicorn parses and answers; this class watches. It refuses connections above a number,
unless one that rests between requests can make room: else whoever keeps enough of them open, even
without a key, would keep everybody out. It ends those that keep the server waiting for a request's
head, or send one too large: without that, silent connections cost nothing to their sender and are
kept for ever (slowloris). What is no HTTP is answered in the one error shape.

Not here: bodies that are slow or large (bodies.py).

Invariants:
- at most one timer for each connection, running only while a head is awaited.
"""

import asyncio
import itertools
from typing import Any, ClassVar, cast

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mobilesync.api.errors import CODES, ErrorAnswer, HttpError, problem

_REASONS = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}

_REFUSALS = itertools.count(1)
"""Such an answer is for no request that the API knows, so it takes its id from here."""


class BoundedConnection(HttpToolsProtocol):
    """One connection. `bounded` makes the class for a server."""

    connections_max: ClassVar[int] = 1000
    head_bytes_max: ClassVar[int] = 32 * 1024
    head_timeout_s: ClassVar[float] = 10.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_bytes = 0
        self._in_head = True
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, because uvloop's transports are not derived from asyncio's.
        super().connection_made(cast("asyncio.Transport", transport))
        if len(self.connections) > self.connections_max and not self._make_room():
            # No answer: writing one costs more than the connection is worth in a flood.
            self.transport.abort()
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_timer is None:
                self._await_head()
        super().data_received(data)
        # Checked afterwards: a head and its body may come in one piece.
        if self._in_head and self._head_bytes > self.head_bytes_max:
            hint = f"at most {self.head_bytes_max} bytes"
            self._refuse(HttpError("HEADERS_TOO_LARGE", "the headers are too large", hint=hint))

    def on_headers_complete(self) -> None:
        self._head_arrived()
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls for bytes that are no HTTP."""
        self._refuse(HttpError("MALFORMED_REQUEST", "this is no HTTP/1.1 request"))

    def _make_room(self) -> bool:
        """End a connection that rests between requests, which its client may expect any time."""
        for other in self.connections:
            if isinstance(other, BoundedConnection) and other._rests():
                other.transport.close()
                return True
        return False

    def _rests(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        answered = cycle is not None and cycle.response_complete
        return answered and not self._head_bytes and not self.transport.is_closing()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._head_is_late)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            hint = f"send them within {self.head_timeout_s:g} seconds"
            self._refuse(HttpError("BODY_TIMEOUT", "the headers came too slowly", hint=hint))
        else:
            self.transport.close()

    def _refuse(self, error: HttpError) -> None:
        """Answer without a request, and end the connection."""
        self._head_arrived()
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            # An answer to an earlier request is being written; another would corrupt it.
            self.transport.close()
            return
        request_id = f"connection-{next(_REFUSALS)}"
        refused = problem(error, request_id)
        body = msgspec.json.encode(ErrorAnswer(refused.body))
        status = CODES[error.code].status
        head = (
            f"HTTP/1.1 {status} ".encode() + _REASONS[status],
            b"content-type: application/json",
            b"content-length: " + str(len(body)).encode(),
            b"x-request-id: " + request_id.encode(),
            b"connection: close",
            b"",
            body,
        )
        self.transport.write(b"\r\n".join(head))
        self.transport.close()


def bounded(
    *, connections_max: int, head_bytes_max: int, head_timeout_s: float
) -> type[BoundedConnection]:
    """The class of connections with these bounds."""
    assert connections_max > 0
    assert head_bytes_max > 0
    assert head_timeout_s > 0
    bounds = {
        "connections_max": connections_max,
        "head_bytes_max": head_bytes_max,
        "head_timeout_s": head_timeout_s,
    }
    return type("Connection", (BoundedConnection,), bounds)
