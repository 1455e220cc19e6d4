"""Heads as they are durable, although the database already shows what is only written.

Strategy: between the write of a group and its sync, the tables hold heads that a power cut would
take back. For that time the old ones are kept beside (`_shadows`) and shown instead. So no reader
ever learns of an oplog that the store may forget.

Two caches, both bounded, keep heads decoded: by target, since a wake makes every session of a
target ask for the same heads, and by channel, since an append needs one head, again and again in
a busy channel.
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

    def __init__(self, tables: Tables, targets_max: int, channels_max: int) -> None:
        self._tables = tables
        self._targets_max = targets_max
        self._channels_max = channels_max
        self._cached: OrderedDict[_Target, dict[Channel, Head]] = OrderedDict()
        self._channels: OrderedDict[Channel, Head | None] = OrderedDict()
        self._shadows: dict[Channel, Head | None] = {}

    def of(self, channel: Channel) -> Head | None:
        """The head of one channel."""
        head = self._channels.get(channel, _NONE)
        if head is not _NONE:
            return head
        if channel in self._shadows:
            return self._shadows[channel]
        tables = self._tables
        data = tables.get(tables.heads, keys.channel_prefix(channel))
        head = None if data is None else rows.decode_head(data)
        if len(self._channels) >= self._channels_max:
            # The oldest entry goes. Nothing clever: a miss costs one look into the table.
            self._channels.popitem(last=False)
        self._channels[channel] = head
        return head

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
        """From now until `settle`, the table holds a newer head of `channel` than `durable`,
        which is shown. It may differ from what was shown before by what a trim is taking."""
        self._shadows[channel] = durable
        if channel in self._channels:
            self._channels[channel] = durable
        cached = self._cached.get((channel.app, channel.target))
        if cached is not None and durable is not None:
            cached[channel] = durable

    def settle(self, written: Mapping[Channel, Head]) -> None:
        """What was written is durable now."""
        self._shadows.clear()
        channels, targets = self._channels, self._cached
        for channel, head in written.items():
            if channel in channels:
                channels[channel] = head
            cached = targets.get((channel.app, channel.target))
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
