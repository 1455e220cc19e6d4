"""A line to a push service: requests with bounds on their number, their time and their answers.

Strategy: wakes take turns. So many are under way, so many more wait, and what comes on top is told
to come back; each ends within one time limit, its waiting included. Connections are kept, since
push services take frequent reconnecting for an attack.

A request over a connection that turns out to be broken is sent once more, over a new one; a wake
may be doubled. Most often the other side had ended it while it was idle. And requests that were
given up leave their HTTP/2 streams open for ever, until no more can be opened: then it is the
library that refuses, and goes on refusing. So whatever failed on a connection, it gets no new
requests, and ends when those that are on it have ended.

The HTTP library is used below its client, which would log each address: for APNs it holds the push
token. So no redirects are followed, and no proxy is taken from the environment.

Not here: what is sent and what an answer means (apns.py, fcm.py).

Invariants:
- at most `concurrent_max` requests are under way, and `waiting_max` more wakes wait;
- nothing that is secret gets into a reason, whatever the service answers.
"""

import asyncio
import random
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx
import msgspec
from msgspec import Struct

from mobilesync.domain.clock import Clock
from mobilesync.engine.push_gateway import WakeOutcome, WakeResult

STREAMS_MAX = 100
"""What the HTTP library opens on one connection at most; more would wait unseen inside it."""
_WORD = re.compile(r"[A-Za-z_]{1,64}")
_REASON_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class LineOptions:
    """Bounds of a line."""

    concurrent_max: int = 64
    waiting_max: int = 1_000
    timeout_s: float = 10.0
    """One wake, from the call to its result."""
    silence_s: float = 5.0
    """A connection that is waited on, and brings nothing for so long, is dead."""
    idle_s: float = 300.0
    """How long an unused connection is kept. Below the 350 s after which common address
    translators forget one without a word."""
    answer_bytes_max: int = 16 * 1024
    retry_s: float = 10.0
    """The advice when the service gives none."""
    retry_spread: float = 0.5
    """Up to so much of the advice is added at random, so that not all come back at once."""
    retry_s_max: float = 24 * 3600.0

    def __post_init__(self) -> None:
        assert 0 < self.concurrent_max <= STREAMS_MAX
        assert self.waiting_max >= 0
        # Silence must be found out before the wake is given up, or a dead connection stays.
        assert 0 < self.silence_s < self.timeout_s < self.idle_s
        assert self.answer_bytes_max > 0
        assert 0 < self.retry_s <= self.retry_s_max
        assert 0 <= self.retry_spread <= 1


class Answer(Struct, frozen=True):
    """What the service said."""

    status: int
    body: bytes = b""
    retry_after: str = ""

    def __repr__(self) -> str:
        # The answer to a request for a bearer is the bearer.
        return f"Answer(status={self.status})"


class LineFailed(Exception):
    """No answer came; the text says why, and may be logged."""

    def __init__(self, reason: str, *, broken: bool = False) -> None:
        super().__init__(reason)
        self.broken = broken
        """A connection that had stood has broken: on another one it may work at once."""


class _Wire:
    """Connections, and how many exchanges are on them."""

    __slots__ = ("exchanges", "retired", "transport")

    def __init__(self, transport: httpx.AsyncHTTPTransport) -> None:
        self.transport = transport
        self.exchanges = 0
        self.retired = False


