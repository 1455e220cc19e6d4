"""The one error shape of the HTTP API, and the one table from error code to HTTP status.

Strategy: below this door an error is an exception with a stable `code`; here the code alone
decides the status. Whatever goes wrong, on whatever path, the caller gets
`{"error": {"code", "message", "hint", "request_id", …}}` and, where waiting helps, `Retry-After`.

Not here: which error is raised when (each operation), the conversation's close codes (protocol).

Invariants:
- every code that leaves this server is in `CODES`;
- what nobody foresaw is INTERNAL, without a word about its cause;
- what the store says of its files stays in the log.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from mobilesync.domain.config_change import InvalidConfigs
from mobilesync.domain.errors import InvalidRequest, MobilesyncError, OutcomeUnknown, Refused
from mobilesync.engine.publication import InvalidBatch

ITEMS_MAX = 100
"""Errors of items in one answer: enough to mend a batch, and never larger than the batch."""
SEE_LOG = {
    "STORE_UNAVAILABLE": "try again later; the server's log says why",
    "OUTCOME_UNKNOWN": "publish again with the same message ids; the server's log says why",
}
"""Hints in place of the store's own, which names files of the server's machine."""
OUTCOME_UNKNOWN_RETRY_S = 5
"""The store must be opened anew before another try can succeed."""


class Code(NamedTuple):
    """What the caller of an operation sees of an error code."""

    status: int
    meaning: str


CODES: dict[str, Code] = {
    "MALFORMED_REQUEST": Code(400, "the path, the query or the HTTP itself cannot be read"),
    "MALFORMED_BODY": Code(400, "the body is no JSON, or JSON that has two meanings"),
    "UNAUTHORIZED": Code(401, "no API key, or one that is not good"),
    "FORBIDDEN": Code(403, "the API key is good, but not for this"),
    "NOT_FOUND": Code(404, "nothing is at this path, or what is named is not there"),
    "UNKNOWN_APP": Code(404, "this server has no such app"),
    "UNKNOWN_BIZ": Code(404, "the app has no such biz, and bizzes are not created on first use"),
    "UNKNOWN_WEBHOOK": Code(404, "the app has no such webhook"),
    "METHOD_NOT_ALLOWED": Code(405, "the path is right, the method is not"),
    "BODY_TIMEOUT": Code(408, "the request's body did not arrive in time"),
    "BIZ_OFFLINE": Code(409, "the biz was taken offline and refuses publishes"),
    "TARGET_OFFLINE": Code(409, "nobody is connected, and the order of MSS asks for that"),
    "CONFLICT": Code(409, "somebody else changed it meanwhile: look again before you repeat it"),
    "TOO_LARGE": Code(413, "a payload, a batch or a body is over its bound"),
    "WRONG_CONTENT_TYPE": Code(415, "the body is not sent as application/json"),
    "INVALID_REQUEST": Code(422, "the request can be read, but breaks a rule"),
    "INVALID_BATCH": Code(422, "some items break a rule, so none was stored; `items` says which"),
    "WRONG_TARGET": Code(422, "the biz's scope or target kind does not take such targets"),
    "UNSUPPORTED_FIELD": Code(422, "a field of MSS that would change who gets it is not supported"),
    "OVERLOADED": Code(429, "a queue is full or a rate is exceeded; nothing was stored"),
    "TOO_MANY_ATTEMPTS": Code(429, "too many bad API keys from this address"),
    "HEADERS_TOO_LARGE": Code(431, "the request's headers are over their bound"),
    "INTERNAL": Code(500, "the server failed; the fault is logged there under the request id"),
    "STORE_UNAVAILABLE": Code(503, "the store takes no writes now; nothing was stored"),
    "OUTCOME_UNKNOWN": Code(503, "it may be stored: try again with the same message ids"),
    "NOT_READY": Code(503, "the server is starting, draining, or cannot write"),
}


class HttpError(InvalidRequest):
    """An error that exists only at this door; `code` is one of `CODES`."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str = "",
        hint: str = "",
        retry_after_s: float | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        assert code in CODES
        super().__init__(message, field=field, hint=hint)
        self.code = code
        self.retry_after_s = retry_after_s
        self.headers = tuple(headers)


class ErrorItem(Struct, omit_defaults=True):
    """What is wrong with one item of a batch."""

    index: int
    """Its place in the batch, from 0."""
    code: str
    message: str
    hint: str
    field: str = ""


class ErrorBody(Struct, omit_defaults=True):
    """What went wrong, for programs (`code`) and for people (`message`, `hint`)."""

    code: str
    message: str
    hint: str
    """What to do about it; may be empty."""
    request_id: str
    """Also in the header X-Request-Id and in the server's log."""
    field: str = ""
    """The part of the request that breaks a rule."""
    items: list[ErrorItem] = []
    """For INVALID_BATCH: at most 100 of the items that break a rule."""
    retry_after_s: int | None = None
    """Also in the header Retry-After: try again no sooner."""


class ErrorAnswer(Struct):
    """The body of every answer that is not a success."""

    error: ErrorBody


class Problem(NamedTuple):
    """An error as HTTP."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: ErrorBody


def problem(error: BaseException, request_id: str) -> Problem:
    """How `error` is told to the caller. Anything unforeseen is INTERNAL."""
    if not isinstance(error, MobilesyncError) or error.code not in CODES.keys() - {"INTERNAL"}:
        body = ErrorBody("INTERNAL", "the server failed", "it is logged there", request_id)
        return Problem(500, [], body)
    status = CODES[error.code].status
    hint = SEE_LOG.get(error.code, error.hint)
    body = ErrorBody(error.code, error.message, hint, request_id)
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, InvalidRequest):
        body.field = error.field
    if isinstance(error, HttpError):
        headers.extend(error.headers)
    if isinstance(error, InvalidBatch | InvalidConfigs):
        body.items = [_item(index, each) for index, each in error.items[:ITEMS_MAX]]
    body.retry_after_s = _retry_after_s(error)
    if body.retry_after_s is not None:
        headers.append((b"retry-after", str(body.retry_after_s).encode()))
    return Problem(status, headers, body)


def _item(index: int, error: InvalidRequest) -> ErrorItem:
    return ErrorItem(index, error.code, error.message, error.hint, error.field)


def _retry_after_s(error: MobilesyncError) -> int | None:
    if isinstance(error, OutcomeUnknown):
        return OUTCOME_UNKNOWN_RETRY_S
    wait_s = error.retry_after_s if isinstance(error, Refused | HttpError) else None
    # RFC 9110 §10.2.3 knows whole seconds only; rounding down would invite a second refusal.
    return None if wait_s is None else max(1, math.ceil(wait_s))
