"""Which known devices a target means: all of the app, those of a user, or one.

Strategy: by device id, page by page, so that whoever walks over all of them holds few. A user's
devices are all on which the user was ever logged in: someone else may be there now.

Not here: what each of them gets (domain/rules.py).
"""

from mobilesync.domain.channel import EVERYONE, Channel, is_user_target
from mobilesync.engine.devices import Devices, KnownDevice


class Receivers:
    """Finds them."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices

    async def page(self, channel: Channel, after: str, count_max: int) -> list[KnownDevice]:
        """Up to `count_max` devices that `channel` is for, whose ids are above `after`; fewer only
        at the end. Raises StoreUnavailable."""
        app, target = channel.app, channel.target
        if target == EVERYONE:
            return await self._devices.page(app, after, count_max)
        owner = target.partition(":")[2]
        if is_user_target(target):
            names = await self._devices.of_user(app, owner, count_max, after)
        else:
            names = [owner] if owner > after else []
        found = [(name, await self._devices.find(app, name)) for name in names]
        if is_user_target(target):
            return [known or KnownDevice(device=name) for name, known in found]
        return [known for _, known in found if known is not None]
