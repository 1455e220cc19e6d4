"""The API: what becomes of a request.

Strategy: one straight road for every request, with nothing stacked around it: find the operation,
verify the key, check path, query and body by the operation's row, call its handler, encode. Every
error on that road ends in the one error shape. A framework's layers would cost a third of the
time of a publish and decide nothing that the rows do not (36 against 23 µs).

Not here: the operations (routes.py lists them), parsing (parser.py), sockets (connections.py).

Invariants:
- every answer has an X-Request-Id, every error the one shape;
- neither payloads, keys, users nor devices are logged;
- a body is read only for somebody who may do what they ask for.
"""

import logging
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

import httptools
import msgspec
import structlog

from mobilesync.api.bodies import Bodies
from mobilesync.api.errors import ErrorAnswer, ErrorBody, HttpError, problem
from mobilesync.api.incoming import Answer, Disconnected, Incoming
from mobilesync.api.keys import ApiKey, ApiKeys, authorize
from mobilesync.api.openapi import document
from mobilesync.api.operations import JSON, Desk, NoQuery, Operation, Request, Text
from mobilesync.api.options import ApiOptions
from mobilesync.api.routes import OPERATIONS, Routes, check_path
from mobilesync.api.strict_json import invalid
from mobilesync.domain.errors import OutcomeUnknown, Overloaded, StoreUnavailable
from mobilesync.engine.service import Service

QUERY_BYTES_MAX = 4096
QUERY_FIELDS_MAX = 20
UNREAD_DIGITS_MAX = 5
"""A refused body below 100 kB is left to the server to skip, so that the connection lives on."""
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_HEADERS = b"\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\nx-request-id: "


def create_api(service: Service, keys: ApiKeys, options: ApiOptions | None = None) -> "Api":
    """The API over a started service and loaded keys."""
    return Api(Desk(service, keys, options or ApiOptions()))


@dataclass(slots=True)
class _Exchange:
    """What is known so far of one request, for its answer and its line in the log."""

    request_id: str
    operation: Operation[Any, Any] | None = None
    key: ApiKey | None = None
    app: str = ""
    body_bytes: int = 0
    """Held in the budget of bodies until the answer is sent."""


class Api:
    """Serves OPERATIONS."""

    def __init__(self, desk: Desk) -> None:
        options = desk.options
        self._desk = desk
        self._routes = Routes((*OPERATIONS, _openapi_operation()))
        self._bodies = Bodies(
            bytes_max=options.body_bytes_max,
            total_bytes_max=options.bodies_bytes_max,
            timeout_s=options.body_timeout_s,
        )
        self._active = 0
        self._count = 0
        self._date_s = -1
        self._common = b""
        """Headers of every answer, up to the request's id."""
        # Bound once: what a lazy logger does for each line takes longer than to refuse the line.
        self._log: Any = structlog.get_logger("mobilesync.access").bind()
        self._logs_all = options.access_log and self._log.is_enabled_for(logging.INFO)

    @property
    def active(self) -> int:
        """Requests under way."""
        return self._active

    async def answer(self, incoming: Incoming) -> Answer | None:
        """The answer; None when the caller went away before the body was complete."""
        clock = self._desk.service.clock
        begin_s = clock.monotonic_s()
        exchange = _Exchange(self._request_id(incoming.headers))
        answer: Answer | None = None
        self._active += 1
        try:
            answer = await self._answer(incoming, exchange)
        except Disconnected:
            pass
        finally:
            self._active -= 1
            # The answer is written in the same step, so the body counts until it is sent.
            self._bodies.release(exchange.body_bytes)
        status = 499 if answer is None else answer.status
        if self._logs_all or status >= 500:
            self._note(incoming, exchange, status, clock.monotonic_s() - begin_s)
        return answer

    async def _answer(self, incoming: Incoming, exchange: _Exchange) -> Answer:
        """Raises Disconnected."""
        try:
            path, query = _split(incoming.target)
            operation, variables = self._routes.find(incoming.method, path)
            exchange.operation = operation
            request = await self._request(incoming, exchange, operation, variables, query)
            value = await operation.handler(self._desk, request)
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            return self._refusal(incoming, exchange, error)
        if isinstance(value, Text):
            head, body = self._typed_head(exchange, value.content_type, value.body), value.body
        elif operation.answer is None:
            head, body = self._head(exchange) + b"\r\n", b""
        else:
            body = msgspec.json.encode(value)
            head = self._typed_head(exchange, JSON, body)
        return Answer(operation.status, head, body, _is_unread(incoming, exchange))

    async def _request(
        self,
        incoming: Incoming,
        exchange: _Exchange,
        operation: Operation[Any, Any],
        path: dict[str, str],
        raw_query: bytes,
    ) -> Request[Any, Any]:
        """Check everything that the operation's row can tell, in the order of its cost."""
        headers = incoming.headers
        authorization = headers.get(b"authorization")
        if operation.scope is not None:
            if self._active > self._desk.options.requests_max:
                hint = "fewer connections, or batches"
                raise Overloaded("too many requests at once", hint=hint)
            key = await self._desk.keys.authenticate(authorization, incoming.peer)
            exchange.key = key
            authorize(key, operation.scope, path.get("app"))
        elif operation.key_if_sent and authorization:
            exchange.key = await self._desk.keys.authenticate(authorization, incoming.peer)
        check_path(path)
        if "app" in path:
            exchange.app = path["app"]
            self._desk.service.apps.get(path["app"])
        query = _query(raw_query, operation.query or NoQuery)
        body: Any = None
        if operation.body is not None:
            if headers.get(b"content-type") != b"application/json":
                _check_content_type(headers.get(b"content-type", b""))
            data = await self._bodies.read(incoming)
            exchange.body_bytes = len(data)
            body = operation.body.decode(data)
        return Request(path, query, body, exchange.key, exchange.request_id)

    def _refusal(self, incoming: Incoming, exchange: _Exchange, error: Exception) -> Answer:
        refused = problem(error, exchange.request_id)
        if refused.body.code == "INTERNAL":
            self._note_fault(exchange, error)
        elif isinstance(error, StoreUnavailable | OutcomeUnknown):
            request_id = exchange.request_id
            self._log.warning("store_refused", request_id=request_id, reason=error.hint)
        form: Callable[[ErrorBody], Any] = ErrorAnswer
        if exchange.operation is not None:
            form = exchange.operation.error_form
        body = msgspec.json.encode(form(refused.body))
        head = self._typed_head(exchange, JSON, body)
        close = _is_unread(incoming, exchange)
        for name, value in refused.headers:
            if name == b"connection":
                close = True
            else:
                head += b"%b: %b\r\n" % (name, value)
        return Answer(refused.status, head, body, close)

    def _typed_head(self, exchange: _Exchange, content_type: str, body: bytes) -> bytes:
        return b"%b\r\ncontent-type: %b\r\ncontent-length: %d\r\n" % (
            self._head(exchange),
            content_type.encode(),
            len(body),
        )

    def _head(self, exchange: _Exchange) -> bytes:
        """Headers of every answer, but for the last one's end. The date (RFC 9110 §6.6.1) is made
        anew once a second."""
        now_s = self._desk.service.clock.wall_ms() // 1000
        if now_s != self._date_s:
            self._date_s = now_s
            self._common = b"date: " + formatdate(now_s, usegmt=True).encode() + _HEADERS
        return self._common + exchange.request_id.encode()

    def _request_id(self, headers: dict[bytes, bytes]) -> str:
        """The caller's own if it is a decent one, so that both logs agree; else a new one."""
        given = headers.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given.decode()
        self._count += 1
        return f"{self._desk.keys.process_id}-{self._count:x}"

    def _note_fault(self, exchange: _Exchange, error: Exception) -> None:
        # Neither the message nor the variables of the frames: they may hold payloads and keys.
        places = "".join(traceback.format_tb(error.__traceback__))
        fault = type(error).__name__
        request_id = exchange.request_id
        self._log.error("request_failed", request_id=request_id, fault=fault, places=places)

    def _note(self, incoming: Incoming, exchange: _Exchange, status: int, took_s: float) -> None:
        write = self._log.warning if status >= 500 else self._log.info
        write(
            "request",
            request_id=exchange.request_id,
            method=incoming.method,
            # The row's path, not the caller's: that one may name users and devices.
            path=exchange.operation.path if exchange.operation else "",
            app=exchange.app,
            key=exchange.key.id if exchange.key else "",
            status=status,
            body_bytes=exchange.body_bytes,
            took_ms=round(took_s * 1000, 3),
        )


