"""What a business writes to have one oplog published, and the row that is sent for it.

Not here: what the server makes of it, and what it refuses.
"""

import base64
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict

Payload = bytes | str | dict[str, Any] | list[Any]


class PublishOptions(TypedDict, total=False):
    """What may be said of an oplog besides biz, target and payload; see `Publication`."""

    message_id: str
    valid_until_ms: int | None
    os: Sequence[str]
    app_version_min: str
    app_version_max: str
    users: Sequence[str]
    user_number_min: int
    user_number_max: int
    attributes: Mapping[str, Sequence[str]]
    rollout_percent: float
    rollout_salt: str
    key: str
    valid_from_ms: int | None
    callback: str


@dataclass(frozen=True, slots=True)
class Publication:
    """One oplog to publish."""

    biz: str
    target: str
    """`user:<id>`, `device:<id>` or `everyone`."""
    payload: Payload
    """Text is sent as its UTF-8 bytes; a dict or a list as JSON."""
    message_id: str = ""
    """Names the change: the same id in the same channel is stored once. Empty: one is made."""
    valid_until_ms: int | None = None
    """Since 1970 UTC; by default the biz's retention decides."""
    os: Sequence[str] = ()
    app_version_min: str = ""
    app_version_max: str = ""
    users: Sequence[str] = ()
    """Only while one of these is logged in."""
    user_number_min: int = 0
    """Only for users whose id is a number from here on; 0: no bound."""
    user_number_max: int = 0
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Only for devices whose custom attributes have one of the values."""
    rollout_percent: float = 100.0
    """Only for this share of the devices."""
    rollout_salt: str = ""
    """Chooses the share: the same devices for the same salt. Empty: the biz."""
    key: str = ""
    """It replaces older oplogs of this key, for devices that have not got them."""
    valid_from_ms: int | None = None
    """When it is to be appended, if that is in the future: until then it is scheduled."""
    callback: str = ""
    """A webhook of the app that is told once what became of it."""


_PLAIN = {each.name: each.default for each in fields(Publication)}
_LISTS = ("os", "users")


def row_of(publication: Publication, entropy: random.Random) -> dict[str, Any]:
    """What is sent: only what is not as it is by default, and always a message id."""
    said = {name: getattr(publication, name) for name in _PLAIN if name != "payload"}
    said["attributes"] = {name: list(each) for name, each in publication.attributes.items()}
    said |= {name: list(said[name]) for name in _LISTS}
    row = {
        name: value
        for name, value in said.items()
        if value != _PLAIN[name] and value not in ("", [], {})
    }
    row.setdefault("message_id", f"{entropy.getrandbits(128):032x}")
    payload = publication.payload
    if isinstance(payload, str):
        row["payload"] = payload
    elif isinstance(payload, bytes):
        row["payload_base64"] = base64.b64encode(payload).decode()
    else:
        row["payload_json"] = payload
    return row
