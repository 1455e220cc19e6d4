"""A Listener that remembers what it was told."""

from collections.abc import Mapping
from typing import Any

from mobilesync.engine.happenings import Kind


class Ear:
    """Wants `wanted`, and knows one webhook: `orders`."""

    def __init__(self, *wanted: Kind) -> None:
        self.wanted = set(wanted)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.cancelled: list[str] = []

    def wants(self, app: str, kind: Kind, biz: str = "") -> bool:
        return kind in self.wanted

    def put(
        self,
        app: str,
        kind: Kind,
        data: Mapping[str, Any],
        *,
        biz: str = "",
        coalesce: str = "",
    ) -> None:
        assert kind in self.wanted
        self.told.append((kind, dict(data)))

    def cancel(self, app: str, coalesce: str) -> None:
        self.cancelled.append(coalesce)

    def put_for(self, app: str, webhook: str, kind: Kind, data: Mapping[str, Any]) -> None:
        assert webhook == "orders"
        self.told.append((kind, dict(data)))

    def has(self, app: str, webhook: str) -> bool:
        return webhook == "orders"

    def of(self, kind: Kind) -> list[dict[str, Any]]:
        """What was told of `kind`."""
        return [data for said, data in self.told if said == kind]

    def outcomes(self) -> list[tuple[int, str, str]]:
        """(id, outcome, device) of each outcome told."""
        said = self.of("oplog.outcome")
        return [(data["id"], data["outcome"], data["device"]) for data in said]
