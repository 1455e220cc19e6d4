"""What the engine needs of whoever carries requests to receivers of webhooks.

Not here: HTTP (transports/courier.py).
"""

from collections.abc import Mapping
from typing import Protocol

from mobilesync.domain.errors import MobilesyncError


class NotDelivered(MobilesyncError):
    """There was no answer: nobody was there, or it came too late. The receiver may have got it."""

    code = "NOT_DELIVERED"


class Courier(Protocol):
    """Carries one request, and tells how it was received."""

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> int:
        """POST `body` to exactly `url`, and answer the status.

        Raises NotDelivered when there is none, for whatever reason, after at most `timeout_s`.
        """
