"""The oplog: one stored change, and the draft that it is before it has an id."""

from enum import IntEnum

from msgspec import Struct, structs

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Conditions
from mobilesync.domain.message_id import whole_message_id


class WithdrawalReason(IntEnum):
    """Why an oplog is not for devices any more (spec §5, Withdrawal)."""

    RECALLED = 1
    """The publisher took it back."""
    CONSUMED = 2
    """Another device of the user has processed it."""


class Origin(Struct, frozen=True, array_like=True, gc=False):
    """Which oplog is offered again; its biz is the same."""

    target: str
    id: int
    by_operator: bool = False
    """Whether an operator asked for it: then it is pushed also to who has had it."""


class Withdrawal(Struct, frozen=True, array_like=True, gc=False):
    """What an oplog that withdraws others says of them."""

    ids: tuple[tuple[int, int], ...]
    """(first, last) of each range of ids; ascending, not overlapping."""
    reason: WithdrawalReason
    by: str = ""
    """The device that has processed them, if that is the reason."""


class Withdrawn(Struct, frozen=True, array_like=True, gc=False):
    """What became of an oplog that was withdrawn."""

    by_id: int
    """The oplog that withdrew it, in the same channel."""
    reason: WithdrawalReason
    at_ms: int
    by: str = ""
    """As in Withdrawal."""


class Details(Struct, frozen=True, array_like=True, gc=False):
    """What only some oplogs have."""

    key: str = ""
    """What it is the newest value of: it replaces older oplogs of its key (coalescing)."""
    callback: str = ""
    """The webhook that is told what became of it."""
    origin: Origin | None = None
    withdraws: Withdrawal | None = None
    withdrawn: Withdrawn | None = None


class Draft(Struct, frozen=True, gc=False):
    """What a publish asks to be stored, checked and complete but for the id."""

    channel: Channel
    payload: bytes
    message_id: str
    """For a publisher that gave none, the beginning of one (message_id.py)."""
    published_at_ms: int
    expires_at_ms: int
    """When it ends: by its own validity, or by the biz's retention, whichever comes first."""
    expires_by_retention: bool = True
    """Whether it is retention that ends it: a device that then misses it is told by a Reset."""
    conditions: Conditions | None = None
    details: Details | None = None


class Oplog(Struct, frozen=True, gc=False):
    """One stored change. Its channel is known from where it was read."""

    id: int
    payload: bytes
    """Empty once it is recalled."""
    message_id: str
    published_at_ms: int
    expires_at_ms: int
    expires_by_retention: bool = True
    conditions: Conditions | None = None
    details: Details | None = None

    @property
    def key(self) -> str:
        """Its coalescing key, or nothing."""
        return self.details.key if self.details is not None else ""

    @property
    def withdrawn(self) -> Withdrawn | None:
        """How it was withdrawn, if it was."""
        return self.details.withdrawn if self.details is not None else None


class Appended(Struct, frozen=True, gc=False):
    """The store's answer to one draft: its id, and whether the message id was there before."""

    id: int
    duplicate: bool = False


def oplog_of(draft: Draft, oplog_id: int) -> Oplog:
    """The oplog that `draft` becomes under `oplog_id`."""
    return Oplog(
        oplog_id,
        draft.payload,
        whole_message_id(draft.message_id, oplog_id),
        draft.published_at_ms,
        draft.expires_at_ms,
        draft.expires_by_retention,
        draft.conditions,
        draft.details,
    )


def may_withdraw(oplog: Oplog, reason: WithdrawalReason) -> bool:
    """Whether a withdrawal for `reason` changes `oplog`: not once it is recalled, and a recall also
    takes back what was only consumed. What itself withdraws others stays."""
    details = oplog.details
    if details is None:
        return True
    if details.withdraws is not None:
        return False
    recalled = WithdrawalReason.RECALLED
    withdrawn = details.withdrawn
    return withdrawn is None or (withdrawn.reason is not recalled and reason is recalled)


def withdrawn_oplog(oplog: Oplog, withdrawn: Withdrawn) -> Oplog:
    """What is left of `oplog`: all but, when it was recalled, its payload."""
    details = structs.replace(oplog.details or Details(), withdrawn=withdrawn)
    recalled = withdrawn.reason is WithdrawalReason.RECALLED
    return structs.replace(oplog, payload=b"" if recalled else oplog.payload, details=details)
