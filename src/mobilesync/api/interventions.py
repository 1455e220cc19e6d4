"""What people do to stored oplogs and to devices, over HTTP: recall, replay, offer again.

Each is durable when the answer comes, and is noted in the audit.

Not here: how they are carried out (engine/interventions.py).
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from mobilesync.api.audit import note
from mobilesync.api.operations import Desk, NoQuery, Operation, Request, check_channel
from mobilesync.api.oplogs import OplogId, WhichOplog, find_oplog
from mobilesync.api.strict_json import JsonBody
from mobilesync.domain.channel import Channel


class RecallBody(WhichOplog, kw_only=True, forbid_unknown_fields=True):
    """The oplog to recall. Exactly one of `id` and `message_id`."""


class RecalledOplog(Struct):
    """An oplog that no device gets any more."""

    id: int
    by_id: Annotated[int, Meta(description="the oplog that withdraws it, in the same channel")]
    duplicate: Annotated[bool, Meta(description="it had been recalled before")]


class OfferBody(WhichOplog, kw_only=True, forbid_unknown_fields=True):
    """The oplog to offer again. Exactly one of `id` and `message_id`."""


class OfferedOplog(Struct):
    """An oplog that was appended anew, for one device."""

    biz: str
    target: str
    id: int


class ReplayBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where to put a device's sync point back to."""

    biz: str
    target: str
    to: Annotated[OplogId, Meta(description="it gets again what comes after; 0: all there is")]


class ReplayOrder(Struct):
    """A replay that is carried out at the device's next login."""

    floor: Annotated[int, Meta(description="where the device goes on; what ended stays ended")]
    received_before: Annotated[int, Meta(description="its sync point until now")]
    online: Annotated[bool, Meta(description="it was connected, and logs in again at once")]


async def recall(desk: Desk, request: Request[RecallBody, NoQuery]) -> RecalledOplog:
    """Raises NotFound, InvalidRequest, Refused, OutcomeUnknown."""
    channel, oplog_id = await find_oplog(desk, request.app, request.body)
    recalled = await desk.service.interventions.recall(channel, oplog_id)
    if not recalled.duplicate:
        await note(desk, request, "oplog_recalled", _where(channel, oplog_id))
    return RecalledOplog(recalled.id, recalled.by_id, recalled.duplicate)


async def offer_again(desk: Desk, request: Request[OfferBody, NoQuery]) -> OfferedOplog:
    """Raises NotFound, InvalidRequest, Refused, OutcomeUnknown."""
    device = request.path["device"]
    channel, oplog_id = await find_oplog(desk, request.app, request.body)
    offered = await desk.service.interventions.offer_again(channel, oplog_id, device)
    await note(desk, request, "oplog_offered", {**_where(channel, oplog_id), "device": device})
    return OfferedOplog(channel.biz, offered.target, offered.id)


async def replay(desk: Desk, request: Request[ReplayBody, NoQuery]) -> ReplayOrder:
    """Raises NotFound, InvalidRequest, Refused, OutcomeUnknown."""
    device, body = request.path["device"], request.body
    check_channel(body.biz, body.target)
    channel = Channel(request.app, body.biz, body.target)
    replayed = await desk.service.interventions.replay(channel, device, body.to)
    details = {"biz": body.biz, "target": body.target, "device": device, "to": replayed.floor}
    await note(desk, request, "device_replayed", details)
    return ReplayOrder(replayed.floor, replayed.received_before, replayed.online)


def _where(channel: Channel, oplog_id: int) -> dict[str, Any]:
    return {"biz": channel.biz, "target": channel.target, "id": oplog_id}


_ERRORS = ("NOT_FOUND", "STORE_UNAVAILABLE", "OUTCOME_UNKNOWN")
_DEVICE = "/v1/apps/{app}/devices/{device}"

OPERATIONS = (
    Operation(
        "POST",
        "/v1/apps/{app}/recalls",
        "recall",
        "Recall an oplog",
        recall,
        answer=RecalledOplog,
        scope="publish",
        body=JsonBody(RecallBody),
        errors=_ERRORS,
        description=(
            "From the answer on it is pushed to nobody, and its payload is erased from the store. "
            "Devices that hold it are told, if their SDK asks for withdrawals. Recalling it again "
            "succeeds and does nothing."
        ),
    ),
    Operation(
        "POST",
        f"{_DEVICE}/replays",
        "replay",
        "Put a device's sync point back",
        replay,
        answer=ReplayOrder,
        scope="configure",
        body=JsonBody(ReplayBody),
        errors=_ERRORS,
        description=(
            "The device is pushed again what comes after `to` and is still valid, and its handlers "
            "are called again. It is kept until the device has followed, however often it "
            "disconnects. To have one oplog come again, offer it."
        ),
    ),
    Operation(
        "POST",
        f"{_DEVICE}/offers",
        "offer_again",
        "Offer one oplog to a device again",
        offer_again,
        answer=OfferedOplog,
        scope="configure",
        body=JsonBody(OfferBody),
        errors=_ERRORS,
        description=(
            "It is appended anew for this device, whatever the device has had. An oplog for "
            "everyone comes in the device's own channel, one for a user in the user's, where only "
            "this device gets it."
        ),
    ),
)
