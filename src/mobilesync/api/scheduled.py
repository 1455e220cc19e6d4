"""Scheduled oplogs, over HTTP: what waits, and having one of them never appended.

Not here: scheduling, which is a publish with `valid_from_ms` (publish.py); when what is appended
(engine/scheduler.py).
"""

from typing import Annotated

from msgspec import Meta, Struct

from mobilesync.api.errors import HttpError
from mobilesync.api.operations import Desk, Operation, Request, check_channel
from mobilesync.api.oplogs import ShownContent, with_content
from mobilesync.domain.channel import Channel
from mobilesync.domain.names import check_biz, check_message_id
from mobilesync.engine.scheduled import Scheduled
from mobilesync.engine.scheduler import PAGE_COUNT_MAX

PAGE_BYTES_MAX = 1024 * 1024


class ScheduleQuery(Struct, forbid_unknown_fields=True):
    """A part of what waits."""

    biz: Annotated[str, Meta(description="only of this biz")] = ""
    after: Annotated[str, Meta(description="the `after` of the page before")] = ""
    limit: Annotated[int, Meta(ge=1, le=PAGE_COUNT_MAX)] = 100


class CancelQuery(Struct, forbid_unknown_fields=True):
    """One scheduled oplog."""

    biz: str
    target: str
    message_id: str


class ScheduledOplog(ShownContent, omit_defaults=True, kw_only=True):
    """One oplog that is not appended yet."""

    biz: str
    target: str
    message_id: str
    due_ms: Annotated[
        int,
        Meta(
            description="when it is appended; in the past it waits for its biz to come online, "
            "or for the store"
        ),
    ]
    expires_at_ms: int


class SchedulePage(Struct):
    """Scheduled oplogs in the order in which they will be appended."""

    scheduled: list[ScheduledOplog]
    after: Annotated[str, Meta(description="ask on with it; empty at the end")]


async def list_scheduled(desk: Desk, request: Request[None, ScheduleQuery]) -> SchedulePage:
    """One page of what waits in the app."""
    query = request.query
    if query.biz:
        check_biz(query.biz)
    page = await desk.service.scheduler.page(
        request.app, query.after, query.limit, biz=query.biz, bytes_max=PAGE_BYTES_MAX
    )
    return SchedulePage([_shown(item) for item in page.items], page.after)


async def cancel_scheduled(desk: Desk, request: Request[None, CancelQuery]) -> None:
    """Raises HttpError (NOT_FOUND) when nothing waits under this message id."""
    query = request.query
    check_channel(query.biz, query.target)
    channel = Channel(request.app, query.biz, query.target)
    if not await desk.service.scheduler.cancel(channel, check_message_id(query.message_id)):
        hint = "it was never scheduled, or was due and is published"
        raise HttpError("NOT_FOUND", "no such scheduled oplog", field="message_id", hint=hint)


def _shown(item: Scheduled) -> ScheduledOplog:
    draft = item.draft
    shown = ScheduledOplog(
        biz=draft.channel.biz,
        target=draft.channel.target,
        message_id=draft.message_id,
        due_ms=item.due_ms,
        expires_at_ms=draft.expires_at_ms,
    )
    return with_content(shown, draft.payload, draft.conditions, draft.details)


_SCHEDULED = "/v1/apps/{app}/scheduled"

OPERATIONS = (
    Operation(
        "GET",
        _SCHEDULED,
        "list_scheduled",
        "List what is scheduled, page by page",
        list_scheduled,
        answer=SchedulePage,
        scope="inspect",
        query=ScheduleQuery,
        description=(
            "In the order in which it will be appended. A page ends early after 1 MiB of "
            "payloads; go on with its `after` until that is empty."
        ),
    ),
    Operation(
        "DELETE",
        _SCHEDULED,
        "cancel_scheduled",
        "Cancel a scheduled oplog before it is due",
        cancel_scheduled,
        scope="publish",
        query=CancelQuery,
        status=204,
        errors=("NOT_FOUND", "STORE_UNAVAILABLE", "OUTCOME_UNKNOWN"),
        description=(
            "Durable when the answer comes: it is then never appended. NOT_FOUND when it does not "
            "wait, for instance because it was due in that moment."
        ),
    ),
)
