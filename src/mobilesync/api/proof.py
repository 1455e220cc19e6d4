"""Prove delivery: what happened to an oplog on a device, or on each device it is for (G9).

Not here: how that is found out (engine/explain.py).
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from mobilesync.api.operations import Desk, Operation, Request
from mobilesync.api.oplogs import WhichOplog, find_oplog, named_channel
from mobilesync.domain.channel import Channel
from mobilesync.domain.names import OWNER_BYTES_MAX, check_owner
from mobilesync.engine.explain import Explanation, Receipt

RECEIPTS_MAX = 200
"""Each is several reads of the store."""

Device = Annotated[str, Meta(description="device id")]
Reason = Annotated[str, Meta(description="one of those in reference/rules.md, such as `VERSION`")]
AtMs = Annotated[int, Meta(description="since 1970 UTC; 0: not, as far as is proven")]


class ExplainQuery(WhichOplog, kw_only=True, forbid_unknown_fields=True):
    """One oplog and one device. Exactly one of `id` and `message_id`."""

    device: Device


class ReceiptsQuery(WhichOplog, kw_only=True, forbid_unknown_fields=True):
    """One oplog, and a part of its devices. Exactly one of `id` and `message_id`."""

    after: Annotated[str, Meta(max_length=OWNER_BYTES_MAX, description="only above this id")] = ""
    limit: Annotated[int, Meta(ge=1, le=RECEIPTS_MAX)] = 50


class ExplainedOplog(Struct):
    """What happened to an oplog on a device, or why not yet."""

    biz: str
    target: str
    id: Annotated[int, Meta(description="0 for one that has none: scheduled, or not kept")]
    device: str
    reason: Reason
    sentence: Annotated[str, Meta(description="the reason in words, with what it is about")]
    sent_at_ms: AtMs
    received_at_ms: AtMs
    processed_at_ms: AtMs
    details: Annotated[
        dict[str, Any], Meta(description="what the sentence is about: versions, ids, times")
    ]


class ShownReceipt(Struct):
    """What happened to the oplog on one device."""

    device: str
    user: Annotated[str, Meta(description="who is logged in there, or was last")]
    online: bool
    reason: Reason
    sentence: str
    sent_at_ms: AtMs
    received_at_ms: AtMs
    processed_at_ms: AtMs


class Receipts(Struct):
    """The known devices that the oplog's target means, by id."""

    biz: str
    target: str
    id: int
    receipts: list[ShownReceipt]
    after: Annotated[str, Meta(description="ask on with it; empty at the end")]


async def explain(desk: Desk, request: Request[None, ExplainQuery]) -> ExplainedOplog:
    """Raises NotFound for a message id that nothing has, InvalidRequest, StoreUnavailable."""
    query = request.query
    channel = named_channel(request.app, query)
    device = check_owner(query.device, "device")
    explainer = desk.service.explainer
    if query.id is not None:
        explanation = await explainer.explain(channel, query.id, device)
        return _explained(channel, query.id, device, explanation)
    found = await explainer.explain_message(channel, query.message_id, device)
    return _explained(channel, found[0], device, found[1])


async def list_receipts(desk: Desk, request: Request[None, ReceiptsQuery]) -> Receipts:
    """Raises NotFound for a message id that no oplog has, InvalidRequest, StoreUnavailable."""
    query = request.query
    channel, oplog_id = await find_oplog(desk, request.app, query)
    explainer = desk.service.explainer
    found = await explainer.receipts(channel, oplog_id, query.after, query.limit)
    after = found[-1].device if len(found) == query.limit else ""
    rows = [_receipt(each) for each in found]
    return Receipts(channel.biz, channel.target, oplog_id, rows, after)


def _explained(
    channel: Channel, oplog_id: int, device: str, explanation: Explanation
) -> ExplainedOplog:
    return ExplainedOplog(
        channel.biz,
        channel.target,
        oplog_id,
        device,
        explanation.reason.name,
        explanation.sentence,
        explanation.sent_at_ms,
        explanation.received_at_ms,
        explanation.processed_at_ms,
        explanation.details,
    )


def _receipt(receipt: Receipt) -> ShownReceipt:
    explanation = receipt.explanation
    return ShownReceipt(
        receipt.device,
        receipt.user,
        receipt.online,
        explanation.reason.name,
        explanation.sentence,
        explanation.sent_at_ms,
        explanation.received_at_ms,
        explanation.processed_at_ms,
    )


_ERRORS = ("NOT_FOUND", "STORE_UNAVAILABLE")

OPERATIONS = (
    Operation(
        "GET",
        "/v1/apps/{app}/explain",
        "explain",
        "Explain what happened to an oplog on a device, or why not yet",
        explain,
        answer=ExplainedOplog,
        scope="inspect",
        query=ExplainQuery,
        errors=_ERRORS,
        description=(
            "What the journal proves, else which rule keeps the oplog from the device, else where "
            "it waits. Any oplog and any device may be asked about: that neither is there is an "
            "answer too, but for a message id that nothing has."
        ),
    ),
    Operation(
        "GET",
        "/v1/apps/{app}/receipts",
        "list_receipts",
        "List what happened to an oplog on each of its devices",
        list_receipts,
        answer=Receipts,
        scope="inspect",
        query=ReceiptsQuery,
        errors=_ERRORS,
        description=(
            "By device id: all known devices of the app for `everyone`, those on which the user "
            "was ever logged in for a user, or the one."
        ),
    ),
)
