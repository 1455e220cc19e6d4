"""Which devices an oplog is meant for: operating systems and app versions (spec §10).

Conditions are judged when an oplog would be pushed, against the attributes that the device has
then. An oplog that a device may not see is passed over: its id is covered by the `upto` of a
Push, and it is not counted as delivered.
"""

from msgspec import Struct

from mobilesync.domain.app_version import AppVersion
from mobilesync.domain.errors import InvalidRequest

OS_MAX = 16


class Attributes(Struct, frozen=True):
    """What a device said about itself in Hello."""

    os: str = ""
    app_version: str = ""


class Conditions(Struct, frozen=True, array_like=True, omit_defaults=True):
    """All must hold; empty means "any". Version bounds are inclusive, as in MSS."""

    os: tuple[str, ...] = ()
    """Lower-case names, such as `ios`, `android`, `harmony`."""
    app_version_min: str = ""
    app_version_max: str = ""

    def admits(self, attributes: Attributes) -> bool:
        """Whether a device with `attributes` may see the oplog.

        A device that does not say its OS or a readable version fails a condition on it.
        """
        if self.os and attributes.os.lower() not in self.os:
            return False
        if not self.app_version_min and not self.app_version_max:
            return True
        try:
            version = AppVersion(attributes.app_version)
        except InvalidRequest:
            return False
        if self.app_version_min and version < AppVersion(self.app_version_min):
            return False
        return not (self.app_version_max and version > AppVersion(self.app_version_max))


def conditions(
    os: tuple[str, ...] = (), app_version_min: str = "", app_version_max: str = ""
) -> Conditions | None:
    """Checked conditions, or None when there are none. Raises InvalidRequest."""
    if len(os) > OS_MAX or any(not 1 <= len(name) <= 64 for name in os):
        raise InvalidRequest("too many or too long names", field="os", hint=f"up to {OS_MAX}")
    low = AppVersion(app_version_min) if app_version_min else None
    high = AppVersion(app_version_max) if app_version_max else None
    if low and high and low > high:
        hint = "app_version_min must not be above app_version_max"
        raise InvalidRequest("no version fits", field="app_version_min", hint=hint)
    if not os and not low and not high:
        return None
    return Conditions(tuple(name.lower() for name in os), app_version_min, app_version_max)
