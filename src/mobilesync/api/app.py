"""The API as one ASGI application.

Strategy: one straight road for every request, with nothing stacked around it: find the operation,
verify the key, check path, query and body by the operation's row, call its handler, encode. Every
error on that road ends in the one error shape. A framework's layers would cost a third of the
time of a publish and decide nothing that the rows do not (36 against 23 µs).

Not here: the operations (routes.py lists them), sockets and HTTP parsing (server.py).

Invariants:
- every answer has an X-Request-Id, every error the one shape;
- neither payloads, keys, users nor devices are logged;
- a body is read only for somebody who may do what they ask for.
"""

import re
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import structlog

from mobilesync.api.bodies import Bodies, Disconnected
from mobilesync.api.errors import ErrorAnswer, ErrorBody, HttpError, Problem, problem
from mobilesync.api.keys import ApiKey, ApiKeys, authorize
from mobilesync.api.openapi import document
from mobilesync.api.operations import JSON, Desk, NoQuery, Operation, Request, Text
from mobilesync.api.options import ApiOptions
from mobilesync.api.routes import OPERATIONS, Routes, check_path
from mobilesync.api.strict_json import invalid
from mobilesync.domain.errors import OutcomeUnknown, Overloaded, StoreUnavailable
from mobilesync.engine.service import Service

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

log = structlog.get_logger("mobilesync.access")

QUERY_BYTES_MAX = 4096
QUERY_FIELDS_MAX = 20
UNREAD_DIGITS_MAX = 5
"""A refused body below 100 kB is left to the server to skip, so that the connection lives on."""
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


def create_api(service: Service, keys: ApiKeys, options: ApiOptions | None = None) -> AsgiApp:
    """The API over a started service and loaded keys. Has no lifespan of its own."""
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
        self._date_text = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"this API speaks HTTP, not {scope['type']}")
        clock = self._desk.service.clock
        begin_s = clock.monotonic_s()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        exchange = _Exchange(self._request_id(headers))
        self._active += 1
        try:
            answer = await self._answer(scope, headers, receive, exchange)
            if not exchange.body_bytes and _announces_much(headers):
                # Nobody has read it: reading on, for the next request's sake, would never end.
                answer[2].append((b"connection", b"close"))
            await _send(send, exchange, self._date(), *answer)
        except Disconnected:
            answer = (499, JSON, [], b"")
        finally:
            self._active -= 1
            self._bodies.release(exchange.body_bytes)
        if self._desk.options.access_log or answer[0] >= 500:
            _log(scope, exchange, answer[0], clock.monotonic_s() - begin_s)

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, exchange: _Exchange
    ) -> tuple[int, str, list[tuple[bytes, bytes]], bytes]:
        """Status, content type, headers and body."""
        try:
            operation, path = self._routes.find(scope["method"], _raw_path(scope))
            exchange.operation = operation
            request = await self._request(scope, headers, receive, exchange, operation, path)
            value = await operation.handler(self._desk, request)
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            refused = problem(error, exchange.request_id)
            if refused.body.code == "INTERNAL":
                _log_fault(exchange, error)
            elif isinstance(error, StoreUnavailable | OutcomeUnknown):
                log.warning("store_refused", request_id=exchange.request_id, reason=error.hint)
            return _refusal(exchange, refused)
        if isinstance(value, Text):
            return operation.status, value.content_type, [], value.body
        body = b"" if operation.answer is None else msgspec.json.encode(value)
        return operation.status, JSON, [], body

    async def _request(
        self,
        scope: Scope,
        headers: dict[bytes, bytes],
        receive: Receive,
        exchange: _Exchange,
        operation: Operation[Any, Any],
        path: dict[str, str],
    ) -> Request[Any, Any]:
        """Check everything that the operation's row can tell, in the order of its cost."""
        if operation.scope is not None and self._active > self._desk.options.requests_max:
            raise Overloaded("too many requests at once", hint="fewer connections, or batches")
        await self._authenticate(scope, headers, exchange, operation, path)
        check_path(path)
        if "app" in path:
            exchange.app = path["app"]
            self._desk.service.apps.get(path["app"])
        query = _query(scope["query_string"], operation.query or NoQuery)
        body: Any = None
        if operation.body is not None:
            _check_content_type(headers.get(b"content-type", b""))
            data = await self._bodies.read(scope["headers"], receive)
            exchange.body_bytes = len(data)
            body = operation.body.decode(data)
        return Request(path, query, body, exchange.key, exchange.request_id)

    async def _authenticate(
        self,
        scope: Scope,
        headers: dict[bytes, bytes],
        exchange: _Exchange,
        operation: Operation[Any, Any],
        path: dict[str, str],
    ) -> None:
        authorization = headers.get(b"authorization")
        if operation.scope is None and not (operation.key_if_sent and authorization):
            return
        client = scope.get("client")
        peer = client[0] if client else ""
        exchange.key = await self._desk.keys.authenticate(authorization, peer)
        if operation.scope is not None:
            authorize(exchange.key, operation.scope, path.get("app"))

    def _date(self) -> bytes:
        """RFC 9110 §6.6.1; made anew once a second."""
        now_s = self._desk.service.clock.wall_ms() // 1000
        if now_s != self._date_s:
            self._date_s = now_s
            self._date_text = formatdate(now_s, usegmt=True).encode()
        return self._date_text

    def _request_id(self, headers: dict[bytes, bytes]) -> str:
        """The caller's own if it is a decent one, so that both logs agree; else a new one."""
        given = headers.get(b"x-request-id", b"")
        if _REQUEST_ID.fullmatch(given):
            return given.decode()
        self._count += 1
        return f"{self._desk.keys.process_id}-{self._count:x}"


