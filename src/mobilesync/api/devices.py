"""Devices and users, over HTTP: who they are, since when they are on- or offline, how far they are.

Strategy: what is known of a device is told from its living session, if it has one, else from what
was noted when it was here last. Sync points come with the heads of their channels, so that one look
says what a device lacks.

Not here: what happened to single oplogs (proof.py), what is published (inspection.py).
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from mobilesync.api.audit import note
from mobilesync.api.errors import HttpError
from mobilesync.api.operations import Desk, NoQuery, Operation, Request
from mobilesync.domain.channel import Channel, user_target
from mobilesync.domain.names import OWNER_BYTES_MAX
from mobilesync.domain.sync_point import Head, SyncPoint, user_owner
from mobilesync.engine.attendance import known_of
from mobilesync.engine.devices import KnownDevice
from mobilesync.engine.replays import Replay
from mobilesync.protocol.codes import Waits

DEVICES_MAX = 1000
USER_DEVICES_MAX = 100
"""Of one page: each comes with all its sync points."""

AtMs = Annotated[int, Meta(description="since 1970 UTC; 0: not known")]
After = Annotated[str, Meta(max_length=OWNER_BYTES_MAX, description="only above this device id")]
Waiting = Literal["", "no_handler", "handler_failed"]

_WAITS: dict[int, Waiting] = {
    Waits.NO_HANDLER: "no_handler",
    Waits.HANDLER_FAILED: "handler_failed",
}


class DevicesQuery(Struct, forbid_unknown_fields=True):
    """A part of an app's devices."""

    after: After = ""
    limit: Annotated[int, Meta(ge=1, le=DEVICES_MAX)] = 100


class UserQuery(Struct, forbid_unknown_fields=True):
    """A part of a user's devices."""

    after: After = ""
    limit: Annotated[int, Meta(ge=1, le=USER_DEVICES_MAX)] = 20


class KnownPoint(Struct):
    """How far somebody is in a channel."""

    biz: str
    target: str
    epoch: int
    received: int
    processed: int
    sent: Annotated[int, Meta(description="pushed, and not acked when the session ended; or 0")]
    last: Annotated[int, Meta(description="the channel's last id")]
    waits: Annotated[Waiting, Meta(description="why the oplog after `processed` is not handled")]
    restarts: Annotated[int, Meta(description="how often the point was put back")]


class SeenDevice(Struct, kw_only=True):
    """What is known of a device that has ever connected."""

    device: str
    online: bool
    user: Annotated[str, Meta(description="who is logged in, or was last; empty for nobody")] = ""
    os: str = ""
    app_version: str = ""
    attributes: dict[str, str] = {}
    sdk: str = ""
    first_seen_ms: AtMs = 0
    online_since_ms: Annotated[AtMs, Meta(description="when its last session opened")] = 0
    offline_since_ms: Annotated[
        AtMs, Meta(description="when it ended; 0 while it lives, or if the server died with it")
    ] = 0


class DevicePage(Struct):
    """Devices by id."""

    devices: list[SeenDevice]
    after: Annotated[str, Meta(description="ask on with it; empty at the end")]


class PendingReplay(Struct):
    """A replay that the device has not followed yet."""

    biz: str
    target: str
    floor: int
    received_before: int
    asked_at_ms: int


class Device(SeenDevice, kw_only=True):
    """One device: its session, if it has one now, and its sync points."""

    points: list[KnownPoint]
    replays: list[PendingReplay]


class UserDevice(SeenDevice, kw_only=True):
    """One device of a user, with its sync points in the user's channels."""

    points: list[KnownPoint]


class User(Struct):
    """A user's devices by id: all on which the user was ever logged in."""

    user: str
    devices: list[UserDevice]
    points: Annotated[
        list[KnownPoint], Meta(description="of bizzes where the sync point is the user's")
    ]
    after: Annotated[str, Meta(description="ask on with it; empty at the end")]


async def list_devices(desk: Desk, request: Request[None, DevicesQuery]) -> DevicePage:
    """One page of all that ever connected."""
    query = request.query
    page = await desk.service.devices.page(request.app, query.after, query.limit)
    after = page[-1].device if len(page) == query.limit else ""
    rows = [SeenDevice(**_seen(desk, request.app, known)) for known in page]
    return DevicePage(rows, after)


