"""Ids given, and message ids seen, before they are in the tables.

Strategy: an id is given when `append` is called, so that order is the order of the calls; the
tables learn of it with the group. Until that is durable, this file remembers. A message id that was
made is nobody else's, and tells which oplog has it: it is neither looked for nor indexed.

Invariant: an entry is here exactly as long as its group is not durable.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mobilesync.domain.channel import Channel
from mobilesync.domain.message_id import is_made, made_for
from mobilesync.domain.oplog import Appended, Draft
from mobilesync.storage.embedded import keys, rows
from mobilesync.storage.embedded.group import Group
from mobilesync.storage.embedded.heads import Heads
from mobilesync.storage.embedded.tables import Tables


@dataclass(slots=True)
class Plan:
    """What becomes of some drafts."""

    answers: list[Appended]
    fresh: list[tuple[Draft, int]]
    """Those that are new, with their ids."""
    prefixes: list[bytes]
    """What the keys of the new ones' channels begin with."""
    message_keys: list[bytes]
    """The keys of their message ids; empty for a made one."""
    waits: bool
    """Whether one was there before, but is not durable yet."""


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
        return self._durable(channel) if last is None else last

    def _durable(self, channel: Channel) -> int:
        head = self._heads.of(channel)
        return head.last if head else 0

    def known(self, key: bytes) -> int:
        """The id of the oplog whose message id has `key`; 0 for none."""
        given = self._by_message_id.get(key)
        if given is not None:
            return given
        stored = self._tables.get(self._tables.message_ids, key)
        return self._made(key) if stored is None else keys.id_of(stored)

    def _made(self, key: bytes) -> int:
        """As `known`, for a message id that was made."""
        prefix, _, message_id = key.rpartition(b"\0")
        oplog_id = made_for(message_id.decode())
        if not oplog_id:
            return 0
        row = self._tables.get(self._tables.oplogs, prefix + b"\0" + keys.id_bytes(oplog_id))
        is_there = row is not None and rows.decode_ending(row).message_id.encode() == message_id
        return oplog_id if is_there else 0

    def plan(self, drafts: Sequence[Draft]) -> Plan:
        """The answers to `drafts`, and the ids of those that are new. Changes nothing.
        Raises StoreUnavailable."""
        prefixes: dict[Channel, bytes] = {}
        lasts: dict[Channel, int] = {}
        empty: set[Channel] = set()
        given: dict[bytes, int] = {}
        answers: list[Appended] = []
        fresh: list[tuple[Draft, int]] = []
        fresh_prefixes: list[bytes] = []
        message_keys: list[bytes] = []
        waits = False
        for draft in drafts:
            channel = draft.channel
            prefix = prefixes.get(channel)
            if prefix is None:
                prefix = prefixes[channel] = keys.channel_prefix(channel)
                lasts[channel] = self.last(channel)
                if not lasts[channel]:
                    empty.add(channel)
            if is_made(draft.message_id):
                oplog_id = lasts[channel] = lasts[channel] + 1
                answers.append(Appended(oplog_id))
                fresh.append((draft, oplog_id))
                fresh_prefixes.append(prefix)
                message_keys.append(b"")
                continue
            key = prefix + draft.message_id.encode()
            # A channel without an id has no message id either: that look is spared.
            found = given.get(key) or (0 if channel in empty else self.known(key))
            if found:
                answers.append(Appended(found, duplicate=True))
                waits = waits or (key not in given and found > self._durable(channel))
                continue
            oplog_id = given[key] = lasts[channel] = lasts[channel] + 1
            answers.append(Appended(oplog_id))
            fresh.append((draft, oplog_id))
            fresh_prefixes.append(prefix)
            message_keys.append(key)
        return Plan(answers, fresh, fresh_prefixes, message_keys, waits)

    def give(self, group: Group, channel: Channel, key: bytes, oplog_id: int) -> None:
        """Note that `oplog_id` was given in `group`, to the message id with `key`, if any."""
        self._lasts[channel] = group.lasts[channel] = oplog_id
        if key:
            self._by_message_id[key] = oplog_id
            group.new_ids.append(key)

    def settle(self, group: Group) -> None:
        """`group` is durable: the tables tell now."""
        for key in group.new_ids:
            del self._by_message_id[key]
        for channel, last in group.lasts.items():
            if self._lasts[channel] == last:
                del self._lasts[channel]
