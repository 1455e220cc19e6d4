"""Targets and channels: whom an oplog is for, and the unit of order.

A target travels, is stored and is shown as one string: `user:<id>`, `device:<id>` or `everyone`.
A channel is (app, biz, target). Both are plain values that are cheap to hash.
"""

from typing import NamedTuple

from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.names import check_owner

EVERYONE = "everyone"
_USER = "user:"
_DEVICE = "device:"


class Channel(NamedTuple):
    """Where oplogs are ordered. `target` is in its string form."""

    app: str
    biz: str
    target: str


def user_target(user: str) -> str:
    """The target of all devices of `user`."""
    return _USER + user


def device_target(device: str) -> str:
    """The target of one device."""
    return _DEVICE + device


def is_user_target(target: str) -> bool:
    """Whether `target` is a user's."""
    return target.startswith(_USER)


def parse_target(text: str) -> str:
    """`text` if it is a target, else InvalidRequest."""
    if text == EVERYONE:
        return text
    if text.startswith(_USER):
        check_owner(text[len(_USER) :], "user")
        return text
    if text.startswith(_DEVICE):
        check_owner(text[len(_DEVICE) :], "device")
        return text
    hint = "one of user:<id>, device:<id>, everyone"
    raise InvalidRequest("not a target", field="target", hint=hint)


def session_targets(user: str, device: str) -> tuple[str, ...]:
    """The targets that a session of `device` watches; `user` is empty when nobody is logged in."""
    if user:
        return (user_target(user), device_target(device), EVERYONE)
    return (device_target(device), EVERYONE)