async def show_device(desk: Desk, request: Request[None, NoQuery]) -> Device:
    """Raises HttpError (NOT_FOUND) for a device that never was here."""
    app, device = request.app, request.path["device"]
    service = desk.service
    points = await service.store.points(app, device)
    known = await service.devices.find(app, device)
    session = service.sessions.of_device(app, device)
    if known is None and session is None and not points:
        hint = "no device of this id has ever connected to the app"
        raise HttpError("NOT_FOUND", "no such device", field="device", hint=hint)
    return Device(
        **_seen(desk, app, known or KnownDevice(device=device)),
        points=await _shown(desk, app, points),
        replays=[_pending(each) for each in service.replays.of_device(app, device).values()],
    )


async def show_user(desk: Desk, request: Request[None, UserQuery]) -> User:
    """Raises HttpError (NOT_FOUND) for a user who never was here, and has no channel."""
    app, user, query = request.app, request.path["user"], request.query
    service = desk.service
    names = await service.devices.of_user(app, user, query.limit, query.after)
    target = user_target(user)
    heads = await service.store.heads(app, [target])
    if not names and not heads:
        hint = "nobody of this id was ever logged in, and nothing was published to them"
        raise HttpError("NOT_FOUND", "no such user", field="user", hint=hint)
    devices: list[UserDevice] = []
    for name in names:
        known = await service.devices.find(app, name) or KnownDevice(device=name)
        points = await service.store.points(app, name)
        own = {channel: point for channel, point in points.items() if channel.target == target}
        devices.append(UserDevice(**_seen(desk, app, known), points=_rows(own, heads)))
    shared = await service.store.points(app, user_owner(user))
    after = names[-1] if len(names) == query.limit else ""
    return User(user, devices, _rows(shared, heads), after)


async def end_session(desk: Desk, request: Request[None, NoQuery]) -> None:
    """Raises HttpError (NOT_FOUND) when the device is not online."""
    app, device = request.app, request.path["device"]
    if not desk.service.sessions.kick(app, device, "ended by the business"):
        raise HttpError("NOT_FOUND", "the device is not online", field="device")
    # It is ended even if it cannot be noted: a broken disk must not keep an operator from that.
    await note(desk, request, "session_ended", {"device": device})


def _seen(desk: Desk, app: str, known: KnownDevice) -> dict[str, Any]:
    """The members of a SeenDevice."""
    session = desk.service.sessions.of_device(app, known.device)
    if session is not None:
        known = known_of(session)
    return {
        "device": known.device,
        "online": session is not None,
        "user": known.user,
        "os": known.os,
        "app_version": known.app_version,
        "attributes": known.attributes,
        "sdk": known.sdk,
        "first_seen_ms": known.first_seen_ms,
        "online_since_ms": known.online_since_ms,
        "offline_since_ms": known.offline_since_ms,
    }


async def _shown(desk: Desk, app: str, points: Mapping[Channel, SyncPoint]) -> list[KnownPoint]:
    targets = sorted({channel.target for channel in points})
    return _rows(points, await desk.service.store.heads(app, targets))


def _rows(points: Mapping[Channel, SyncPoint], heads: Mapping[Channel, Head]) -> list[KnownPoint]:
    ordered: Iterable[tuple[Channel, SyncPoint]] = sorted(points.items())
    return [
        KnownPoint(
            channel.biz,
            channel.target,
            point.epoch,
            point.received,
            point.processed,
            point.sent,
            heads[channel].last if channel in heads else 0,
            _WAITS.get(point.waits, ""),
            point.restarts,
        )
        for channel, point in ordered
    ]


def _pending(replay: Replay) -> PendingReplay:
    channel = replay.channel
    return PendingReplay(
        channel.biz, channel.target, replay.floor, replay.received_before, replay.asked_at_ms
    )


_DEVICE = "/v1/apps/{app}/devices/{device}"

OPERATIONS = (
    Operation(
        "GET",
        "/v1/apps/{app}/devices",
        "list_devices",
        "List the devices of an app, page by page",
        list_devices,
        answer=DevicePage,
        scope="inspect",
        query=DevicesQuery,
        errors=("STORE_UNAVAILABLE",),
        description="All that have ever connected, by id.",
    ),
    Operation(
        "GET",
        _DEVICE,
        "show_device",
        "Show a device: who it is, online or not, and its sync points",
        show_device,
        answer=Device,
        scope="inspect",
        errors=("NOT_FOUND", "STORE_UNAVAILABLE"),
    ),
    Operation(
        "GET",
        "/v1/apps/{app}/users/{user}",
        "show_user",
        "Show a user: devices, and how far each is",
        show_user,
        answer=User,
        scope="inspect",
        query=UserQuery,
        errors=("NOT_FOUND", "STORE_UNAVAILABLE"),
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
