"""What a publish call brings, and what it is answered.

Not here: what is checked, and what happens then (publisher.py).
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.oplog import Draft


class Publication(Struct, frozen=True, kw_only=True):
    """One item of a publish call, as the business wrote it: not checked yet."""

    biz: str
    target: str
    """`user:<id>`, `device:<id>` or `everyone`."""
    payload: bytes
    message_id: str = ""
    """Makes a repeated publish harmless. Empty: the service makes one."""
    valid_from_ms: int | None = None
    """When it is to be appended, if that is in the future: until then it is scheduled."""
    valid_until_ms: int | None = None
    """When it ends; at the latest with the biz's retention."""
    os: tuple[str, ...] = ()
    app_version_min: str = ""
    app_version_max: str = ""
    users: tuple[str, ...] = ()
    user_number_min: int = 0
    user_number_max: int = 0
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Custom attributes, with the values that are admitted."""
    rollout_percent: float = 100.0
    rollout_salt: str = ""
    """Empty: the biz. Oplogs of one salt go to the same share of the devices."""
    key: str = ""
    """It replaces older oplogs of its key, for devices that have not got them."""
    callback: str = ""
    """The webhook that is told what became of it."""


class Published(Struct, frozen=True):
    """The answer for one item. It is durable."""

    id: int
    """The oplog id; 0 for a notice, which has none, and while it is scheduled."""
    message_id: str
    duplicate: bool = False
    """The message id was in the channel already: `id` is the first one's (G8)."""
    scheduled: bool = False
    """It is kept, and appended when it is due."""


class Checked(Struct, frozen=True):
    """One item of a call that may be carried out."""

    draft: Draft
    due_ms: int
    """When it is to be appended; 0 for now."""
    is_notice: bool

    @property
    def is_due(self) -> bool:
        """Whether it is to be appended now."""
        return not self.due_ms and not self.is_notice


class InvalidBatch(InvalidRequest):
    """Some items of the call are wrong; nothing was stored."""

    code = "INVALID_BATCH"

    def __init__(self, items: list[tuple[int, InvalidRequest]]) -> None:
        super().__init__(
            f"{len(items)} invalid item(s); nothing was stored",
            field="oplogs",
            hint="see items for what is wrong with each",
        )
        self.items = items