def _openapi_operation() -> Operation[Any, Any]:
    encoded = Text(document(OPERATIONS), JSON)

    async def openapi(desk: Desk, request: Request[None, NoQuery]) -> Text:
        return encoded

    return Operation("GET", "/openapi.json", "openapi", "This document", openapi, answer=Text)


def _announces_much(headers: dict[bytes, bytes]) -> bool:
    length = headers.get(b"content-length", b"0")
    return b"transfer-encoding" in headers or len(length) > UNREAD_DIGITS_MAX


def _raw_path(scope: Scope) -> bytes:
    # ASGI makes raw_path optional; without it a quoted slash cannot be told from a plain one.
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw


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


def _refusal(
    exchange: _Exchange, refused: Problem
) -> tuple[int, str, list[tuple[bytes, bytes]], bytes]:
    form: Callable[[ErrorBody], Any] = ErrorAnswer
    if exchange.operation is not None:
        form = exchange.operation.error_form
    return refused.status, JSON, refused.headers, msgspec.json.encode(form(refused.body))


async def _send(
    send: Send,
    exchange: _Exchange,
    date: bytes,
    status: int,
    content_type: str,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
) -> None:
    all_headers = [
        (b"date", date),
        (b"x-request-id", exchange.request_id.encode()),
        *_HEADERS,
        *headers,
    ]
    if status != 204:
        all_headers.append((b"content-type", content_type.encode()))
        all_headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})


def _log_fault(exchange: _Exchange, error: Exception) -> None:
    # Neither the message nor the variables of the frames: they may hold payloads and keys.
    places = "".join(traceback.format_tb(error.__traceback__))
    fault = type(error).__name__
    log.error("request_failed", request_id=exchange.request_id, fault=fault, places=places)


def _log(scope: Scope, exchange: _Exchange, status: int, took_s: float) -> None:
    write = log.warning if status >= 500 else log.info
    write(
        "request",
        request_id=exchange.request_id,
        method=scope["method"],
        # The row's path, not the caller's: that one may name users and devices.
        path=exchange.operation.path if exchange.operation else "",
        app=exchange.app,
        key=exchange.key.id if exchange.key else "",
        status=status,
        body_bytes=exchange.body_bytes,
        took_ms=round(took_s * 1000, 3),
    )
