"""Ids and message ids are remembered exactly until their group is durable."""

from mobilesync.domain.oplog import Appended
from mobilesync.storage.embedded import keys
from mobilesync.storage.embedded.group import Group
from mobilesync.storage.embedded.heads import Heads
from mobilesync.storage.embedded.ids import Ids
from mobilesync.storage.embedded.tables import Tables
from tests.storage.drafts import CHAT, NEWS, draft

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
    assert ids.plan([draft("a")]).waits
    ids.settle(first)
    # The second group still waits, and its id is the last one.
    assert ids.last(CHAT) == 2
    assert ids.known(PREFIX + b"a") == 0, "this test wrote no table"
    assert ids.plan([draft("b")]).waits
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
    tables.close()


def test_a_plan_changes_nothing(tables: Tables) -> None:
    ids = Ids(tables, Heads(tables, 10, 10))
    ids.give(Group(tables.batch()), CHAT, PREFIX + b"old", 1)
    drafts = [draft("a"), draft("n", NEWS), draft("a"), draft("old"), draft("b")]
    for _ in range(2):
        plan = ids.plan(drafts)
        assert plan.answers == [
            Appended(2),
            Appended(1),
            Appended(2, duplicate=True),
            Appended(1, duplicate=True),
            Appended(3),
        ]
        assert plan.fresh == [(drafts[0], 2), (drafts[1], 1), (drafts[4], 3)]
        assert plan.message_keys == [
            PREFIX + b"a",
            keys.channel_prefix(NEWS) + b"n",
            PREFIX + b"b",
        ]
        assert plan.prefixes == [PREFIX, keys.channel_prefix(NEWS), PREFIX]
        assert plan.waits
    assert not ids.plan([draft("a"), draft("a")]).waits
    tables.close()
