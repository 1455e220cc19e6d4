"""Publish: one oplog or a batch of mixed targets. The answer means fsynced.

Strategy: one publication is a JSON object, a batch is a list of them, and the answer has the same
form. A batch is all or nothing: whatever is wrong with any item is told for every item that is
wrong, and nothing is stored.

Not here: what a valid publication is (engine/publisher.py).
"""

import binascii
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.structs import astuple

from mobilesync.api.errors import HttpError
from mobilesync.api.operations import Desk, NoQuery, Operation, Request
from mobilesync.api.strict_json import JsonBody, split_list
from mobilesync.domain.errors import InvalidRequest, TooLarge
from mobilesync.engine.options import BATCH_ITEMS_CEILING
from mobilesync.engine.publisher import InvalidBatch, Publication, Published
from mobilesync.protocol.limits import ID_MAX

DUPLICATE = "DUPLICATED_BIZ_ID"
"""MSS's word for a message id that is in the channel already: a success."""


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


class PublishedOplog(Struct):
    """One oplog that is stored now, and survives a power cut."""

    id: Annotated[int, Meta(description="oplog id in its channel; 0 for a non-persistent biz")]
    message_id: str
    code: Annotated[
        Literal["OK", "DUPLICATED_BIZ_ID"],
        Meta(description="DUPLICATED_BIZ_ID: it was there before, under this id; also a success"),
    ]


_FIELDS = len(PublicationBody.__struct_fields__)
_ITEM = JsonBody(PublicationBody, lambda item: _FIELDS - astuple(item).count(UNSET))
_Form = PublicationBody | Annotated[list[PublicationBody], Meta(max_length=BATCH_ITEMS_CEILING)]
_Answer = PublishedOplog | list[PublishedOplog]


def _count_keys(value: _Form) -> int:
    items = value if isinstance(value, list) else [value]
    return sum(_FIELDS - astuple(item).count(UNSET) for item in items)


class PublishBody(JsonBody[_Form]):
    """One publication or a list; a list is judged item by item when it does not fit."""

    def __init__(self) -> None:
        super().__init__(_Form, _count_keys)  # type: ignore[arg-type]  # a union is a form too

    def decode(self, body: bytes) -> _Form:
        """As JsonBody.decode, and InvalidBatch when items of a list have wrong types."""
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
            _ITEM.decode(item)
        except HttpError:
            raise
        except InvalidRequest as error:
            wrong.append((index, error))
    return wrong


async def publish(desk: Desk, request: Request[_Form, NoQuery]) -> _Answer:
    """Store and answer. Raises what Publisher.publish raises; for one item, its own error."""
    body = request.body
    if isinstance(body, PublicationBody):
        try:
            published = await desk.service.publisher.publish(request.app, [_publication(body)])
        except InvalidBatch as error:
            raise error.items[0][1] from None
        return _published(published[0])
    if not body:
        raise InvalidRequest("an empty batch", hint="a list of at least one publication")
    answers = await desk.service.publisher.publish(request.app, _publications(body))
    return [_published(each) for each in answers]


def _publications(bodies: list[PublicationBody]) -> list[Publication]:
    publications: list[Publication] = []
    wrong: list[tuple[int, InvalidRequest]] = []
    for index, body in enumerate(bodies):
        try:
            publications.append(_publication(body))
        except InvalidRequest as error:
            wrong.append((index, error))
    if wrong:
        raise InvalidBatch(wrong)
    return publications


def _publication(body: PublicationBody) -> Publication:
    return Publication(
        biz=body.biz,
        target=body.target,
        payload=_payload(body),
        message_id=body.message_id or "",
        valid_until_ms=None if body.valid_until_ms is UNSET else body.valid_until_ms,
        os=body.os or (),
        app_version_min=body.app_version_min or "",
        app_version_max=body.app_version_max or "",
    )


def _payload(body: PublicationBody) -> bytes:
    given = (body.payload, body.payload_base64, body.payload_json)
    if given.count(UNSET) != 2:
        hint = "exactly one of payload, payload_base64, payload_json"
        raise InvalidRequest("no payload, or more than one", field="payload", hint=hint)
    if isinstance(body.payload, str):
        return body.payload.encode()
    if isinstance(body.payload_base64, str):
        return decode_base64(body.payload_base64, "payload_base64")
    assert isinstance(body.payload_json, Raw)
    return _checked(bytes(body.payload_json))


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
    code: Literal["OK", "DUPLICATED_BIZ_ID"] = "DUPLICATED_BIZ_ID" if published.duplicate else "OK"
    return PublishedOplog(published.id, published.message_id, code)


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
        errors=("UNKNOWN_BIZ", "BIZ_OFFLINE", "INVALID_BATCH", "STORE_UNAVAILABLE",
                "OUTCOME_UNKNOWN"),
        description=(
            "The body is one publication, or a list of up to 1000 for any targets and bizzes; "
            "the answer has the same form and order. It is sent when all are on the disk, "
            "fsynced. If any item of a list is invalid, the answer is INVALID_BATCH with every "
            "such item, and nothing is stored. Give each a `message_id` of your own: then a "
            "retry after a lost answer, or after OUTCOME_UNKNOWN, stores nothing twice."
        ),
    ),
)  # fmt: skip
