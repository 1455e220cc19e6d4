"""What the service tells others: kinds of events, and the shape of whoever takes them.

Not here: who subscribes, and how it gets there (webhooks.py, outbox.py).
"""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

Kind = Literal[
    "oplog.delivered",
    "oplog.processed",
    "oplog.undelivered",
    "oplog.outcome",
    "device.online",
    "device.offline",
    "device.wake-up",
]


class Listener(Protocol):
    """Takes what happens, durably: with the commit that the advances of the same turn ride in."""

    def wants(self, app: str, kind: Kind, biz: str = "") -> bool:
        """Whether anybody wants to know; cheap."""

    def put(
        self,
        app: str,
        kind: Kind,
        data: Mapping[str, Any],
        *,
        biz: str = "",
        coalesce: str = "",
    ) -> None:
        """Tell all who want to know. What is not delivered yet and has the same `coalesce` is
        replaced. Must not raise."""

    def cancel(self, app: str, coalesce: str) -> None:
        """What has this `coalesce` and is not delivered yet is needless. Must not raise."""

    def put_for(self, app: str, webhook: str, kind: Kind, data: Mapping[str, Any]) -> None:
        """Tell one webhook, by its name. Must not raise."""

    def has(self, app: str, webhook: str) -> bool:
        """Whether the app has this webhook."""


class Nobody:
    """A Listener that wants to know nothing."""

    def wants(self, app: str, kind: Kind, biz: str = "") -> bool:
        return False

    def put(
        self,
        app: str,
        kind: Kind,
        data: Mapping[str, Any],
        *,
        biz: str = "",
        coalesce: str = "",
    ) -> None:
        return

    def cancel(self, app: str, coalesce: str) -> None:
        return

    def put_for(self, app: str, webhook: str, kind: Kind, data: Mapping[str, Any]) -> None:
        return

    def has(self, app: str, webhook: str) -> bool:
        return False
