"""HTTP/1.1 connections: bytes in, requests to the API one after another, answers out.

Strategy: what is parsed waits in a queue of the connection, and one task answers it in order; the
task is made when a request is there and nobody serves, and ends when none is left. In the common
case a request comes in one piece, so its body is complete before the task begins: one task, one
write, no timer. Deadlines move without a timer of their own: the one timer, when it rings, looks
how far the deadline has moved.

Memory is bounded however the bytes are cut. A large piece is parsed in slices, and while
WAITING_MAX requests wait, the rest is kept as it came and nothing is read. A body that nobody asks
for is read up to BODY_HELD_MAX. While the peer does not take answers, no request is begun.

Who holds a connection open for nothing is ended: one that sends no head (slowloris), none after an
answer, or does not take its answer; above a number of connections one must rest between requests
to make room for another. What is no HTTP is answered in the one error shape.

Not here: parsing (parser.py), what a request means (app.py), bodies that are slow or large
(bodies.py).

Invariants:
- answers are in the order of their requests, and each is one write;
- what follows a request that ends the connection, or a refusal, is not looked at;
- at most one timer and one task for each connection.
"""

import asyncio
import itertools
from collections import deque
from http import HTTPStatus
from typing import cast

import msgspec

from mobilesync.api.errors import CODES, ErrorAnswer, HttpError, problem
from mobilesync.api.incoming import Answer, Answers, Incoming
from mobilesync.api.options import ListenOptions
from mobilesync.api.parser import NotHttp, RequestParser

WAITING_MAX = 16
"""Requests of one connection, with the one that is being answered; a slice may hold more."""
SLICE_BYTES = 4096
"""The shortest request is of 18 bytes: a read of 256 KiB could hold ten thousand."""
BODY_HELD_MAX = 64 * 1024
LINGER_S = 1.0
"""For a peer that still sends to take its last answer: a close would be a reset, which it may see
first (RFC 9112 §9.6). Also for what is under way when something comes that is no HTTP."""

_STATUS_LINES = {
    each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus
}
_CLOSE = b"connection: close\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_REFUSALS = itertools.count(1)
"""Such an answer is for no request that the API knows, so it takes its id from here."""


