"""The endpoints of MSS, so that a business written for it can be pointed here.

Strategy: an order of MSS becomes one ordinary publish; nothing else is done for it. What we cannot
do as asked is refused: leaving a filter out would send data to people who must not have it.
The page docs/mss-compatibility.md gives every rule that is applied here.

Not here: MSS's own request signatures; callers send an API key.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from mobilesync.api.errors import ErrorBody, HttpError
from mobilesync.api.keys import authorize
from mobilesync.api.operations import Desk, Operation, Request
from mobilesync.api.strict_json import JsonBody, invalid
from mobilesync.domain.channel import EVERYONE, device_target, user_target
from mobilesync.domain.errors import InvalidRequest, TooLarge
from mobilesync.engine.publisher import InvalidBatch, Publication
from mobilesync.protocol.limits import ID_MAX

SECONDS_BELOW = 100_000_000_000
"""A smaller time is in seconds (up to the year 5138), any other in milliseconds (from 1973)."""
ORDER_BYTES_MAX = 256 * 1024
"""An order has one payload of a few thousand characters: the ordinary API's bound, for batches,
would let one order without end hold up everybody for seconds."""
START_LEEWAY_MS = 60_000
"""How far the caller's clock may be ahead before a validity counts as future."""

Time = Annotated[int, Meta(ge=0, le=ID_MAX, description="seconds or milliseconds since 1970 UTC")]


class InstanceQuery(Struct, rename="camel", forbid_unknown_fields=True):
    """Which app."""

    instance_id: Annotated[str, Meta(description="`<workspaceId>_<appId>`")] = ""


