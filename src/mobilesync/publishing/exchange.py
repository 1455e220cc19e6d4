"""One publish call without the network: what to send, what an answer means, what to do next.

Strategy: both publishers drive the same `Exchange`: send its content, tell it what came back, and
do what it says: return, raise, or wait and send again. The message ids are in the content before
the first try, so that however often it is sent, each publication is stored once.

Not here: sockets, sleeping, sync or async (publisher.py).

Invariants:
- the content is the same at every try;
- OutcomeUnknown is raised as soon as any try may have been stored and none is known to be.
"""

import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mobilesync.publishing.errors import (
    InvalidPublication,
    NotAllowed,
    NotStored,
    OutcomeUnknown,
    PublishError,
    WrongItem,
)
from mobilesync.publishing.retries import Retries

_UNKNOWN_CODES = frozenset({"OUTCOME_UNKNOWN", "INTERNAL"})
_RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


Payload = bytes | str | dict[str, Any] | list[Any]


@dataclass(frozen=True, slots=True)
class Publication:
    """One oplog to publish."""

    biz: str
    target: str
    """`user:<id>`, `device:<id>` or `everyone`."""
    payload: Payload
    """Text is sent as its UTF-8 bytes; a dict or a list as JSON."""
    message_id: str = ""
    """Names the change: the same id in the same channel is stored once. Empty: one is made."""
    valid_until_ms: int | None = None
    """Since 1970 UTC; by default the biz's retention decides."""
    os: Sequence[str] = ()
    app_version_min: str = ""
    app_version_max: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """One oplog that the server holds durably."""

    id: int
    """The oplog id in its channel; 0 for a biz that is not persistent."""
    message_id: str
    duplicate: bool
    """The message id was there before, under this id: a success too."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Send the content again, after so long."""

    wait_s: float


class Exchange:
    """One call of publish, over all its tries."""

    def __init__(
        self, publications: Sequence[Publication], retries: Retries, entropy: random.Random
    ) -> None:
        """Raises ValueError for an empty batch."""
        if not publications:
            raise ValueError("nothing to publish")
        self._retries = retries
        self._entropy = entropy
        self._failures = 0
        self._may_be_stored = False
        rows = [_row(each, entropy) for each in publications]
        self.message_ids = tuple(str(row["message_id"]) for row in rows)
        self.content = msgspec.json.encode(rows)

    def answered(self, status: int, body: bytes, retry_after: str = "") -> list[Published] | Wait:
        """What an answer means; `retry_after` is that header. Raises PublishError."""
        if status == 200:
            return self._published(body)
        error = _error_of(status, body)
        if status not in _RETRIED_STATUSES:
            raise self._named(self._final(status, error))
        # A gateway's 500, 502 and 504 say nothing about the server behind it.
        if error.code in _UNKNOWN_CODES or (not error.code and status != 429):
            self._may_be_stored = True
        return self._again(_seconds(retry_after), error)

    def unanswered(self, reason: str, *, sent: bool) -> Wait:
        """The connection failed: before anything was `sent`, or afterwards. Raises PublishError."""
        self._may_be_stored = self._may_be_stored or sent
        error = PublishError(f"no answer from the server: {reason}")
        return self._again(0.0, error)

    def distrusted(self, reason: str) -> NotStored:
        """The error to raise when the server's certificate is not trusted: waiting cannot help."""
        hint = "name the server's certificate, or its authority's, as ca_file"
        error = NotStored(f"the server is not trusted: {reason}", hint=hint)
        error.message_ids = self.message_ids
        return error

    def _final(self, status: int, error: PublishError) -> PublishError:
        if self._may_be_stored:
            # The refusal is of this try; an earlier one may have gone through.
            return _as(OutcomeUnknown, error)
        return _as(NotAllowed if status in {401, 403} else InvalidPublication, error)

    def _again(self, advised_s: float, error: PublishError) -> Wait:
        self._failures += 1
        wait_s = self._retries.wait_s(self._failures, advised_s, self._entropy)
        if wait_s is None:
            kind = OutcomeUnknown if self._may_be_stored else NotStored
            raise self._named(_as(kind, error))
        return Wait(wait_s)

    def _published(self, body: bytes) -> list[Published]:
        try:
            rows = msgspec.json.decode(body, type=list[_Row])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._named(OutcomeUnknown(f"not an answer of the API: {error}")) from None
        if len(rows) != len(self.message_ids):
            raise self._named(OutcomeUnknown("the answer is for another number of oplogs"))
        return [Published(row.id, row.message_id, row.code != "OK") for row in rows]

    def _named(self, error: PublishError) -> PublishError:
        error.message_ids = self.message_ids
        return error


class _Row(msgspec.Struct):
    id: int
    message_id: str
    code: str


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""
    hint: str = ""
    field: str = ""
    request_id: str = ""
    items: list[WrongItem] = []


class _Envelope(msgspec.Struct):
    error: _Error


def _row(publication: Publication, entropy: random.Random) -> dict[str, Any]:
    row: dict[str, Any] = {
        "biz": publication.biz,
        "target": publication.target,
        "message_id": publication.message_id or f"{entropy.getrandbits(128):032x}",
    }
    payload = publication.payload
    if isinstance(payload, str):
        row["payload"] = payload
    elif isinstance(payload, bytes):
        row["payload_base64"] = base64.b64encode(payload).decode()
    else:
        row["payload_json"] = payload
    if publication.valid_until_ms is not None:
        row["valid_until_ms"] = publication.valid_until_ms
    if publication.os:
        row["os"] = list(publication.os)
    if publication.app_version_min:
        row["app_version_min"] = publication.app_version_min
    if publication.app_version_max:
        row["app_version_max"] = publication.app_version_max
    return row


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
