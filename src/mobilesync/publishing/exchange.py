"""One call without the network: what to send, what an answer means, what to do next.

Strategy: both publishers drive the same `Exchange`: send its call, tell it what came back, and do
what it says: return, raise, or wait and send again. The message ids of a publish are in its content
before the first try, so that however often it is sent, each publication is stored once. A call that
would be done twice is not sent again once it may have got through.

Not here: sockets, sleeping, sync or async (publisher.py), the calls (calls.py).

Invariants:
- what is sent is the same at every try;
- OutcomeUnknown is raised as soon as any try may have been carried out and none is known to be.
"""

import random
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from mobilesync.publishing.calls import Call, Effect
from mobilesync.publishing.errors import (
    NotAllowed,
    NotStored,
    OutcomeUnknown,
    PublishError,
    Unavailable,
    WrongItem,
)
from mobilesync.publishing.retries import Retries

_UNKNOWN_CODES = frozenset({"OUTCOME_UNKNOWN", "INTERNAL"})
_RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Wait:
    """Send it again, after so long."""

    wait_s: float


class Exchange(Generic[_Answer]):
    """One call, over all its tries."""

    def __init__(self, call: Call[_Answer], retries: Retries, entropy: random.Random) -> None:
        self.call = call
        self._retries = retries
        self._entropy = entropy
        self._failures = 0
        self._may_be_done = False

    def answered(self, status: int, body: bytes, retry_after: str = "") -> _Answer | Wait:
        """What an answer means; `retry_after` is that header. Raises PublishError."""
        if status == 200:
            return self._read(body)
        error = _error_of(status, body)
        if status not in _RETRIED_STATUSES:
            raise self._named(self._final(status, error))
        # A gateway's 500, 502 and 504 say nothing about the server behind it.
        if error.code in _UNKNOWN_CODES or (not error.code and status != 429):
            self._got_through()
        return self._again(_seconds(retry_after), error)

    def unanswered(self, reason: str, *, sent: bool) -> Wait:
        """The connection failed: before anything was `sent`, or afterwards. Raises PublishError."""
        if sent:
            self._got_through()
        return self._again(0.0, PublishError(f"no answer from the server: {reason}"))

    def distrusted(self, reason: str) -> PublishError:
        """The error to raise when the server's certificate is not trusted: waiting cannot help."""
        hint = "name the server's certificate, or its authority's, as ca_file"
        error = PublishError(f"the server is not trusted: {reason}", hint=hint)
        return self._named(_as(self._undone(), error))

    def _got_through(self) -> None:
        """This try may have been carried out."""
        self._may_be_done = self._may_be_done or self.call.effect is not Effect.NONE

    def _final(self, status: int, error: PublishError) -> PublishError:
        if self._may_be_done:
            # The refusal is of this try; an earlier one may have gone through.
            return _as(OutcomeUnknown, error)
        return _as(NotAllowed if status in {401, 403} else self.call.invalid, error)

    def _again(self, advised_s: float, error: PublishError) -> Wait:
        self._failures += 1
        wait_s = self._retries.wait_s(self._failures, advised_s, self._entropy)
        if wait_s is None or (self._may_be_done and self.call.effect is Effect.EACH):
            raise self._named(_as(OutcomeUnknown if self._may_be_done else self._undone(), error))
        return Wait(wait_s)

    def _undone(self) -> type[PublishError]:
        return Unavailable if self.call.effect is Effect.NONE else NotStored

    def _read(self, body: bytes) -> _Answer:
        try:
            return self.call.read(body)
        except (ValueError, msgspec.DecodeError, RecursionError) as error:
            kind = Unavailable if self.call.effect is Effect.NONE else OutcomeUnknown
            raise self._named(kind(f"not an answer of the API: {error}")) from None

    def _named(self, error: PublishError) -> PublishError:
        error.message_ids = self.call.message_ids
        return error


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""
    hint: str = ""
    field: str = ""
    request_id: str = ""
    items: list[WrongItem] = []


class _Envelope(msgspec.Struct):
    error: _Error


def _error_of(status: int, body: bytes) -> PublishError:
    """The error shape in `body`; one without a code when something else has answered."""
    try:
        error = msgspec.json.decode(body, type=_Envelope).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return PublishError(f"HTTP status {status}")
    return PublishError(
        error.message or f"HTTP status {status}",
        code=error.code,
        hint=error.hint,
        field=error.field,
        request_id=error.request_id,
        items=error.items,
    )


def _as(kind: type[PublishError], error: PublishError) -> PublishError:
    return kind(
        error.message,
        code=error.code,
        hint=error.hint,
        field=error.field,
        request_id=error.request_id,
        items=error.items,
    )


def _seconds(retry_after: str) -> float:
    """The seconds in a Retry-After header; a date, or anything else, counts as none."""
    text = retry_after.strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0.0
