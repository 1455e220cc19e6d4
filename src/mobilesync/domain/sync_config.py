"""The rules of one biz."""

from typing import Literal

from msgspec import Struct

from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.names import check_biz

DAY_S = 24 * 3600
RETENTION_S_MAX = 30 * DAY_S


class SyncConfig(Struct, frozen=True, kw_only=True):
    """How oplogs of `biz` are kept and pushed."""

    biz: str
    description: str = ""
    persistent: bool = True
    """False: pushed as notices to who is online now, and kept for nobody."""
    retention_s: int = RETENTION_S_MAX
    """How long oplogs are kept; at most 30 days."""
    status: Literal["online", "offline"] = "online"
    """Offline refuses publishes and withholds the backlog until the biz is online again."""


def check_sync_config(config: SyncConfig) -> SyncConfig:
    """`config`, or InvalidRequest."""
    check_biz(config.biz)
    if not 1 <= config.retention_s <= RETENTION_S_MAX:
        hint = f"1 to {RETENTION_S_MAX} seconds (30 days)"
        raise InvalidRequest("retention out of range", field="retention_s", hint=hint)
    if config.status not in {"online", "offline"}:
        raise InvalidRequest("not a status", field="status", hint="online or offline")
    if len(config.description) > 1000:
        raise InvalidRequest("description too long", field="description", hint="up to 1000")
    return config
