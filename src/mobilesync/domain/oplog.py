"""The oplog: one stored change, and the draft that it is before it has an id."""

from msgspec import Struct

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Conditions


class Draft(Struct, frozen=True, gc=False):
    """What a publish asks to be stored, checked and complete but for the id."""

    channel: Channel
    payload: bytes
    message_id: str
    published_at_ms: int
    expires_at_ms: int
    """When it ends: by its own validity, or by the biz's retention, whichever comes first."""
    expires_by_retention: bool = True
    """Whether it is retention that ends it: a device that then misses it is told by a Reset."""
    conditions: Conditions | None = None


class Oplog(Struct, frozen=True, gc=False):
    """One stored change. Its channel is known from where it was read."""

    id: int
    payload: bytes
    message_id: str
    published_at_ms: int
    expires_at_ms: int
    expires_by_retention: bool = True
    conditions: Conditions | None = None


class Appended(Struct, frozen=True, gc=False):
    """The store's answer to one draft: its id, and whether the message id was there before."""

    id: int
    duplicate: bool = False


def oplog_of(draft: Draft, oplog_id: int) -> Oplog:
    """The oplog that `draft` becomes under `oplog_id`."""
    return Oplog(
        oplog_id,
        draft.payload,
        draft.message_id,
        draft.published_at_ms,
        draft.expires_at_ms,
        draft.expires_by_retention,
        draft.conditions,
    )
