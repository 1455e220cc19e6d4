"""The endpoints of MSS, so that a business written for it can be pointed here.

Strategy: an order of MSS becomes one ordinary publish; nothing else is done for it. What we cannot
do as asked, or of which nobody knows what it asks, is refused: leaving a filter out would send data
to people who must not have it.
The page docs/mss-compatibility.md gives every rule that is applied here.

Not here: MSS's own request signatures; callers send an API key.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from mobilesync.api.errors import ErrorBody, HttpError
from mobilesync.api.keys import authorize
from mobilesync.api.operations import Desk, Operation, Request
from mobilesync.api.publish import decode_base64
from mobilesync.api.strict_json import JsonBody, invalid
from mobilesync.domain.channel import EVERYONE, device_target, user_target
from mobilesync.domain.conditions import USER_NUMBER_MAX
from mobilesync.domain.errors import InvalidRequest, TooLarge
from mobilesync.engine.publication import InvalidBatch, Publication
from mobilesync.protocol.limits import ID_MAX

SECONDS_BELOW = 100_000_000_000
"""A smaller time is in seconds (up to the year 5138), any other in milliseconds (from 1973)."""
ORDER_BYTES_MAX = 256 * 1024
"""An order has one payload of a few thousand characters: the ordinary API's bound, for batches,
would let one order without end hold up everybody for seconds."""
START_LEEWAY_MS = 60_000
"""How far the caller's clock may be ahead before a validity counts as future."""

_REFUSED = "not supported: must be empty"
Uid = Annotated[int, Meta(ge=0, le=USER_NUMBER_MAX)]
Time = Annotated[int, Meta(ge=0, le=ID_MAX, description="seconds or milliseconds since 1970 UTC")]


class InstanceQuery(Struct, rename="camel", forbid_unknown_fields=True):
    """Which app."""

    instance_id: Annotated[str, Meta(description="`<workspaceId>_<appId>`")] = ""