def _openapi_operation() -> Operation[Any, Any]:
    encoded = Text(document(OPERATIONS), JSON)

    async def openapi(desk: Desk, request: Request[None, NoQuery]) -> Text:
        return encoded

    return Operation("GET", "/openapi.json", "openapi", "This document", openapi, answer=Text)


def _is_unread(incoming: Incoming, exchange: _Exchange) -> bool:
    """Whether much of a body may come that nobody has read. To read on, for the next request's
    sake, would never end."""
    if exchange.body_bytes:
        return False
    headers = incoming.headers
    length = headers.get(b"content-length", b"0")
    return b"transfer-encoding" in headers or len(length) > UNREAD_DIGITS_MAX


def _split(target: bytes) -> tuple[bytes, bytes]:
    """Path and query. Raises HttpError."""
    if not target.startswith(b"/"):
        target = _origin_form(target)
    if b"#" in target:
        target = target.partition(b"#")[0]
    path, _, query = target.partition(b"?")
    return path, query


def _origin_form(target: bytes) -> bytes:
    """Of a target with scheme and host, which RFC 9112 §3.2.2 bids a server to take."""
    try:
        # Any, because its types promise parts that may be None.
        parts: Any = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        raise HttpError("MALFORMED_REQUEST", "the target is no path") from None
    path: bytes = parts.path or b"/"
    return b"%b?%b" % (path, parts.query or b"")


def _query(raw: bytes, form: type[Any]) -> Any:
    if not raw and form is NoQuery:
        return None
    try:
        if len(raw) > QUERY_BYTES_MAX:
            raise ValueError
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=QUERY_FIELDS_MAX,
        )
    except ValueError:
        hint = "name=value, joined by &, percent-encoded UTF-8"
        raise HttpError("MALFORMED_REQUEST", "the query cannot be read", hint=hint) from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise HttpError("MALFORMED_REQUEST", "a query parameter stands twice", hint="send it once")
    try:
        return msgspec.convert(fields, form, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(error) from None


def _check_content_type(value: bytes) -> None:
    kind, _, parameters = value.partition(b";")
    charset = parameters.strip().lower().replace(b'"', b"")
    if kind.strip().lower() != b"application/json" or charset not in {b"", b"charset=utf-8"}:
        hint = "send the header Content-Type: application/json"
        raise HttpError("WRONG_CONTENT_TYPE", "the body must be JSON", hint=hint)
