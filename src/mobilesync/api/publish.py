"""Publish: one oplog or a batch of mixed targets. The answer means fsynced.

Strategy: one publication is a JSON object, a batch is a list of them, and the answer has the same
form. A batch is all or nothing: whatever is wrong with any item is told for every item that is
wrong, and nothing is stored.

Not here: what a valid publication is (engine/publisher.py).
"""

import binascii
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.structs import astuple

from mobilesync.api.errors import HttpError
from mobilesync.api.operations import Desk, NoQuery, Operation, Request
from mobilesync.api.strict_json import JsonBody, check_unique_keys, split_list
from mobilesync.domain.conditions import USER_NUMBER_MAX
from mobilesync.domain.errors import InvalidRequest, TooLarge
from mobilesync.engine.options import BATCH_ITEMS_CEILING
from mobilesync.engine.publication import InvalidBatch, Publication, Published
from mobilesync.protocol.limits import ID_MAX

Code = Literal["OK", "DUPLICATED_BIZ_ID", "SCHEDULED"]
"""DUPLICATED_BIZ_ID is MSS's word for a message id that is in the channel already: a success."""


_Number = Annotated[int, Meta(ge=0, le=USER_NUMBER_MAX)]


class PublicationBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """One oplog to publish. Exactly one of `payload`, `payload_base64`, `payload_json`."""

    biz: str
    target: Annotated[str, Meta(description="`user:<id>`, `device:<id>` or `everyone`")]
    payload: Annotated[str, Meta(description="text; the app gets its UTF-8 bytes")] | UnsetType = (
        UNSET
    )
    payload_base64: (
        Annotated[str, Meta(description="bytes, in the standard base64 alphabet, padded")]
        | UnsetType
    ) = UNSET
    payload_json: (
        Annotated[Raw, Meta(description="any JSON; the app gets its text just as sent")] | UnsetType
    ) = UNSET
    message_id: (
        Annotated[
            str,
            Meta(description="makes retries safe: the same id in the same channel is stored once"),
        ]
        | UnsetType
    ) = UNSET
    valid_until_ms: (
        Annotated[
            int,
            Meta(ge=0, le=ID_MAX, description="since 1970 UTC; by default the biz's retention"),
        ]
        | UnsetType
    ) = UNSET
    os: (
        Annotated[tuple[str, ...], Meta(description="only for these operating systems")] | UnsetType
    ) = UNSET
    app_version_min: Annotated[str, Meta(description="only from this version on")] | UnsetType = (
        UNSET
    )
    app_version_max: Annotated[str, Meta(description="only up to this version")] | UnsetType = UNSET
    users: (
        Annotated[
            tuple[str, ...], Meta(description="only while one of these is logged in; up to 1000")
        ]
        | UnsetType
    ) = UNSET
    user_number_min: (
        Annotated[_Number, Meta(description="only for users whose id is a number from here on")]
        | UnsetType
    ) = UNSET
    user_number_max: (
        Annotated[_Number, Meta(description="only for users whose id is a number up to here")]
        | UnsetType
    ) = UNSET
    attributes: (
        Annotated[
            dict[str, tuple[str, ...]],
            Meta(description="only for devices whose custom attributes have one of the values"),
        ]
        | UnsetType
    ) = UNSET
    rollout_percent: (
        Annotated[
            float,
            Meta(ge=0, le=100, description="only for this share of the devices, to 0.01"),
        ]
        | UnsetType
    ) = UNSET
    rollout_salt: (
        Annotated[
            str,
            Meta(description="chooses the share: the same devices for the same salt; else the biz"),
        ]
        | UnsetType
    ) = UNSET
    key: (
        Annotated[
            str,
            Meta(
                description="what it is the newest value of: it replaces older oplogs of its key "
                "for devices that have not got them"
            ),
        ]
        | UnsetType
    ) = UNSET
    valid_from_ms: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=ID_MAX,
                description="since 1970 UTC; if that is later, it is scheduled: appended then",
            ),
        ]
        | UnsetType
    ) = UNSET
    callback: (
        Annotated[
            str,
            Meta(
                description="a webhook of the app, which is told once what became of it; not for "
                "everyone"
            ),
        ]
        | UnsetType
    ) = UNSET


