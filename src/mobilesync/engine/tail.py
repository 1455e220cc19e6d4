"""The newest oplogs, kept encoded in memory: what live devices want is what was just appended.

Strategy: the publisher notes what it appends, if somebody watches for it; the feed asks here before
it asks the store, and never for more than is durable. An oplog never changes, so an entry is never
stale; what is missing is read from the store. Bounded in bytes: the channel that was appended to
longest ago goes first.

Invariants:
- a channel's entries have dense ids, ascending, and end with the newest one noted;
- an oplog is encoded once, when somebody first wants it;
- `bytes` is what all entries together take, and at most `bytes_max`.
"""

from collections import OrderedDict

from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Oplog
from mobilesync.engine.encoded import Encoded, wire_of

CHANNEL_OPLOGS_MAX = 128
ENTRY_OVERHEAD_BYTES = 500


class Tail:
    """The newest oplogs of the channels that were appended to last."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._channels: OrderedDict[Channel, list[Encoded]] = OrderedDict()
        self.bytes = 0

    def note(self, channel: Channel, oplog: Oplog) -> None:
        """`oplog` is the newest of `channel`, and durable once its head says so. An older one is
        passed over."""
        entries = self._channels.get(channel)
        if entries is None:
            entries = self._channels[channel] = []
        else:
            newest = entries[-1].oplog.id
            if oplog.id <= newest:
                return
            if oplog.id != newest + 1:
                # Something between was noted by nobody: what is dense begins anew.
                self._drop(channel)
                entries = self._channels[channel] = []
            else:
                self._channels.move_to_end(channel)
        entries.append(Encoded(oplog))
        self.bytes += 2 * len(oplog.payload) + ENTRY_OVERHEAD_BYTES
        if len(entries) > CHANNEL_OPLOGS_MAX:
            self.bytes -= _size(entries.pop(0))
        while self.bytes > self._bytes_max:
            self._drop(next(iter(self._channels)))

    def after(self, channel: Channel, oplog_id: int, last: int) -> list[Encoded] | None:
        """All of `channel` above `oplog_id` up to `last`, which is durable, or None when the store
        must be asked."""
        entries = self._channels.get(channel)
        if not entries:
            return None
        first = entries[0].oplog.id
        if oplog_id + 1 < first or entries[-1].oplog.id < last:
            return None
        found = entries[oplog_id + 1 - first : last + 1 - first]
        for entry in found:
            if not entry.wire:
                entry.wire = wire_of(entry.oplog)
        return found

    def forget(self, channel: Channel) -> None:
        """What is here of `channel` is not what the store holds any more."""
        if channel in self._channels:
            self._drop(channel)

    def _drop(self, channel: Channel) -> None:
        for entry in self._channels.pop(channel):
            self.bytes -= _size(entry)


def _size(entry: Encoded) -> int:
    # The payload stands in its form on the wire once more.
    return 2 * len(entry.oplog.payload) + ENTRY_OVERHEAD_BYTES
