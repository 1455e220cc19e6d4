"""Ids and message ids are remembered exactly until their group is durable."""

from mobilesync.storage.embedded import keys
from mobilesync.storage.embedded.commit import Group
from mobilesync.storage.embedded.heads import Heads
from mobilesync.storage.embedded.ids import Ids
from mobilesync.storage.embedded.tables import Tables
from tests.storage.drafts import CHAT

PREFIX = keys.channel_prefix(CHAT)


def test_from_given_to_durable(tables: Tables) -> None:
    ids = Ids(tables, Heads(tables, 10, 10))
    assert ids.last(CHAT) == 0
    assert ids.known(PREFIX + b"a") == 0
    first, second = Group(tables.batch()), Group(tables.batch())
    ids.give(first, CHAT, PREFIX + b"a", 1)
    ids.give(second, CHAT, PREFIX + b"b", 2)
    assert ids.last(CHAT) == 2
    assert ids.known(PREFIX + b"a") == 1
    assert ids.is_waiting(PREFIX + b"a")
    ids.settle(first)
    # The second group still waits, and its id is the last one.
    assert ids.last(CHAT) == 2
    assert not ids.is_waiting(PREFIX + b"a")
    assert ids.is_waiting(PREFIX + b"b")
    ids.settle(second)
    assert not ids._lasts
    assert not ids._by_message_id
    tables.close()


def test_afterwards_the_tables_tell(tables: Tables) -> None:
    ids = Ids(tables, Heads(tables, 10, 10))
    batch = tables.batch()
    batch.put(PREFIX + b"a", keys.id_bytes(70_000), tables.in_message_ids)
    tables.write(batch)
    assert ids.known(PREFIX + b"a") == 70_000
    assert ids.known(PREFIX + b"b") == 0
    assert not ids.is_waiting(PREFIX + b"a")
    tables.close()