class Order(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """What orders of both kinds have."""

    biz_type: str
    payload: Annotated[str | None, Meta(description="text; or `binaryPayload`")] = None
    binary_payload: Annotated[str | None, Meta(description="bytes in base64")] = None
    third_message_id: Annotated[
        str, Meta(description="the message id: a repeat is not stored again")
    ] = msgspec.field(name="thirdMsgId")
    os_type: Annotated[str, Meta(description="`iOS`, `Android` …; empty for all")] = ""
    app_min_version: str = ""
    app_max_version: str = ""
    valid_time_start: Annotated[Time, Meta(description="in the future: it is scheduled")] = 0
    valid_time_end: Time | None = None
    uids: Annotated[
        str, Meta(description="only for these users: ids, separated by commas; up to 1000")
    ] = ""
    min_uid: Annotated[
        Uid | None, Meta(description="only for users whose id is a number from here on")
    ] = None
    max_uid: Annotated[
        Uid | None, Meta(description="only for users whose id is a number up to here")
    ] = None
    app_id: str = ""
    workspace_id: str = ""
    account: Annotated[str, Meta(description="ignored: the instanceId names the app")] = (
        msgspec.field(name="tenantId", default="")
    )
    ext_attr_str: Annotated[str, Meta(description=_REFUSED)] = ""
    biz_tag: Annotated[str, Meta(description=_REFUSED)] = ""
    client_app: Annotated[str, Meta(description=_REFUSED)] = ""
    device_id: Annotated[str, Meta(description=_REFUSED)] = ""
    immediate_sync: Annotated[bool, Meta(description="must be true: it is pushed at once")] = True


class GlobalOrder(Order, kw_only=True):
    """An order to publish to everyone."""


class SingleOrder(Order, kw_only=True):
    """An order to publish to one user, or to one device."""

    link_token: Annotated[str, Meta(description="user id; device id for bizzes set up so")]
    check_online: Annotated[
        bool, Meta(description="refuse with TARGET_OFFLINE unless the target is connected")
    ] = False


class MssAnswer(Struct, rename="camel"):
    """The answer in MSS's shape; `oplogId` and `requestId` are ours."""

    success: bool
    result_code: Annotated[str, Meta(description="OK or DUPLICATED_BIZ_ID for a success")]
    result_message: str = msgspec.field(name="resultMsg")
    oplog_id: Annotated[int, Meta(description="0 while it is scheduled")]
    request_id: str


class MssError(Struct, rename="camel"):
    """An error in MSS's shape, with the one error shape inside."""

    error: ErrorBody
    success: bool
    result_code: str
    result_message: str = msgspec.field(name="resultMsg")


_OTHERWISE = {"validStart": "validTimeStart", "validEnd": "validTimeEnd"}
"""What Alipay's own API calls some members."""


def member_of(spelled: str) -> str:
    """The member's name here: `bizType` for `BizType` and for `biz_type`."""
    name = re.sub(r"_([a-z])", lambda letter: letter[1].upper(), spelled[:1].lower() + spelled[1:])
    return _OTHERWISE.get(name, name)


class OrderBody(JsonBody[Any]):
    """An order, with member names in any documented spelling."""

    def __init__(self, form: type[Order]) -> None:
        super().__init__(form)
        self._members = JsonBody[dict[str, Any]](dict[str, Any])

    def decode(self, body: bytes) -> Any:
        """As JsonBody.decode, and TooLarge. null counts as left out, as Java's writers mean it."""
        if len(body) > ORDER_BYTES_MAX:
            raise TooLarge("the order is too large", hint=f"at most {ORDER_BYTES_MAX} bytes")
        members: dict[str, Any] = {}
        for spelled, value in self._members.decode(body).items():
            name = member_of(spelled)
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
    app = _app(desk, request)
    by_device = f"{app}/{order.biz_type}" in desk.options.mss.device_bizzes
    target = device_target(order.link_token) if by_device else user_target(order.link_token)
    if order.check_online and not _is_online(desk, app, order.link_token, by_device=by_device):
        hint = "leave checkOnline out to have it kept until the target connects"
        raise HttpError("TARGET_OFFLINE", "nobody is connected", field="linkToken", hint=hint)
    return await _publish(desk, request, app, _publication(desk, order, target))


async def publish_global(desk: Desk, request: Request[GlobalOrder, InstanceQuery]) -> MssAnswer:
    """Publish to everyone, or to those users of everyone that the order names."""
    app = _app(desk, request)
    return await _publish(desk, request, app, _publication(desk, request.body, EVERYONE))


async def _publish(
    desk: Desk, request: Request[Any, InstanceQuery], app: str, publication: Publication
) -> MssAnswer:
    try:
        published = (await desk.service.publisher.publish(app, [publication]))[0]
    except InvalidBatch as batch:
        raise _renamed(batch.items[0][1]) from None
    code = "DUPLICATED_BIZ_ID" if published.duplicate else "OK"
    text = "scheduled" if published.scheduled else "stored"
    if published.duplicate:
        text = "the same order is stored already"
    return MssAnswer(True, code, text, published.id, request.request_id)


def _publication(desk: Desk, order: Order, target: str) -> Publication:
    """The publish that `order` means. Raises InvalidRequest, TooLarge, HttpError."""
    _check(order)
    start_ms = _ms(order.valid_time_start)
    is_later = start_ms > desk.service.clock.wall_ms() + START_LEEWAY_MS
    return Publication(
        biz=order.biz_type,
        target=target,
        payload=_payload(order, desk.options.mss.payload_chars_max),
        message_id=order.third_message_id,
        valid_from_ms=start_ms if is_later else None,
        valid_until_ms=None if order.valid_time_end is None else _ms(order.valid_time_end),
        os=(order.os_type,) if order.os_type else (),
        app_version_min=order.app_min_version,
        app_version_max=order.app_max_version,
        users=tuple(uid for part in order.uids.split(",") if (uid := part.strip())),
        user_number_min=order.min_uid or 0,
        user_number_max=order.max_uid or 0,
    )


def _payload(order: Order, length_max: int) -> bytes:
    text, binary = order.payload, order.binary_payload
    if (text is None) == (binary is None):
        hint = "exactly one of payload and binaryPayload"
        raise InvalidRequest("no payload, or two", field="payload", hint=hint)
    if binary is not None:
        field, unit, content = "binaryPayload", "bytes", decode_base64(binary, "binaryPayload")
        length = len(content)
    else:
        assert text is not None
        field, unit, content, length = "payload", "characters", text.encode(), len(text)
    if length > length_max:
        hint = f"at most {length_max} {unit}, as in MSS; the ordinary API takes more"
        raise TooLarge("the payload is too large", field=field, hint=hint)
    return content


def _check(order: Order) -> None:
    if not order.third_message_id:
        hint = "MSS demands one, and it is what makes a retry safe"
        raise InvalidRequest("an order needs a message id", field="thirdMsgId", hint=hint)
    for field, value in (
        ("extAttrStr", order.ext_attr_str),
        ("bizTag", order.biz_tag),
        ("clientApp", order.client_app),
        ("deviceId", order.device_id),
        ("immediateSync", not order.immediate_sync),
    ):
        if value:
            hint = "leave it out; see docs/mss-compatibility.md"
            raise HttpError(
                "UNSUPPORTED_FIELD", f"{field} is not supported", field=field, hint=hint
            )


def _is_online(desk: Desk, app: str, owner: str, *, by_device: bool) -> bool:
    sessions = desk.service.sessions
    if by_device:
        return sessions.of_device(app, owner) is not None
    return bool(sessions.of_user(app, owner))


def _app(desk: Desk, request: Request[Any, InstanceQuery]) -> str:
    """The app of the instanceId. Raises UnknownApp, HttpError (FORBIDDEN), InvalidRequest."""
    order: Order = request.body
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
    "valid_from_ms": "validTimeStart",
    "valid_until_ms": "validTimeEnd",
    "users": "uids",
    "user_number_min": "minUid",
    "os": "osType",
    "app_version_min": "appMinVersion",
}


def _renamed(error: InvalidRequest) -> InvalidRequest:
    """The same error, about the member that the caller sent."""
    error.field = _MEMBERS.get(error.field, error.field)
    return error


def _error_form(body: ErrorBody) -> MssError:
    return MssError(body, False, body.code, body.message)


_ERRORS = ("UNKNOWN_APP", "UNKNOWN_BIZ", "BIZ_OFFLINE", "WRONG_TARGET", "UNSUPPORTED_FIELD",
           "STORE_UNAVAILABLE", "OUTCOME_UNKNOWN")  # fmt: skip

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
        errors=(*_ERRORS, "TARGET_OFFLINE"),
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
