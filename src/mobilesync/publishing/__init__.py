"""Publish oplogs from a business server: `Publisher`, or `AsyncPublisher` in asyncio programs.
`verify_webhook` checks and reads what the server tells it in turn.

Needs httpx: `pip install 'mobilesync[publish]'`. It speaks the HTTP API and shares no code with
the server.
"""

from mobilesync.publishing.errors import (
    InvalidPublication,
    NotAllowed,
    NotStored,
    OutcomeUnknown,
    PublishError,
    WrongItem,
)
from mobilesync.publishing.exchange import Publication, Published
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
    "InvalidPublication",
    "NotAllowed",
    "NotStored",
    "OutcomeUnknown",
    "Publication",
    "PublishError",
    "Published",
    "Publisher",
    "Retries",
    "WebhookEvent",
    "WebhookRefused",
    "WebhookRequest",
    "WrongItem",
    "verify_webhook",
]
