"""What an operation of the API is: one row with its path, types, scope and handler.

Strategy: the row is the only place where an operation is described. Matching, authorization,
decoding, the OpenAPI document and the reference page are all derived from it (routes.py lists the
rows), so none of them can drift from what is served.

Not here: the operations themselves, how a request becomes a `Request` (app.py).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from mobilesync.api.errors import ErrorAnswer, ErrorBody
from mobilesync.api.keys import ApiKey, ApiKeys, Scope
from mobilesync.api.options import ApiOptions
from mobilesync.api.strict_json import JsonBody
from mobilesync.domain.channel import parse_target
from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.names import check_app, check_biz, check_owner
from mobilesync.engine.service import Service
from mobilesync.engine.webhooks import check_webhook_name

Method = Literal["GET", "PUT", "POST", "DELETE"]
Body = TypeVar("Body")
Query = TypeVar("Query")
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Desk:
    """What a handler works with: the same for all requests."""

    service: Service
    keys: ApiKeys
    options: ApiOptions


class NoQuery(Struct, forbid_unknown_fields=True):
    """An operation without a query."""


class Request(Struct, Generic[Body, Query], frozen=True):
    """One call, checked as far as its operation's row can tell."""

    path: dict[str, str]
    query: Query
    body: Body
    key: ApiKey | None
    """None only where the operation needs no scope."""
    request_id: str

    @property
    def app(self) -> str:
        """The app in the path."""
        return self.path["app"]

    @property
    def who(self) -> str:
        """What the audit calls the caller."""
        assert self.key is not None, "what is noted needs a scope"
        return self.key.who


@dataclass(frozen=True, slots=True)
class Text:
    """An answer that is not made from a type."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Operation(Generic[Body, Query]):
    """One row: `handler` answers `method` on `path`."""

    method: Method
    path: str
    """As in OpenAPI: `/v1/apps/{app}/oplogs`."""
    name: str
    """Unique; the operationId."""
    summary: str
    handler: Callable[[Desk, Request[Body, Query]], Awaitable[Any]]
    answer: Any = None
    """The type of the body of a success; None for 204 without a body; Text for neither."""
    scope: Scope | None = None
    """What the API key must be good for; None for no key at all."""
    body: JsonBody[Body] | None = None
    query: type[Query] | None = None
    status: int = 200
    errors: tuple[str, ...] = ()
    """Codes besides those that every operation may answer."""
    error_form: Callable[[ErrorBody], Any] = ErrorAnswer
    """The error shape, with more members around it where callers expect them."""
    key_if_sent: bool = False
    """Without a scope: whether an API key that was sent is verified for the handler."""
    description: str = ""

    def __post_init__(self) -> None:
        assert self.method in {"PUT", "POST"} or self.body is None
        assert (self.answer is None) == (self.status == 204)


def _device(name: str) -> str:
    return check_owner(name, "device")


def _user(name: str) -> str:
    return check_owner(name, "user")


def _key_id(name: str) -> str:
    if not name.isalnum() or not name.isascii() or len(name) > 32:
        raise InvalidRequest("not a key id", field="key", hint="the part after ms_")
    return name


PATH_CHECKS: dict[str, Callable[[str], str]] = {
    "app": check_app,
    "biz": check_biz,
    "device": _device,
    "key": _key_id,
    "user": _user,
    "webhook": check_webhook_name,
}
"""How the variable parts of paths are checked, by name."""


def check_channel(biz: str, target: str) -> None:
    """Raises InvalidRequest unless both may name a channel."""
    check_biz(biz)
    parse_target(target)
