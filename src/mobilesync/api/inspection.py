"""Look inside: channels, oplogs, devices, and the journal that proves delivery (G9).

Strategy: each answer is one bounded read of the store, in pages where there may be more.

Not here: changing anything, but for ending a session.
"""

from typing import Annotated

import structlog
from msgspec import UNSET, Meta, Struct, UnsetType

from mobilesync.api.errors import HttpError
from mobilesync.api.operations import Desk, NoQuery, Operation, Request, check_channel
from mobilesync.domain.channel import Channel, parse_target
from mobilesync.domain.conditions import Conditions
from mobilesync.domain.errors import OutcomeUnknown, Refused, TooLarge
from mobilesync.domain.oplog import Oplog
from mobilesync.protocol.limits import ID_MAX

log = structlog.get_logger(__name__)

LIMIT_MAX = 1000
PAGE_BYTES_MAX = 1024 * 1024
CHANNELS_MAX = 5000

After = Annotated[int, Meta(ge=0, le=ID_MAX, description="only above this oplog id")]
Limit = Annotated[int, Meta(ge=1, le=LIMIT_MAX)]


class TargetQuery(Struct, forbid_unknown_fields=True):
    """Whose channels."""

    target: Annotated[str, Meta(description="`user:<id>`, `device:<id>` or `everyone`")]


class PageQuery(Struct, forbid_unknown_fields=True):
    """A part of one channel."""

    biz: str
    target: str
    after: After = 0
    limit: Limit = 100


class ChannelHead(Struct):
    """How far a channel goes."""

    biz: str
    target: str
    last: Annotated[int, Meta(description="the highest oplog id given")]
    floor: Annotated[int, Meta(description="all up to this one may have ended by retention")]
    epoch: int


class Channels(Struct):
    """The channels of a target, by biz."""

    channels: list[ChannelHead]


class StoredOplog(Struct, omit_defaults=True, kw_only=True):
    """One oplog as stored. `payload` if it is text, else `payload_base64`."""

    id: int
    message_id: str
    published_at_ms: int
    expires_at_ms: int
    payload: str | UnsetType = UNSET
    payload_base64: bytes | UnsetType = UNSET
    os: tuple[str, ...] = ()
    app_version_min: str = ""
    app_version_max: str = ""


class OplogPage(Struct):
    """Oplogs in ascending order."""

    oplogs: list[StoredOplog]
    upto: Annotated[int, Meta(description="complete up to this id; ask on with after=upto")]
    last: Annotated[int, Meta(description="the channel's last id: the end when upto reaches it")]


class DevicePoint(Struct):
    """How far a device is in a channel."""

    biz: str
    target: str
    epoch: int
    received: int
    processed: int
    last: Annotated[int, Meta(description="the channel's last id")]


class Device(Struct, kw_only=True):
    """One device: its session, if it has one now, and its sync points."""

    device: str
    online: bool
    user: Annotated[str, Meta(description="logged in on its session; empty for none")] = ""
    os: str = ""
    app_version: str = ""
    points: list[DevicePoint]


class JournalStep(Struct):
    """A sync point moved, at that time: everything up to the ids was received, and processed."""

    epoch: int
    received: int
    processed: int
    at_ms: int


class Journal(Struct):
    """Steps of one device's sync point in one channel, oldest first."""

    steps: list[JournalStep]


async def list_channels(desk: Desk, request: Request[None, TargetQuery]) -> Channels:
    """The heads of all channels of a target."""
    target = parse_target(request.query.target)
    heads = await desk.service.store.heads(request.app, [target])
    if len(heads) > CHANNELS_MAX:
        raise TooLarge("too many channels to list", field="target")
    rows = [
        ChannelHead(channel.biz, channel.target, head.last, head.floor, head.epoch)
        for channel, head in sorted(heads.items())
    ]
    return Channels(rows)


async def read_oplogs(desk: Desk, request: Request[None, PageQuery]) -> OplogPage:
    """One page of a channel."""
    query = request.query
    check_channel(query.biz, query.target)
    channel = Channel(request.app, query.biz, query.target)
    store = desk.service.store
    page = await store.read(channel, query.after, query.limit, PAGE_BYTES_MAX)
    head = (await store.heads(request.app, [query.target])).get(channel)
    # The head was read last, so it is not below the page; only an `after` past the end is.
    last = head.last if head else 0
    return OplogPage([_stored(oplog) for oplog in page.oplogs], min(page.upto, last), last)


