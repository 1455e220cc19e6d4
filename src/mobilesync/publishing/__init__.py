"""Publish oplogs from a business server: `Publisher`, or `AsyncPublisher` in asyncio programs.
`verify_webhook` checks and reads what the server tells it in turn.

Needs httpx: `pip install 'mobilesync[publish]'`. It speaks the HTTP API and shares no code with
the server.
"""

from mobilesync.publishing.answers import (
    DryRun,
    Explanation,
    Offered,
    Published,
    Reached,
    Recalled,
    Receipt,
    Replayed,
)
from mobilesync.publishing.errors import (
    InvalidPublication,
    InvalidRequest,
    NotAllowed,
    NotStored,
    OutcomeUnknown,
    PublishError,
    Unavailable,
    WrongItem,
)
from mobilesync.publishing.publication import Publication, PublishOptions
from mobilesync.publishing.publisher import AsyncPublisher, Publisher
from mobilesync.publishing.retries import Retries
from mobilesync.publishing.webhooks import (
    WebhookEvent,
    WebhookRefused,
    WebhookRequest,
    verify_webhook,
)

__all__ = [
    "AsyncPublisher",
    "DryRun",
    "Explanation",
    "InvalidPublication",
    "InvalidRequest",
    "NotAllowed",
    "NotStored",
    "Offered",
    "OutcomeUnknown",
    "Publication",
    "PublishError",
    "PublishOptions",
    "Published",
    "Publisher",
    "Reached",
    "Recalled",
    "Receipt",
    "Replayed",
    "Retries",
    "Unavailable",
    "WebhookEvent",
    "WebhookRefused",
    "WebhookRequest",
    "WrongItem",
    "verify_webhook",
]
