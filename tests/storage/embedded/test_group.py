"""A group begins empty, and shares nothing with another."""

from mobilesync.storage.embedded.group import Group
from mobilesync.storage.embedded.tables import Tables
from tests.storage.drafts import CHAT


def test_a_group_begins_empty_and_is_its_own(tables: Tables) -> None:
    one, other = Group(tables.batch()), Group(tables.batch())
    one.lasts[CHAT] = 1
    one.trims[CHAT] = (1, 1)
    one.documents.add(b"k")
    one.rewritten.add(b"k")
    one.new_ids.append(b"k")
    one.batch.put(b"k", b"v", tables.in_documents)
    assert not any(getattr(other, name) for name in Group.__slots__ if name != "batch")
    assert len(other.batch) == 0
    tables.close()