class PlainBody(Struct, forbid_unknown_fields=True):
    """A publication as most are. To look for these fields, and find no others, takes a third of the
    time of the whole form."""

    biz: str
    target: str
    payload: str | UnsetType = UNSET
    payload_base64: bytes | UnsetType = UNSET
    message_id: str | UnsetType = UNSET


class PublishedOplog(Struct):
    """One oplog that is kept now, and survives a power cut."""

    id: Annotated[
        int,
        Meta(
            description="oplog id in its channel; 0 for a non-persistent biz, and while scheduled"
        ),
    ]
    message_id: str
    code: Annotated[
        Code,
        Meta(
            description="DUPLICATED_BIZ_ID: it was there before, under this id; SCHEDULED: it is "
            "kept, and appended when it is due; both are successes"
        ),
    ]


_FIELDS = len(PublicationBody.__struct_fields__)
_Form = PublicationBody | Annotated[list[PublicationBody], Meta(max_length=BATCH_ITEMS_CEILING)]
_Answer = PublishedOplog | list[PublishedOplog]
_Plain = PlainBody | Annotated[list[PlainBody], Meta(max_length=BATCH_ITEMS_CEILING)]


def _count_keys(value: _Form) -> int:
    items = value if isinstance(value, list) else [value]
    return sum(_FIELDS - astuple(item).count(UNSET) + len(item.attributes or ()) for item in items)


def _colons(value: _Plain) -> int:
    """How many colons the text of `value` has, where no key stands twice and nothing is escaped."""
    colons = 0
    for item in value if isinstance(value, list) else [value]:
        colons += 2 + item.biz.count(":") + item.target.count(":")
        if item.payload_base64 is not UNSET:
            colons += 1
        if item.payload is not UNSET:
            colons += 1 + item.payload.count(":")
        if item.message_id is not UNSET:
            colons += 1 + item.message_id.count(":")
    return colons


ITEM = JsonBody(PublicationBody, _count_keys)
"""One publication alone."""
_decode_plain = msgspec.json.Decoder(_Plain).decode