class GlobalOrder(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """An order to publish to everyone."""

    biz_type: str
    payload: str
    third_message_id: Annotated[
        str, Meta(description="the message id: a repeat is not stored again")
    ] = msgspec.field(name="thirdMsgId")
    os_type: Annotated[str, Meta(description="`iOS`, `Android` …; empty for all")] = ""
    app_min_version: str = ""
    app_max_version: str = ""
    valid_time_start: Time = 0
    valid_time_end: Time | None = None
    app_id: str = ""
    workspace_id: str = ""
    ext_attr_str: Annotated[str, Meta(description="not supported: must be empty")] = ""
    uids: Annotated[str, Meta(description="not supported: must be empty")] = ""
    min_uid: Annotated[int | None, Meta(description="not supported: must be left out")] = None
    max_uid: Annotated[int | None, Meta(description="not supported: must be left out")] = None


class SingleOrder(GlobalOrder, kw_only=True):
    """An order to publish to one user, or to one device."""

    link_token: Annotated[str, Meta(description="user id; device id for bizzes set up so")]
    check_online: Annotated[bool, Meta(description="not supported: must be false")] = False


class MssAnswer(Struct, rename="camel"):
    """The answer in MSS's shape; `oplogId` and `requestId` are ours."""

    success: bool
    result_code: Annotated[str, Meta(description="OK or DUPLICATED_BIZ_ID for a success")]
    result_message: str = msgspec.field(name="resultMsg")
    oplog_id: int
    request_id: str


class MssError(Struct, rename="camel"):
    """An error in MSS's shape, with the one error shape inside."""

    error: ErrorBody
    success: bool
    result_code: str
    result_message: str = msgspec.field(name="resultMsg")


class OrderBody(JsonBody[Any]):
    """An order, with member names in either documented spelling: `bizType` or `BizType`."""

    def __init__(self, form: type[GlobalOrder]) -> None:
        super().__init__(form)
        self._members = JsonBody[dict[str, Any]](dict[str, Any])

    def decode(self, body: bytes) -> Any:
        """As JsonBody.decode, and TooLarge. null counts as left out, as Java's writers mean it."""
        if len(body) > ORDER_BYTES_MAX:
            raise TooLarge("the order is too large", hint=f"at most {ORDER_BYTES_MAX} bytes")
        members: dict[str, Any] = {}
        for spelled, value in self._members.decode(body).items():
            name = spelled[:1].lower() + spelled[1:]
            if name in members:
                hint = "bizType and BizType are the same member: send one"
                raise HttpError("MALFORMED_BODY", "a member stands twice", hint=hint)
            if value is not None:
                members[name] = value
        try:
            # Times come as numbers or as text of digits.
            return msgspec.convert(members, self.form, strict=False)
        except msgspec.ValidationError as error:
            raise invalid(error) from None


async def publish_single(desk: Desk, request: Request[SingleOrder, InstanceQuery]) -> MssAnswer:
    """Publish to the user or device that linkToken means."""
    order = request.body
    if order.check_online:
        raise _unsupported("checkOnline")
    app = _app(desk, request)
    by_device = f"{app}/{order.biz_type}" in desk.options.mss.device_bizzes
    target = device_target(order.link_token) if by_device else user_target(order.link_token)
    return await _publish(desk, request, app, target)


async def publish_global(desk: Desk, request: Request[GlobalOrder, InstanceQuery]) -> MssAnswer:
    """Publish to everyone."""
    return await _publish(desk, request, _app(desk, request), EVERYONE)


async def _publish(
    desk: Desk, request: Request[Any, InstanceQuery], app: str, target: str
) -> MssAnswer:
    order: GlobalOrder = request.body
    _check(order, desk)
    publication = Publication(
        biz=order.biz_type,
        target=target,
        payload=order.payload.encode(),
        message_id=order.third_message_id,
        valid_until_ms=None if order.valid_time_end is None else _ms(order.valid_time_end),
        os=(order.os_type,) if order.os_type else (),
        app_version_min=order.app_min_version,
        app_version_max=order.app_max_version,
    )
    try:
        published = (await desk.service.publisher.publish(app, [publication]))[0]
    except InvalidBatch as batch:
        raise _renamed(batch.items[0][1]) from None
    code = "DUPLICATED_BIZ_ID" if published.duplicate else "OK"
    text = "the same order is stored already" if published.duplicate else "stored"
    return MssAnswer(True, code, text, published.id, request.request_id)


def _check(order: GlobalOrder, desk: Desk) -> None:
    if not order.third_message_id:
        hint = "MSS demands one, and it is what makes a retry safe"
        raise InvalidRequest("an order needs a message id", field="thirdMsgId", hint=hint)
    chars_max = desk.options.mss.payload_chars_max
    if len(order.payload) > chars_max:
        hint = f"at most {chars_max} characters, as in MSS; the ordinary API takes more"
        raise TooLarge("the payload is too large", field="payload", hint=hint)
    if _ms(order.valid_time_start) > desk.service.clock.wall_ms() + START_LEEWAY_MS:
        hint = "leave validTimeStart out, and send the order when it is due"
        raise HttpError(
            "SCHEDULING_UNSUPPORTED",
            "the validity begins in the future",
            field="validTimeStart",
            hint=hint,
        )
    for field, value in (
        ("extAttrStr", order.ext_attr_str),
        ("uids", order.uids),
        ("minUid", order.min_uid),
        ("maxUid", order.max_uid),
    ):
        if value not in {"", None}:
            raise _unsupported(field)


def _app(desk: Desk, request: Request[Any, InstanceQuery]) -> str:
    """The app of the instanceId. Raises UnknownApp, HttpError (FORBIDDEN), InvalidRequest."""
    order: GlobalOrder = request.body
    named = f"{order.workspace_id}_{order.app_id}" if order.workspace_id or order.app_id else ""
    instance = request.query.instance_id or named
    if not instance or (named and named != instance):
        hint = "send ?instanceId=<workspaceId>_<appId>; the body may not say otherwise"
        raise InvalidRequest("which app?", field="instanceId", hint=hint)
    app = app_of_instance(instance, desk.options.mss.instances)
    assert request.key is not None, "these operations need a scope"
    authorize(request.key, "publish", app)
    return desk.service.apps.get(app).name


def app_of_instance(instance: str, instances: Mapping[str, str]) -> str:
    """The app that callers of MSS mean with an instanceId.

    The whole of it counts: dropping the workspace would mix test data into production.
    """
    return instances.get(instance, instance.lower())


def _ms(time: int) -> int:
    return time * 1000 if time < SECONDS_BELOW else time


_MEMBERS = {
    "biz": "bizType",
    "target": "linkToken",
    "user": "linkToken",
    "device": "linkToken",
    "message_id": "thirdMsgId",
    "valid_until_ms": "validTimeEnd",
    "os": "osType",
    "app_version_min": "appMinVersion",
}


def _renamed(error: InvalidRequest) -> InvalidRequest:
    """The same error, about the member that the caller sent."""
    error.field = _MEMBERS.get(error.field, error.field)
    return error


def _unsupported(field: str) -> HttpError:
    hint = "leave it out; see docs/mss-compatibility.md"
    return HttpError("UNSUPPORTED_FIELD", f"{field} is not supported", field=field, hint=hint)


def _error_form(body: ErrorBody) -> MssError:
    return MssError(body, False, body.code, body.message)


_ERRORS = ("UNKNOWN_APP", "UNKNOWN_BIZ", "BIZ_OFFLINE", "UNSUPPORTED_FIELD",
           "SCHEDULING_UNSUPPORTED", "STORE_UNAVAILABLE", "OUTCOME_UNKNOWN")  # fmt: skip

OPERATIONS = (
    Operation(
        "POST",
        "/webapi/sync/single",
        "mss_single",
        "As in MSS: publish to one user or device",
        publish_single,
        answer=MssAnswer,
        scope="publish",
        body=OrderBody(SingleOrder),
        query=InstanceQuery,
        errors=_ERRORS,
        error_form=_error_form,
    ),
    Operation(
        "POST",
        "/webapi/sync/global",
        "mss_global",
        "As in MSS: publish to everyone",
        publish_global,
        answer=MssAnswer,
        scope="publish",
        body=OrderBody(GlobalOrder),
        query=InstanceQuery,
        errors=_ERRORS,
        error_form=_error_form,
    ),
)
