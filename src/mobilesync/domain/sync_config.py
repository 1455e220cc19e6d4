"""The rules of one biz."""

from collections.abc import Callable
from typing import Annotated, Literal

from msgspec import Meta, Struct

from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.names import check_biz

DAY_S = 24 * 3600
RETENTION_S_MAX = 30 * DAY_S
PRIORITY_MAX = 100
REPUSH_THRESHOLD_MAX = 10_000
"""As many as one page of the log may hold: what is pushed again is chosen in one piece."""


def _said(description: str) -> Meta:
    """What the pages and the schema of the API say about a rule."""
    return Meta(description=description)


class SyncConfig(Struct, frozen=True, kw_only=True):
    """How oplogs of `biz` are kept and pushed."""

    biz: str
    description: Annotated[str, _said("for people; up to 1000 characters")] = ""
    scope: Annotated[
        Literal["any", "appointed", "global"],
        _said("appointed: only to one user or device; global: only to everyone; any: both"),
    ] = "any"
    target_kind: Annotated[
        Literal["any", "user", "device"],
        _said(
            "user: to users, and `everyone` means whoever is logged in; device: to devices, logged "
            "in or not; any: as each publish says"
        ),
    ] = "any"
    multi_device: Annotated[
        bool,
        _said(
            "true: each device of a user has its own sync point; false: the user has one, and the "
            "most recently connected device gets what is new"
        ),
    ] = True
    consumed_by: Annotated[
        Literal["each", "one"],
        _said("one: what one device of a user has processed is not shown on the others"),
    ] = "each"
    persistent: Annotated[
        bool, _said("false: pushed as notices to who is online now, and kept for nobody")
    ] = True
    retention_s: Annotated[int, _said("how long oplogs are kept; at most 30 days")] = (
        RETENTION_S_MAX
    )
    repush_threshold: Annotated[
        int, _said("of the backlog, a device that connects gets only the newest so many; 0: all")
    ] = 0
    user_check: Annotated[
        bool,
        _said("only for users whose session the app's own callback has validated; else withheld"),
    ] = False
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

    @property
    def has_user_points(self) -> bool:
        """Whether a user's sync point belongs to the user, and not to each device."""
        return not self.multi_device

    @property
    def is_open(self) -> bool:
        """Whether no rule withholds anything of the biz from anybody (rules.CHANNEL_RULES)."""
        return (
            self.status == "online"
            and self.target_kind != "user"
            and not self.user_check
            and self.multi_device
        )

    @property
    def is_simple(self) -> bool:
        """Whether all that devices get of the biz is what its channels hold, in turn."""
        return self.is_open and not self.repush_threshold


def check_sync_config(config: SyncConfig) -> SyncConfig:
    """`config`, or InvalidRequest."""
    check_biz(config.biz)
    _check_choice("scope", config.scope, ("any", "appointed", "global"))
    _check_choice("target_kind", config.target_kind, ("any", "user", "device"))
    _check_choice("consumed_by", config.consumed_by, ("each", "one"))
    _check_choice("status", config.status, ("online", "offline"))
    _check_range("retention_s", config.retention_s, 1, RETENTION_S_MAX, "seconds (30 days)")
    _check_range("repush_threshold", config.repush_threshold, 0, REPUSH_THRESHOLD_MAX, "; 0: all")
    _check_range("priority", config.priority, -PRIORITY_MAX, PRIORITY_MAX, ", higher goes first")
    if len(config.description) > 1000:
        raise InvalidRequest("description too long", field="description", hint="up to 1000")
    for field, broken, hint in _CONTRADICTIONS:
        if broken(config):
            raise InvalidRequest(f"{field} contradicts other rules", field=field, hint=hint)
    return config


_CONTRADICTIONS: tuple[tuple[str, Callable[[SyncConfig], bool], str], ...] = (
    (
        "multi_device",
        lambda c: not c.multi_device and (c.target_kind, c.scope) != ("user", "appointed"),
        "one sync point per user needs target_kind user and scope appointed",
    ),
    (
        "user_check",
        lambda c: c.user_check and c.target_kind != "user",
        "a user check needs target_kind user",
    ),
    (
        "consumed_by",
        lambda c: c.consumed_by == "one" and (c.target_kind, c.scope) != ("user", "appointed"),
        "consumed by one device needs target_kind user and scope appointed",
    ),
    (
        "consumed_by",
        lambda c: (
            c.consumed_by == "one"
            and not (c.multi_device and c.persistent and c.repush_threshold == 0)
        ),
        "consumed by one device needs multi_device, persistent, and no repush_threshold",
    ),
    (
        "repush_threshold",
        lambda c: bool(c.repush_threshold) and not c.persistent,
        "a biz that is not persistent has no backlog",
    ),
)


def _check_choice(field: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidRequest(f"not a {field}", field=field, hint=" or ".join(choices))


def _check_range(field: str, value: int, low: int, high: int, remark: str) -> None:
    if not low <= value <= high:
        hint = f"{low} to {high}{remark if remark[0] in ';,' else ' ' + remark}"
        raise InvalidRequest(f"{field} out of range", field=field, hint=hint)
