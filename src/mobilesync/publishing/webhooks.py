"""Receive webhooks: check that a request comes from your Mobilesync server, and read it.

Strategy: the scheme of Standard Webhooks 1.0 (HMAC-SHA256 over `<id>.<seconds>.<body>`), so any
library for it works as well. Nothing of a request is looked at before its signature is good.

Not here: HTTP; use whatever web framework you have, and give it the body's bytes as they came.

Invariant: comparing takes the same time wherever two signatures differ.
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

TOLERANCE_S = 300.0
"""How far the sender's clock may be from this one; what is older may be a repetition by others."""
_PREFIX = "whsec_"


class WebhookRefused(Exception):
    """The request does not come from whoever has the secret, or is too old: answer it with 401."""


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One thing that has happened."""

    id: str
    """The same whenever this event is sent again: keep it, and you take each event once."""
    type: str
    """Such as `oplog.delivered`; ignore those that you do not know."""
    app: str
    at_ms: int
    data: dict[str, Any]
    biz: str = ""


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """The events of one request, in order."""

    webhook: str
    events: tuple[WebhookEvent, ...]


class _Event(msgspec.Struct):
    id: str
    type: str
    app: str
    at_ms: int
    data: dict[str, Any]
    biz: str = ""


class _Body(msgspec.Struct):
    webhook: str
    events: list[_Event]


def verify_webhook(
    secret: str | Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    now_s: float | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> WebhookRequest:
    """The events in `body`, once its signature was found good.

    `secret` is what the server has shown when the webhook was made; while you change it, give the
    old one and the new one. `body` must be the bytes as they came.

    Raises WebhookRefused; ValueError for a secret that is none.
    """
    keys = [_key(each) for each in ([secret] if isinstance(secret, str) else secret)]
    given = {name.lower(): value for name, value in headers.items()}
    try:
        request_id, sent, signatures = (
            given[f"webhook-{name}"] for name in ("id", "timestamp", "signature")
        )
    except KeyError as missing:
        raise WebhookRefused(f"the header {missing} is missing") from None
    if not sent.isascii() or not sent.isdigit() or len(sent) > 15:
        raise WebhookRefused("webhook-timestamp is no time in seconds")
    now_s = time.time() if now_s is None else now_s
    if abs(now_s - int(sent)) > tolerance_s:
        raise WebhookRefused("the request is too old, or one of the clocks is wrong")
    signed = f"{request_id}.{sent}.".encode("utf-8", "surrogateescape") + body
    digests = [hmac.new(key, signed, hashlib.sha256).digest() for key in keys]
    if not any(_is_one_of(digests, each) for each in signatures.split()):
        raise WebhookRefused("no signature is good: is it the secret of this webhook?")
    return _read(body)


def _read(body: bytes) -> WebhookRequest:
    try:
        read = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WebhookRefused(f"signed, but not by Mobilesync: {error}") from None
    events = tuple(WebhookEvent(e.id, e.type, e.app, e.at_ms, e.data, e.biz) for e in read.events)
    return WebhookRequest(read.webhook, events)


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        # With an empty key anybody could sign.
        raise ValueError("not a webhook's secret: whsec_ and base64")
    return key


def _is_one_of(digests: list[bytes], signature: str) -> bool:
    """Whether `signature` is a good one of version 1; other versions are passed over."""
    version, _, text = signature.partition(",")
    if version != "v1":
        return False
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return any(hmac.compare_digest(digest, found) for digest in digests)