async def show_device(desk: Desk, request: Request[None, NoQuery]) -> Device:
    """Raises HttpError (NOT_FOUND) for a device that never was here."""
    app, device = request.app, request.path["device"]
    store = desk.service.store
    points = await store.points(app, device)
    session = desk.service.sessions.of_device(app, device)
    if session is None and not points:
        hint = "no device of this id has ever connected to the app"
        raise HttpError("NOT_FOUND", "no such device", field="device", hint=hint)
    heads = await store.heads(app, sorted({channel.target for channel in points}))
    rows = [
        DevicePoint(
            channel.biz,
            channel.target,
            point.epoch,
            point.received,
            point.processed,
            heads[channel].last if channel in heads else 0,
        )
        for channel, point in sorted(points.items())
    ]
    if session is None:
        return Device(device=device, online=False, points=rows)
    return Device(
        device=device,
        online=True,
        user=session.user,
        os=session.attributes.os,
        app_version=session.attributes.app_version,
        points=rows,
    )


async def read_journal(desk: Desk, request: Request[None, PageQuery]) -> Journal:
    """The proof of delivery, step by step."""
    query = request.query
    check_channel(query.biz, query.target)
    channel = Channel(request.app, query.biz, query.target)
    device = request.path["device"]
    steps = await desk.service.store.journal(channel, device, query.after, query.limit)
    rows = [JournalStep(step.epoch, step.received, step.processed, step.at_ms) for step in steps]
    return Journal(rows)


async def end_session(desk: Desk, request: Request[None, NoQuery]) -> None:
    """Raises HttpError (NOT_FOUND) when the device is not online."""
    app, device = request.app, request.path["device"]
    if not desk.service.sessions.kick(app, device, "ended by the business"):
        raise HttpError("NOT_FOUND", "the device is not online", field="device")
    try:
        await desk.service.audit.note(app, request.who, "session_ended", {"device": device})
    except (Refused, OutcomeUnknown) as refusal:
        # It is ended all the same: a broken disk must not keep an operator from that.
        log.warning("session_end_not_noted", request_id=request.request_id, reason=refusal.hint)


def _stored(oplog: Oplog) -> StoredOplog:
    conditions = oplog.conditions or Conditions()
    stored = StoredOplog(
        id=oplog.id,
        message_id=oplog.message_id,
        published_at_ms=oplog.published_at_ms,
        expires_at_ms=oplog.expires_at_ms,
        os=conditions.os,
        app_version_min=conditions.app_version_min,
        app_version_max=conditions.app_version_max,
    )
    try:
        stored.payload = oplog.payload.decode()
    except UnicodeDecodeError:
        stored.payload_base64 = oplog.payload
    return stored


_DEVICE = "/v1/apps/{app}/devices/{device}"

OPERATIONS = (
    Operation(
        "GET",
        "/v1/apps/{app}/channels",
        "list_channels",
        "List the channels of a target, with their heads",
        list_channels,
        answer=Channels,
        scope="inspect",
        query=TargetQuery,
        errors=("TOO_LARGE",),
    ),
    Operation(
        "GET",
        "/v1/apps/{app}/oplogs",
        "read_oplogs",
        "Read the oplogs of a channel, page by page",
        read_oplogs,
        answer=OplogPage,
        scope="inspect",
        query=PageQuery,
        description="A page ends early after 1 MiB of payloads; go on with `after=upto`.",
    ),
    Operation(
        "GET",
        _DEVICE,
        "show_device",
        "Show a device: online or not, and its sync points",
        show_device,
        answer=Device,
        scope="inspect",
        errors=("NOT_FOUND",),
    ),
    Operation(
        "GET",
        f"{_DEVICE}/journal",
        "read_journal",
        "Read how a device's sync point in a channel moved, and when",
        read_journal,
        answer=Journal,
        scope="inspect",
        query=PageQuery,
        description="The proof of delivery: `after` leaves out steps up to that received id.",
    ),
    Operation(
        "DELETE",
        f"{_DEVICE}/session",
        "end_session",
        "End a device's session: it must log in anew",
        end_session,
        scope="configure",
        status=204,
        errors=("NOT_FOUND",),
    ),
)
