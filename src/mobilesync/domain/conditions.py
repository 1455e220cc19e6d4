"""Which devices an oplog is meant for: operating systems, app versions, audiences (spec §10).

Conditions are judged when an oplog would be pushed, against the attributes that the device has
then. An oplog that a device may not see is passed over: its id is covered by the `upto` of a
Push, and it is not counted as delivered.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from msgspec import Struct

from mobilesync.domain.app_version import AppVersion
from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.names import check_owner
from mobilesync.domain.reasons import Reason
from mobilesync.protocol import limits

OS_MAX = 16
USERS_MAX = 1_000
"""For more, publish to the users themselves, in batches."""
ATTRIBUTES_MAX = 8
ATTRIBUTE_VALUES_MAX = 100
USER_NUMBER_MAX = 2**63 - 1
SALT_CHARS_MAX = 64
VERSIONS_KEPT = 1_024
"""Versions that are parsed once: the same few are judged for every device, at 6 us each."""
_BUCKETS = 10_000
"""A rollout counts in hundredths of a percent."""


NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})
"""Shared by all who have none: there may be a hundred thousand."""


class Attributes(Struct, frozen=True):
    """What a device said about itself in Hello."""

    os: str = ""
    app_version: str = ""
    custom: Mapping[str, str] = NO_ATTRIBUTES


class Rollout(Struct, frozen=True, array_like=True):
    """A share of the devices, always the same ones for the same salt: who is in at 10 percent is
    in at 20."""

    percent: float
    salt: str

    def admits(self, device: str) -> bool:
        """Whether `device` is in the share."""
        name = f"{self.salt}\0{device}".encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(name, digest_size=8).digest()
        # Rounded, because 0.07 * 100 is a little more than 7.
        return int.from_bytes(digest, "big") % _BUCKETS < round(self.percent * (_BUCKETS / 100))


class Conditions(Struct, frozen=True, array_like=True, omit_defaults=True):
    """All must hold; empty means "any". Version bounds are inclusive, as in MSS."""

    os: tuple[str, ...] = ()
    """Lower-case names, such as `ios`, `android`, `harmony`."""
    app_version_min: str = ""
    app_version_max: str = ""
    users: tuple[str, ...] = ()
    """Only while one of these is logged in."""
    user_number_min: int = 0
    """Only for users whose id is a number from here on; 0 for any."""
    user_number_max: int = 0
    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Custom attributes, each with the values that are admitted."""
    rollout: Rollout | None = None
    device: str = ""
    """Only this device: for what is offered again in a channel of its user."""

    @property
    def names_users(self) -> bool:
        """Whether it depends on who is logged in."""
        return bool(self.users or self.user_number_min or self.user_number_max)

    def refusal(self, attributes: Attributes, user: str, device: str) -> Reason | None:
        """Why the device may not see the oplog; None when it may.

        A device that does not say its OS or a readable version fails a condition on it.
        """
        if self.device and device != self.device:
            return Reason.OTHER_DEVICE
        if self.names_users and not self._admits_user(user):
            return Reason.AUDIENCE
        if self.os and attributes.os.lower() not in self.os:
            return Reason.OS
        if (self.app_version_min or self.app_version_max) and not self._admits_version(
            attributes.app_version
        ):
            return Reason.VERSION
        for name, values in self.attributes:
            if attributes.custom.get(name) not in values:
                return Reason.ATTRIBUTES
        if self.rollout is not None and not self.rollout.admits(device):
            return Reason.ROLLOUT
        return None

    def admits(self, attributes: Attributes, user: str = "", device: str = "") -> bool:
        """Whether a device with `attributes`, on which `user` is logged in, may see the oplog."""
        return self.refusal(attributes, user, device) is None

    def _admits_user(self, user: str) -> bool:
        if self.users and user not in self.users:
            return False
        if not self.user_number_min and not self.user_number_max:
            return True
        # Longer than any bound, or no number at all, is nobody's range.
        if not (user.isascii() and user.isdigit() and len(user) <= 19):
            return False
        high = self.user_number_max or USER_NUMBER_MAX
        return self.user_number_min <= int(user) <= high

    def _admits_version(self, text: str) -> bool:
        version = _version(text)
        if version is None:
            return False
        low, high = _version(self.app_version_min), _version(self.app_version_max)
        return (low is None or version >= low) and (high is None or version <= high)


