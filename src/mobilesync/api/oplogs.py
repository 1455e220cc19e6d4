"""Oplogs as the API shows them, and which oplog a call means.

Strategy: whatever was said in a publish is shown under the same names. What is as it is by default
is left out, so that most oplogs are short.

Not here: the operations (inspection.py, scheduled.py, proof.py, interventions.py).
"""

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from mobilesync.api.operations import Desk, check_channel
from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Conditions
from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.names import check_message_id
from mobilesync.domain.oplog import Details, Oplog, WithdrawalReason
from mobilesync.protocol.limits import ID_MAX

OplogId = Annotated[int, Meta(ge=0, le=ID_MAX, description="oplog id")]
MessageId = Annotated[str, Meta(description="of its publish, in place of `id`")]

_WITHDRAWN: dict[WithdrawalReason, Literal["recalled", "consumed"]] = {
    WithdrawalReason.RECALLED: "recalled",
    WithdrawalReason.CONSUMED: "consumed",
}


class ShownConditions(Struct, omit_defaults=True, kw_only=True):
    """Which devices an oplog is for. What is left out admits all."""

    os: tuple[str, ...] = ()
    app_version_min: str = ""
    app_version_max: str = ""
    users: tuple[str, ...] = ()
    user_number_min: int = 0
    user_number_max: int = 0
    attributes: dict[str, tuple[str, ...]] = {}
    rollout_percent: float = 100.0
    rollout_salt: str = ""
    device: Annotated[
        str, Meta(description="only this device of the user: the oplog offers another one again")
    ] = ""


class ShownOrigin(Struct):
    """The oplog, of the same biz, that is offered again."""

    target: str
    id: int
    by_operator: bool


class ShownWithdrawal(Struct):
    """What an oplog withdraws."""

    ids: Annotated[list[tuple[int, int]], Meta(description="first and last id of each range")]
    reason: Literal["recalled", "consumed"]
    by: Annotated[str, Meta(description="the device that has consumed them")] = ""


class ShownWithdrawn(Struct):
    """How an oplog was withdrawn."""

    by_id: Annotated[int, Meta(description="the oplog that withdraws it, in the same channel")]
    reason: Literal["recalled", "consumed"]
    at_ms: int
    by: Annotated[str, Meta(description="the device that has consumed it")] = ""


class ShownContent(ShownConditions, omit_defaults=True, kw_only=True):
    """What an oplog holds. `payload` if it is text, else `payload_base64`."""

    payload: str | UnsetType = UNSET
    payload_base64: bytes | UnsetType = UNSET
    key: str = ""
    callback: str = ""


class StoredOplog(ShownContent, omit_defaults=True, kw_only=True):
    """One oplog as stored."""

    id: int
    message_id: str
    published_at_ms: int
    expires_at_ms: int
    origin: ShownOrigin | None = None
    withdraws: ShownWithdrawal | None = None
    withdrawn: Annotated[
        ShownWithdrawn | None, Meta(description="the payload of a recalled oplog is gone")
    ] = None


_Shown = TypeVar("_Shown", bound=ShownContent)


def stored(oplog: Oplog) -> StoredOplog:
    """`oplog` as the API shows it."""
    details = oplog.details or Details()
    shown = StoredOplog(
        id=oplog.id,
        message_id=oplog.message_id,
        published_at_ms=oplog.published_at_ms,
        expires_at_ms=oplog.expires_at_ms,
    )
    if details.origin is not None:
        shown.origin = ShownOrigin(*msgspec.structs.astuple(details.origin))
    if details.withdraws is not None:
        ranges = [(first, last) for first, last in details.withdraws.ids]
        reason = _WITHDRAWN[details.withdraws.reason]
        shown.withdraws = ShownWithdrawal(ranges, reason, details.withdraws.by)
    if details.withdrawn is not None:
        withdrawn = details.withdrawn
        reason = _WITHDRAWN[withdrawn.reason]
        shown.withdrawn = ShownWithdrawn(withdrawn.by_id, reason, withdrawn.at_ms, withdrawn.by)
    return with_content(shown, oplog.payload, oplog.conditions, details)


def with_content(
    shown: _Shown, payload: bytes, conditions: Conditions | None, details: Details | None
) -> _Shown:
    """`shown`, with what it holds filled in."""
    try:
        shown.payload = payload.decode()
    except UnicodeDecodeError:
        shown.payload_base64 = payload
    if details is not None:
        shown.key, shown.callback = details.key, details.callback
    if conditions is not None:
        for name in ("os", "app_version_min", "app_version_max", "users", "device"):
            setattr(shown, name, getattr(conditions, name))
        shown.user_number_min = conditions.user_number_min
        shown.user_number_max = conditions.user_number_max
        shown.attributes = dict(conditions.attributes)
        if conditions.rollout is not None:
            shown.rollout_percent = conditions.rollout.percent
            shown.rollout_salt = conditions.rollout.salt
    return shown


def weight(oplog: Oplog) -> int:
    """About how many bytes it takes to show `oplog`: conditions may be larger than payloads."""
    conditions = oplog.conditions
    more = 0 if conditions is None else len(msgspec.msgpack.encode(conditions))
    return len(oplog.payload) + more


class WhichOplog(Struct, kw_only=True):
    """One oplog. Exactly one of `id` and `message_id`."""

    biz: str
    target: Annotated[str, Meta(description="`user:<id>`, `device:<id>` or `everyone`")]
    id: OplogId | None = None
    message_id: MessageId = ""


def named_channel(app: str, which: WhichOplog) -> Channel:
    """The channel, when `which` names one oplog of it. Raises InvalidRequest."""
    check_channel(which.biz, which.target)
    if (which.id is None) == (not which.message_id):
        hint = "exactly one of id and message_id"
        raise InvalidRequest("which oplog?", field="id", hint=hint)
    if which.message_id:
        check_message_id(which.message_id)
    return Channel(app, which.biz, which.target)


async def find_oplog(desk: Desk, app: str, which: WhichOplog) -> tuple[Channel, int]:
    """Channel and id of what `which` names; the id need not exist. Raises InvalidRequest, and
    NotFound for a message id that no oplog has."""
    channel = named_channel(app, which)
    if which.id is not None:
        return channel, which.id
    return channel, await desk.service.explainer.find(channel, which.message_id)