class PushLine:
    """Requests to one push service, and the results that need no answer of it."""

    def __init__(
        self,
        options: LineOptions,
        *,
        clock: Clock,
        entropy: random.Random,
        http2: bool,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`http2`: speak that and nothing else, instead of HTTP/1.1. `tls`: whom to trust, by
        default the authorities that are built in.
        """
        self.options = options
        self._clock = clock
        self._entropy = entropy
        self._http2 = http2
        self._tls = tls or httpx.create_ssl_context()
        self._turns = asyncio.Semaphore(options.concurrent_max)
        self._inside = 0
        self._wire: _Wire | None = None
        self._wires: set[_Wire] = set()
        self._closed = False

    async def in_turn(self, wake: Callable[[], Awaitable[WakeResult]]) -> WakeResult:
        """What `wake` returns, begun when it is its turn; RETRY when that is not in time."""
        if self._inside >= self.options.concurrent_max + self.options.waiting_max:
            return self.later("too many wakes are waiting already")
        self._inside += 1
        try:
            async with asyncio.timeout(self.options.timeout_s), self._turns:
                return await wake()
        except TimeoutError:
            return self.later("no answer in time")
        except LineFailed as error:
            return self.later(str(error))
        finally:
            self._inside -= 1

    async def post(self, url: str, headers: Mapping[str, str], content: bytes) -> Answer:
        """The answer to a POST, of whatever status. Raises LineFailed when there is none.

        Has no time limit of its own but that on silence: see `in_turn`.
        """
        timeout = httpx.Timeout(self.options.silence_s).as_dict()
        request = httpx.Request(
            "POST", url, headers=headers, content=content, extensions={"timeout": timeout}
        )
        try:
            return await self._exchange(request)
        except LineFailed as error:
            if not error.broken:
                raise
        return await self._exchange(request)

    def later(self, reason: str, after_s: float = 0.0) -> WakeResult:
        """RETRY, not sooner than `after_s` or, if that is 0, than `retry_s`."""
        advice_s = after_s or self.options.retry_s
        spread_s = advice_s * self.options.retry_spread * self._entropy.random()
        retry_after_s = min(advice_s + spread_s, self.options.retry_s_max)
        return WakeResult(WakeOutcome.RETRY, reason, retry_after_s)

    def advised_s(self, answer: Answer, default_s: float) -> float:
        """What the answer's Retry-After asks for (RFC 9110 §10.2.3), or `default_s`."""
        return _retry_after_s(answer.retry_after, self._clock.wall_ms()) or default_s

    async def close(self) -> None:
        """End all connections, and let none be opened again. Idempotent."""
        self._closed = True
        self._wire = None
        for wire in tuple(self._wires):
            wire.retired = True
            await wire.transport.aclose()
        self._wires.clear()

    async def _exchange(self, request: httpx.Request) -> Answer:
        wire = self._open_wire()
        wire.exchanges += 1
        try:
            return await self._answer(wire.transport, request)
        except Exception as error:  # noqa: BLE001 - errors of TLS and of frames come as they are
            self._retire(wire)
            raise _failed(error) from None
        finally:
            wire.exchanges -= 1
            if wire.retired and not wire.exchanges and wire in self._wires:
                self._wires.remove(wire)
                await wire.transport.aclose()

    async def _answer(self, transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> Answer:
        response = await transport.handle_async_request(request)
        body = bytearray()
        try:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self.options.answer_bytes_max:
                    raise LineFailed("the answer is too large")
        finally:
            await response.aclose()
        retry_after = response.headers.get("retry-after", "")
        return Answer(response.status_code, bytes(body), retry_after)

    def _open_wire(self) -> _Wire:
        if self._closed:
            raise LineFailed("the gateway is closed")
        if self._wire is None:
            limits = httpx.Limits(
                max_connections=self.options.concurrent_max,
                max_keepalive_connections=self.options.concurrent_max,
                keepalive_expiry=self.options.idle_s,
            )
            transport = httpx.AsyncHTTPTransport(
                verify=self._tls, http1=not self._http2, http2=self._http2, limits=limits
            )
            self._wire = _Wire(transport)
            self._wires.add(self._wire)
        return self._wire

    def _retire(self, wire: _Wire) -> None:
        wire.retired = True
        if self._wire is wire:
            self._wire = None


_Form = TypeVar("_Form", bound=Struct)


def decoded(answer: Answer, form: type[_Form]) -> _Form | None:
    """The JSON of an answer, or None when it is none, or does not fit."""
    try:
        return msgspec.json.decode(answer.body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def word(text: str, otherwise: str) -> str:
    """`text` if it is one plain word, as error codes are; else `otherwise`.

    What else a service says may repeat the push token, and is for no log.
    """
    return text if _WORD.fullmatch(text) else otherwise


def hinted(reason: str, hints: Mapping[str, str]) -> str:
    """`reason`, with the hint that belongs to it, if there is one."""
    hint = hints.get(reason, "")
    return f"{reason}: {hint}" if hint else reason


def _failed(error: Exception) -> LineFailed:
    """What to say of `error`: the text of most kinds may quote what was sent, and is left out."""
    name = type(error).__name__
    if isinstance(error, LineFailed):
        return error
    if isinstance(error, httpx.ConnectError):
        # Of addresses and certificates, so for the operator.
        return LineFailed(f"{name}: {error}"[:_REASON_CHARS_MAX])
    return LineFailed(name, broken=not isinstance(error, httpx.TimeoutException))


def _retry_after_s(text: str, now_ms: int) -> float:
    """Seconds from now; 0 when `text` is empty, past, or neither a number nor a date."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])  # which is beyond any bound already
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    # Dates in HTTP are UTC, whatever they say (RFC 9110 §5.6.7).
    return max(0.0, date.replace(tzinfo=UTC).timestamp() - now_ms / 1000)