class Connections:
    """All connections of one listener."""

    def __init__(
        self, api: Answers, options: ListenOptions, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.api = api
        self.options = options
        self.loop = loop
        self.open: set[Connection] = set()
        self.ending = False
        """Whether no connection may live on after its requests."""
        self.orphans: set[asyncio.Task[None]] = set()
        """Of connections that were lost before their request was done."""

    @property
    def tasks(self) -> "set[asyncio.Task[None]]":
        """Requests under way."""
        return self.orphans | {each.task for each in self.open if each.task is not None}

    def make(self) -> asyncio.BaseProtocol:
        """For a connection that is about to be made."""
        # A cast, because what can be compiled derives from nothing that is not.
        return cast("asyncio.BaseProtocol", Connection(self))

    def unsent(self) -> bool:
        """Whether a peer has not taken all of an answer."""
        return any(each.transport.get_write_buffer_size() for each in self.open)

    def end(self) -> None:
        """Close those that rest, and the others after the requests that they have."""
        self.ending = True
        for connection in list(self.open):
            connection.shutdown()

    def make_room(self) -> bool:
        """End a connection that rests between requests, which its client may expect any time."""
        for connection in self.open:
            if connection.rests():
                connection.shutdown()
                return True
        return False


class Connection:
    """One connection: what an asyncio.Protocol is, for the event loop to call."""

    def __init__(self, connections: Connections) -> None:
        self.task: asyncio.Task[None] | None = None
        """Serves the queue, as long as it is not empty."""
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # until it is made
        self._all = connections
        self._api = connections.api
        self._options = connections.options
        self._loop = connections.loop
        self._held = b""
        """Not parsed yet, since too many requests wait."""
        self._queue: deque[Incoming] = deque()
        self._parser = RequestParser(self._queue)
        self._current: Incoming | None = None
        """The first of the queue, while the API works on it."""
        self._refusal: HttpError | None = None
        """To be told after the queue."""
        self._deaf = False
        """Whether what comes is dropped."""
        self._ended = False
        """Whether nothing more is written."""
        self._eof = False
        self._lost = False
        self._served = False
        self._reading = True
        self._drained: asyncio.Future[None] | None = None
        """While the peer does not take what is sent."""
        self._in_head = True
        """Whether the deadline is that of a head."""
        self._deadline_s = 0.0
        """Of a head, of rest, or of the taking of what was sent."""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, because uvloop's transports are not derived from asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self._parser.peer = str(name[0]) if isinstance(name, tuple) else ""
        everyone = self._all.open
        everyone.add(self)
        if len(everyone) > self._options.connections_max and not self._all.make_room():
            # No answer: writing one costs more than the connection is worth in a flood.
            self._deaf = True
            self.transport.abort()
            return
        self._expect_within(self._options.head_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.open.discard(self)
        self._lost = self._deaf = self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        for incoming in self._queue:
            incoming.lose()
        if self.task is not None:
            self._all.orphans.add(self.task)
            self.task.add_done_callback(self._all.orphans.discard)
        self.resume_writing()
        self._parser.close()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._held or len(data) > SLICE_BYTES or len(self._queue) >= WAITING_MAX:
            self._held += data
            self._parse_held()
        else:
            self._parse(data)
        if self.task is None:
            if self._queue:
                self.task = self._loop.create_task(self._serve())
            elif not (self._in_head or self._deaf) and self._parser.begun:
                self._in_head = True
                self._expect_within(self._options.head_timeout_s)
        if self._held or self._parser.arriving is not None:
            self._regulate()

    def eof_received(self) -> bool:
        """The peer sends no more; what it has sent is answered. TLS knows no half of an end."""
        self._eof = True
        if self._ended:
            return False
        if self._parser.arriving is not None and not self._held:
            self._parser.arriving.lose()
        return bool(self._queue) and self.transport.get_extra_info("sslcontext") is None

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def shutdown(self) -> None:
        """End now, or after the requests that it has."""
        if self.task is None:
            self._close()

    def rests(self) -> bool:
        """Whether it waits between requests."""
        idle = self._served and self.task is None and self._parser.arriving is None
        return idle and not self._parser.begun and not self._ended

    def _parse(self, data: bytes | memoryview) -> None:
        parser = self._parser
        try:
            parser.feed(data)
        except NotHttp:
            self._refuse(HttpError("MALFORMED_REQUEST", "this is no HTTP/1.1 request"))
            return
        self._deaf = parser.ended
        if parser.arriving is not None or self._queue:
            self._in_head = False
        if parser.quiet_bytes > self._options.head_bytes_max:
            hint = f"at most {self._options.head_bytes_max} bytes"
            self._refuse(HttpError("HEADERS_TOO_LARGE", "the headers are too large", hint=hint))

    def _parse_held(self) -> None:
        """As much as may wait. Slices, because the parser cannot be stopped within a piece."""
        data, at = memoryview(self._held), 0
        while at < len(data) and len(self._queue) < WAITING_MAX and not self._deaf:
            arriving = self._parser.arriving
            size = SLICE_BYTES + (max(0, arriving.missing_bytes) if arriving is not None else 0)
            self._parse(data[at : at + size])
            at += size
        self._held = b"" if self._deaf else bytes(data[at:])
        if self._eof and self._parser.arriving is not None and not self._held:
            self._parser.arriving.lose()

    async def _serve(self) -> None:
        """Answer what is in the queue, and what comes meanwhile."""
        queue = self._queue
        try:
            while self._goes_on():
                incoming = self._current = queue[0]
                if not incoming.complete:
                    incoming.on_wait = self._body_is_wanted
                    incoming.on_taken = self._regulate
                answer = await self._api.answer(incoming)
                self._current = None
                if answer is None or self._ended or self.transport.is_closing():
                    self._close()
                    return
                queue.popleft()
                self._write(incoming, answer)
                if self._drained is not None:
                    await self._until_drained()
                if self._held:
                    self._parse_held()
                if not self._reading:
                    self._regulate()
                if queue:
                    # Others have a turn, however many requests came at once.
                    await asyncio.sleep(0)
        except BaseException:
            self.transport.abort()
            raise
        finally:
            self.task = None
        self._rest()

    def _goes_on(self) -> bool:
        return bool(self._queue) and not self._ended

    def _rest(self) -> None:
        if self._ended:
            return
        if self._refusal is not None:
            self._write_refusal(self._refusal)
        elif self._eof:
            self._close()
        elif self._parser.begun:
            self._in_head = True
            self._expect_within(self._options.head_timeout_s)
        else:
            self._served = True
            self._deadline_s = self._loop.time() + self._options.keep_alive_s
            if self._timer is None or self._timer.when() > self._deadline_s:
                self._expect_within(self._options.keep_alive_s)

    def _write(self, incoming: Incoming, answer: Answer) -> None:
        close = (
            answer.close
            or incoming.last
            or (self._all.ending and not self._queue)
            # It was not bidden to send its body, and may or may not do so: RFC 9110 §10.1.1.
            or (not incoming.complete and _expects(incoming))
        )
        end = _CLOSE if close else b"\r\n"
        body = b"" if incoming.method == "HEAD" else answer.body
        self.transport.write(_STATUS_LINES[answer.status] + answer.head + end + body)
        incoming.discard()
        if close:
            self._close(linger=not incoming.complete)

    def _body_is_wanted(self) -> None:
        incoming = self._current
        assert incoming is not None
        if _expects(incoming) and not self._ended:
            incoming.headers.pop(b"expect")
            self.transport.write(_CONTINUE)
        self._regulate()

    def _regulate(self) -> None:
        """Read on only while what was read is wanted."""
        arriving = self._parser.arriving
        much = arriving is not None and arriving.held_bytes > BODY_HELD_MAX
        reading = not (self._held or much)
        if reading is self._reading or self._ended:
            return
        self._reading = reading
        if reading:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    async def _until_drained(self) -> None:
        self._expect_within(self._options.keep_alive_s)
        while (drained := self._drained) is not None:
            await asyncio.shield(drained)

    def _expect_within(self, seconds: float) -> None:
        self._deadline_s = self._loop.time() + seconds
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._timer = None
        stuck = self._drained is not None or self.transport.is_closing()
        if self.task is not None and not stuck and self._refusal is None:
            return  # the API has bounds of its own
        left_s = self._deadline_s - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._ring)
        elif stuck or self.transport.get_write_buffer_size():
            self.transport.abort()
        elif self._in_head and self._parser.begun and not self._deaf:
            hint = f"send them within {self._options.head_timeout_s:g} seconds"
            self._refuse(HttpError("BODY_TIMEOUT", "the headers came too slowly", hint=hint))
        else:
            self._close()

    def _close(self, *, linger: bool = False) -> None:
        """Close when everything is sent, which the peer has some time to take."""
        self._deaf = self._ended = True
        self._held = b""
        if self._lost or self.transport.is_closing():
            return
        if linger and self.transport.can_write_eof():
            if not self._reading:
                self.transport.resume_reading()
            self.transport.write_eof()
            self._expect_within(min(LINGER_S, self._options.keep_alive_s))
            return
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self._expect_within(self._options.keep_alive_s)

    def _refuse(self, error: HttpError) -> None:
        """Answer without a request, after those before it, and end the connection."""
        self._deaf = True
        arriving = self._parser.arriving
        if arriving is not None and (arriving is self._current or arriving not in self._queue):
            # It is being answered, or was before all of it came: another answer would be taken
            # for the next request's.
            arriving.lose()
            self._close()
            return
        if arriving is not None:
            # It was not begun, and it is the one at fault.
            self._queue.remove(arriving)
        self._refusal = error
        if self._queue or self.task is not None:
            self._expect_within(min(LINGER_S, self._options.keep_alive_s))
        else:
            self._write_refusal(error)

    def _write_refusal(self, error: HttpError) -> None:
        assert not self._ended
        request_id = f"connection-{next(_REFUSALS)}"
        body = msgspec.json.encode(ErrorAnswer(problem(error, request_id).body))
        head = (
            _STATUS_LINES[CODES[error.code].status],
            b"content-type: application/json\r\n",
            f"content-length: {len(body)}\r\nx-request-id: {request_id}\r\n".encode(),
            _CLOSE,
        )
        self.transport.write(b"".join(head) + body)
        self._close(linger=True)


def _expects(incoming: Incoming) -> bool:
    """Whether it waits to be bidden before it sends its body."""
    return incoming.headers.get(b"expect", b"").lower() == b"100-continue"
