"""Ids given, and message ids seen, before they are in the tables.

Strategy: an id is given when `append` is called, so that order is the order of the calls; the
tables learn of it with the group. Until that is durable, this file remembers.

Invariant: an entry is here exactly as long as its group is not durable.
"""

from mobilesync.domain.channel import Channel
from mobilesync.storage.embedded import keys
from mobilesync.storage.embedded.commit import Group
from mobilesync.storage.embedded.heads import Heads
from mobilesync.storage.embedded.tables import Tables


class Ids:
    """The next id of each channel, and the id behind each message id."""

    def __init__(self, tables: Tables, heads: Heads) -> None:
        self._tables = tables
        self._heads = heads
        self._lasts: dict[Channel, int] = {}
        self._by_message_id: dict[bytes, int] = {}

    def last(self, channel: Channel) -> int:
        """The highest id given in `channel`; 0 for none."""
        last = self._lasts.get(channel)
        if last is not None:
            return last
        head = self._heads.of(channel)
        return head.last if head else 0

    def known(self, key: bytes) -> int:
        """The id of the oplog whose message id has `key`; 0 for none."""
        given = self._by_message_id.get(key)
        if given is not None:
            return given
        stored = self._tables.get(self._tables.message_ids, key)
        return 0 if stored is None else keys.id_of(stored)

    def is_waiting(self, key: bytes) -> bool:
        """Whether the oplog whose message id has `key` is not durable yet."""
        return key in self._by_message_id

    def give(self, group: Group, channel: Channel, key: bytes, oplog_id: int) -> None:
        """Note that `oplog_id` was given to the message id with `key`, in `group`."""
        self._lasts[channel] = oplog_id
        self._by_message_id[key] = oplog_id
        group.lasts[channel] = oplog_id
        group.new_ids.append(key)

    def settle(self, group: Group) -> None:
        """`group` is durable: the tables tell now."""
        for key in group.new_ids:
            del self._by_message_id[key]
        for channel, last in group.lasts.items():
            if self._lasts[channel] == last:
                del self._lasts[channel]
