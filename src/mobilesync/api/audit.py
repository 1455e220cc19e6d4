"""Who did what, over HTTP: the audit of an app, and of what concerns the whole server.

Not here: what is noted and how long it is kept (engine/audit.py).
"""

from collections.abc import Mapping
from typing import Annotated, Any

import structlog
from msgspec import Meta, Struct

from mobilesync.api.keys import authorize
from mobilesync.api.operations import Desk, Operation, Request
from mobilesync.domain.errors import OutcomeUnknown, Refused
from mobilesync.engine.audit import SERVER, AuditEntry
from mobilesync.protocol.limits import ID_MAX

log = structlog.get_logger(__name__)

LIMIT_MAX = 1000

_Id = Annotated[int, Meta(ge=0, le=ID_MAX)]


class AuditQuery(Struct, forbid_unknown_fields=True):
    """A part of the entries. Ids are times, in microseconds since 1970 UTC."""

    after: Annotated[_Id, Meta(description="only entries with ids above it")] = 0
    before: Annotated[
        _Id | None, Meta(description="only entries with ids below it: the next page")
    ] = None
    action: Annotated[str, Meta(description="only these; empty for all")] = ""
    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX)] = 100


class AuditPage(Struct):
    """Entries, newest first."""

    entries: list[AuditEntry]


async def read_audit(desk: Desk, request: Request[None, AuditQuery]) -> AuditPage:
    """Those of one app."""
    return await _page(desk, request.app, request.query)


async def read_server_audit(desk: Desk, request: Request[None, AuditQuery]) -> AuditPage:
    """Those of no app. Raises HttpError (FORBIDDEN) for a key of one app."""
    assert request.key is not None, "this operation needs a scope"
    authorize(request.key, "admin", "")
    return await _page(desk, SERVER, request.query)


async def _page(desk: Desk, app: str, query: AuditQuery) -> AuditPage:
    entries = await desk.service.audit.read(
        app, after=query.after, before=query.before, action=query.action, limit=query.limit
    )
    return AuditPage(entries)


async def note(
    desk: Desk, request: Request[Any, Any], action: str, details: Mapping[str, Any]
) -> None:
    """Keep that the caller has done something, which is done already: that nobody can note it is
    logged, and changes nothing."""
    try:
        await desk.service.audit.note(request.app, request.who, action, details)
    except (Refused, OutcomeUnknown) as refusal:
        log.warning("not_noted", action=action, request_id=request.request_id, reason=refusal.hint)


_ERRORS = ("INVALID_REQUEST", "STORE_UNAVAILABLE")

OPERATIONS = (
    Operation(
        "GET",
        "/v1/apps/{app}/audit",
        "read_audit",
        "Read who did what in an app, newest first",
        read_audit,
        answer=AuditPage,
        scope="configure",
        query=AuditQuery,
        errors=_ERRORS,
        description="For the next page, ask with `before` set to the last entry's id.",
    ),
    Operation(
        "GET",
        "/v1/audit",
        "read_server_audit",
        "Read who did what beyond any app, newest first",
        read_server_audit,
        answer=AuditPage,
        scope="admin",
        query=AuditQuery,
        errors=_ERRORS,
        description="API keys for all apps, made and revoked.",
    ),
)
