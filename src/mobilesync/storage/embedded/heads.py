"""Heads as they are durable, although the database already shows what is only written.

Strategy: between the write of a group and its sync, the tables hold heads that a power cut would
take back. For that time the old ones are kept beside (`_shadows`) and shown instead. So no reader
ever learns of an oplog that the store may forget.

Heads of targets that were asked for are kept decoded, for as many targets as `targets_max`: a
wake makes every session of a target ask for the same heads.
"""

from collections import OrderedDict
from collections.abc import Mapping

from mobilesync.domain.channel import Channel
from mobilesync.domain.sync_point import Head
from mobilesync.storage.embedded import keys, rows
from mobilesync.storage.embedded.tables import Tables

_Target = tuple[str, str]


class Heads:
    """The durable heads of all channels."""

    def __init__(self, tables: Tables, targets_max: int) -> None:
        self._tables = tables
        self._targets_max = targets_max
        self._cached: OrderedDict[_Target, dict[Channel, Head]] = OrderedDict()
        self._shadows: dict[Channel, Head | None] = {}

    def of(self, channel: Channel) -> Head | None:
        """The head of one channel."""
        cached = self._cached.get((channel.app, channel.target))
        if cached is not None:
            return cached.get(channel)
        if channel in self._shadows:
            return self._shadows[channel]
        tables = self._tables
        data = tables.get(tables.heads, keys.channel_prefix(channel))
        return None if data is None else rows.decode_head(data)

    def of_target(self, app: str, target: str) -> Mapping[Channel, Head]:
        """The heads of all channels of a target. Not to be changed."""
        owner = (app, target)
        cached = self._cached.get(owner)
        if cached is None:
            cached = self._scan(app, target)
            self._cached[owner] = cached
            if len(self._cached) > self._targets_max:
                self._cached.popitem(last=False)
        else:
            self._cached.move_to_end(owner)
        return cached

    def write(self, channel: Channel, durable: Head | None) -> None:
        """From now until `settle`, the table holds a newer head of `channel` than `durable`."""
        self._shadows[channel] = durable

    def settle(self, written: Mapping[Channel, Head]) -> None:
        """What was written is durable now."""
        self._shadows.clear()
        for channel, head in written.items():
            cached = self._cached.get((channel.app, channel.target))
            if cached is not None:
                cached[channel] = head

    def _scan(self, app: str, target: str) -> dict[Channel, Head]:
        prefix = keys.target_prefix(app, target)
        found: dict[Channel, Head] = {}
        tables = self._tables
        for key, data in tables.scan(tables.heads, prefix, keys.after_prefix(prefix)):
            channel = keys.channel_of(key)
            head = self._shadows.get(channel, _NONE)
            if head is _NONE:
                found[channel] = rows.decode_head(data)
            elif head is not None:
                found[channel] = head
        return found


_NONE = Head(0, 0)
