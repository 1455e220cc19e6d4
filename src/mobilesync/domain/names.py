"""Names from outside, checked once at the door (spec §1.2).

After these checks a name holds no separator and no control character, so that stores may build
keys from it, and it fits the protocol's bounds.
"""

import re

from mobilesync.domain.errors import InvalidRequest
from mobilesync.protocol import limits

_APP = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_BIZ = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
MESSAGE_ID_BYTES_MAX = limits.MESSAGE_ID_CHARS_MAX
OWNER_BYTES_MAX = limits.OWNER_CHARS_MAX


def check_app(name: str) -> str:
    """`name`, or InvalidRequest."""
    if not _APP.fullmatch(name):
        hint = "1 to 64 of a-z 0-9 _ -, beginning with a letter or digit"
        raise InvalidRequest("not an app name", field="app", hint=hint)
    return name


def check_biz(name: str) -> str:
    """`name`, or InvalidRequest."""
    if not _BIZ.fullmatch(name):
        hint = "1 to 64 of A-Z a-z 0-9 _ . -, beginning with a letter or digit"
        raise InvalidRequest("not a biz name", field="biz", hint=hint)
    return name


def check_owner(name: str, field: str) -> str:
    """`name`, a user id or a device id, or InvalidRequest; `field` says which."""
    size = len(name.encode("utf-8", "surrogatepass"))
    if not 1 <= size <= OWNER_BYTES_MAX or _CONTROL.search(name):
        hint = f"1 to {OWNER_BYTES_MAX} bytes of UTF-8 without control characters"
        raise InvalidRequest(f"not a {field} id", field=field, hint=hint)
    return name


def check_message_id(name: str) -> str:
    """`name`, or InvalidRequest."""
    size = len(name.encode("utf-8", "surrogatepass"))
    if not 1 <= size <= MESSAGE_ID_BYTES_MAX or _CONTROL.search(name):
        hint = f"1 to {MESSAGE_ID_BYTES_MAX} bytes of UTF-8 without control characters"
        raise InvalidRequest("not a message id", field="message_id", hint=hint)
    return name


def check_key(name: str) -> str:
    """`name`, a coalescing key, or InvalidRequest."""
    size = len(name.encode("utf-8", "surrogatepass"))
    if not 1 <= size <= limits.KEY_CHARS_MAX or _CONTROL.search(name):
        hint = f"1 to {limits.KEY_CHARS_MAX} bytes of UTF-8 without control characters"
        raise InvalidRequest("not a key", field="key", hint=hint)
    return name