class PublishBody(JsonBody[_Form | _Plain]):
    """One publication or a list; a list is judged item by item when it does not fit."""

    def __init__(self) -> None:
        super().__init__(_Form, _count_keys)  # type: ignore[arg-type]  # a union is a form too

    def decode(self, body: bytes) -> _Form | _Plain:
        """As JsonBody.decode, and InvalidBatch when items of a list have wrong types."""
        try:
            plain: _Plain = _decode_plain(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._decode_whole(body)
        # A second key would have a colon of its own.
        if b"\\" in body or body.count(b":") != _colons(plain):
            check_unique_keys(body)
        return plain

    def _decode_whole(self, body: bytes) -> _Form | _Plain:
        try:
            return super().decode(body)
        except HttpError:
            raise
        except InvalidRequest:
            if not body.lstrip().startswith(b"["):
                raise
            raise InvalidBatch(_judge(body)) from None


def _judge(body: bytes) -> list[tuple[int, InvalidRequest]]:
    """The items of a list that do not fit. Raises TooLarge when there are too many to look at,
    HttpError when the text is no JSON."""
    items = split_list(body, BATCH_ITEMS_CEILING)
    if items is None:
        hint = f"at most {BATCH_ITEMS_CEILING} items in one call, or fewer by the server's setting"
        raise TooLarge("too many items", field="oplogs", hint=hint)
    wrong: list[tuple[int, InvalidRequest]] = []
    for index, item in enumerate(items):
        try:
            ITEM.decode(item)
        except HttpError:
            raise
        except InvalidRequest as error:
            wrong.append((index, error))
    return wrong


async def publish(desk: Desk, request: Request[_Form | _Plain, NoQuery]) -> _Answer:
    """Store and answer. Raises what Publisher.publish raises; for one item, its own error."""
    body = request.body
    if not isinstance(body, list):
        try:
            published = await desk.service.publisher.publish(request.app, [publication_of(body)])
        except InvalidBatch as error:
            raise error.items[0][1] from None
        return _published(published[0])
    if not body:
        raise InvalidRequest("an empty batch", hint="a list of at least one publication")
    answers = await desk.service.publisher.publish(request.app, publications_of(body))
    return [_published(each) for each in answers]


def publications_of(bodies: Sequence[PublicationBody | PlainBody]) -> list[Publication]:
    """What the caller wrote, for the publisher. Raises InvalidBatch."""
    publications: list[Publication] = []
    wrong: list[tuple[int, InvalidRequest]] = []
    for index, body in enumerate(bodies):
        try:
            publications.append(publication_of(body))
        except InvalidRequest as error:
            wrong.append((index, error))
    if wrong:
        raise InvalidBatch(wrong)
    return publications


def publication_of(body: PublicationBody | PlainBody) -> Publication:
    """What the caller wrote, for the publisher. Raises InvalidRequest."""
    if isinstance(body, PlainBody):
        if isinstance(body.payload_base64, bytes) and body.payload is UNSET:
            payload = body.payload_base64
        elif isinstance(body.payload, str) and body.payload_base64 is UNSET:
            payload = body.payload.encode()
        else:
            raise _not_one_payload()
        message_id = body.message_id or ""
        return Publication(biz=body.biz, target=body.target, payload=payload, message_id=message_id)
    # Field by field: half the time that a loop over them takes.
    return Publication(
        biz=body.biz,
        target=body.target,
        payload=_payload(body),
        message_id=body.message_id or "",
        valid_from_ms=None if body.valid_from_ms is UNSET else body.valid_from_ms,
        valid_until_ms=None if body.valid_until_ms is UNSET else body.valid_until_ms,
        os=body.os or (),
        app_version_min=body.app_version_min or "",
        app_version_max=body.app_version_max or "",
        users=body.users or (),
        user_number_min=body.user_number_min or 0,
        user_number_max=body.user_number_max or 0,
        attributes=body.attributes or {},
        rollout_percent=100.0 if body.rollout_percent is UNSET else body.rollout_percent,
        rollout_salt=body.rollout_salt or "",
        key=body.key or "",
        callback=body.callback or "",
    )


def _payload(body: PublicationBody) -> bytes:
    given = (body.payload, body.payload_base64, body.payload_json)
    if given.count(UNSET) != 2:
        raise _not_one_payload()
    if isinstance(body.payload, str):
        return body.payload.encode()
    if isinstance(body.payload_base64, str):
        return decode_base64(body.payload_base64, "payload_base64")
    assert isinstance(body.payload_json, Raw)
    return _checked(bytes(body.payload_json))


def _not_one_payload() -> InvalidRequest:
    hint = "exactly one of payload, payload_base64, payload_json"
    return InvalidRequest("no payload, or more than one", field="payload", hint=hint)


def decode_base64(text: str, field: str) -> bytes:
    """The bytes of `text`. Raises InvalidRequest."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        hint = "the standard alphabet with padding, without line breaks"
        raise InvalidRequest("not base64", field=field, hint=hint) from None


def _checked(text: bytes) -> bytes:
    """JSON that msgspec passed over is checked in depth: an app must be able to read it."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        hint = "JSON in UTF-8, with numbers that fit a double"
        raise InvalidRequest("not readable JSON", field="payload_json", hint=hint) from None
    return text


def _published(published: Published) -> PublishedOplog:
    return PublishedOplog(published.id, published.message_id, code_of(published))


def code_of(published: Published) -> Code:
    """What the answer calls it."""
    if published.duplicate:
        return "DUPLICATED_BIZ_ID"
    return "SCHEDULED" if published.scheduled else "OK"


ITEM_ERRORS = ("UNKNOWN_BIZ", "BIZ_OFFLINE", "WRONG_TARGET", "NOT_FOUND")
"""What may be wrong with one publication, besides its form."""


OPERATIONS = (
    Operation(
        "POST",
        "/v1/apps/{app}/oplogs",
        "publish",
        "Publish one oplog, or a batch",
        publish,
        answer=_Answer,
        scope="publish",
        body=PublishBody(),
        errors=(*ITEM_ERRORS, "INVALID_BATCH", "STORE_UNAVAILABLE", "OUTCOME_UNKNOWN"),
        description=(
            "The body is one publication, or a list of up to 1000 for any targets and bizzes; "
            "the answer has the same form and order. It is sent when all are on the disk, "
            "fsynced. If any item of a list is invalid, the answer is INVALID_BATCH with every "
            "such item, and nothing is stored. Give each a `message_id` of your own: then a "
            "retry after a lost answer, or after OUTCOME_UNKNOWN, stores nothing twice. What is "
            "valid only later is SCHEDULED: kept durably, and appended when it is due."
        ),
    ),
)