@lru_cache(VERSIONS_KEPT)
def _version(text: str) -> AppVersion | None:
    """None for what is no version; bounds were checked when the oplog was published."""
    try:
        return AppVersion(text)
    except InvalidRequest:
        return None


def conditions(
    os: Sequence[str] = (),
    app_version_min: str = "",
    app_version_max: str = "",
    *,
    users: Sequence[str] = (),
    user_number_min: int = 0,
    user_number_max: int = 0,
    attributes: Mapping[str, Sequence[str]] | None = None,
    rollout: Rollout | None = None,
) -> Conditions | None:
    """Checked conditions, or None when there are none. Raises InvalidRequest."""
    if len(os) > OS_MAX or any(not 1 <= len(name) <= 64 for name in os):
        raise InvalidRequest("too many or too long names", field="os", hint=f"up to {OS_MAX}")
    low = AppVersion(app_version_min) if app_version_min else None
    high = AppVersion(app_version_max) if app_version_max else None
    if low and high and low > high:
        hint = "app_version_min must not be above app_version_max"
        raise InvalidRequest("no version fits", field="app_version_min", hint=hint)
    _check_users(users, user_number_min, user_number_max)
    if rollout is not None:
        _check_rollout(rollout)
    if rollout is not None and rollout.percent >= 100:
        rollout = None
    made = Conditions(
        tuple(name.lower() for name in os),
        app_version_min,
        app_version_max,
        tuple(dict.fromkeys(users)),
        user_number_min,
        user_number_max,
        _checked_attributes(attributes or {}),
        rollout,
    )
    return None if made == Conditions() else made


def _check_users(users: Sequence[str], low: int, high: int) -> None:
    if len(users) > USERS_MAX:
        hint = f"up to {USERS_MAX}; for more, publish to user:<id> in batches"
        raise InvalidRequest("too many users", field="users", hint=hint)
    for user in users:
        check_owner(user, "users")
    if not 0 <= low <= USER_NUMBER_MAX or not 0 <= high <= USER_NUMBER_MAX or 0 < high < low:
        hint = "user_number_min must not be above user_number_max; 0 for no bound"
        raise InvalidRequest("no user fits", field="user_number_min", hint=hint)


def _check_rollout(rollout: Rollout) -> None:
    # Also refuses what is no number at all.
    if not 0 <= rollout.percent <= 100:
        hint = "0 to 100, in steps of 0.01"
        raise InvalidRequest("not a share", field="rollout_percent", hint=hint)
    if not 1 <= len(rollout.salt) <= SALT_CHARS_MAX:
        hint = f"1 to {SALT_CHARS_MAX} characters"
        raise InvalidRequest("not a salt", field="rollout_salt", hint=hint)


def _checked_attributes(
    attributes: Mapping[str, Sequence[str]],
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if len(attributes) > ATTRIBUTES_MAX:
        raise InvalidRequest(
            "too many attributes", field="attributes", hint=f"up to {ATTRIBUTES_MAX}"
        )
    for name, values in attributes.items():
        if not 1 <= len(name) <= limits.ATTRIBUTE_CHARS_MAX:
            hint = f"names of 1 to {limits.ATTRIBUTE_CHARS_MAX} characters"
            raise InvalidRequest("not an attribute", field="attributes", hint=hint)
        fits = all(len(value) <= limits.ATTRIBUTE_VALUE_CHARS_MAX for value in values)
        if not 1 <= len(values) <= ATTRIBUTE_VALUES_MAX or not fits:
            hint = (
                f"1 to {ATTRIBUTE_VALUES_MAX} values of up to"
                f" {limits.ATTRIBUTE_VALUE_CHARS_MAX} characters"
            )
            raise InvalidRequest(f"not the values of {name}", field="attributes", hint=hint)
    return tuple((name, tuple(dict.fromkeys(values))) for name, values in attributes.items())
