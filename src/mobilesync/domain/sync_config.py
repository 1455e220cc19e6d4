"""The rules of one biz."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.names import check_biz

DAY_S = 24 * 3600
RETENTION_S_MAX = 30 * DAY_S
PRIORITY_MAX = 100


def _said(description: str) -> Meta:
    """What the pages and the schema of the API say about a rule."""
    return Meta(description=description)


class SyncConfig(Struct, frozen=True, kw_only=True):
    """How oplogs of `biz` are kept and pushed."""

    biz: str
    description: Annotated[str, _said("for people; up to 1000 characters")] = ""
    persistent: Annotated[
        bool, _said("false: pushed as notices to who is online now, and kept for nobody")
    ] = True
    retention_s: Annotated[int, _said("how long oplogs are kept; at most 30 days")] = (
        RETENTION_S_MAX
    )
    status: Annotated[
        Literal["online", "offline"],
        _said("offline refuses publishes and withholds the backlog until it is online again"),
    ] = "online"
    priority: Annotated[
        int,
        _said(
            "which biz goes first while a device catches up: the higher one, -100 to 100; "
            "the order inside a channel does not depend on it"
        ),
    ] = 0


def check_sync_config(config: SyncConfig) -> SyncConfig:
    """`config`, or InvalidRequest."""
    check_biz(config.biz)
    if not 1 <= config.retention_s <= RETENTION_S_MAX:
        hint = f"1 to {RETENTION_S_MAX} seconds (30 days)"
        raise InvalidRequest("retention out of range", field="retention_s", hint=hint)
    if config.status not in {"online", "offline"}:
        raise InvalidRequest("not a status", field="status", hint="online or offline")
    if not -PRIORITY_MAX <= config.priority <= PRIORITY_MAX:
        hint = f"{-PRIORITY_MAX} to {PRIORITY_MAX}, higher goes first"
        raise InvalidRequest("priority out of range", field="priority", hint=hint)
    if len(config.description) > 1000:
        raise InvalidRequest("description too long", field="description", hint="up to 1000")
    return config
