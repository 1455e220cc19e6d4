"""Documents: what is put with a group, and what is only noted.

Strategy: a document that is put goes into the batch of its group, and is shown when that is
durable. One that is noted is shown at once and rides along in the next commit. Calls about the
same document take effect in their order: a note that waits when the document is put is overtaken
by it, and one that comes while a group in the queue puts it goes into that group, behind it.

Invariants:
- a document that waits as a note is in no group of the queue;
- what a group puts is hidden, from its call until it is durable, behind what was shown before.
"""

from collections.abc import Iterable, Sequence

from mobilesync.storage.contract import Document
from mobilesync.storage.embedded import keys
from mobilesync.storage.embedded.group import Group
from mobilesync.storage.embedded.tables import Tables

_OVERHEAD_BYTES = 200
Change = tuple[bytes, bytes | None]
"""The key of a document, and its new value; None deletes it."""


def changes_of(documents: Iterable[Document]) -> list[Change]:
    """What `documents` change."""
    return [(keys.document_key(each.kind, each.key), each.value) for each in documents]


def size_of(changes: Iterable[Change]) -> int:
    """What `changes` count for in the queue."""
    return sum(len(key) + len(value or b"") + _OVERHEAD_BYTES for key, value in changes)


class Documents:
    """The documents of a store."""

    def __init__(self, tables: Tables, notes_max: int) -> None:
        self._tables = tables
        self._notes_max = notes_max
        self._notes: dict[bytes, bytes | None] = {}
        self._queued: dict[bytes, Group] = {}
        """The newest group of the queue that puts a document."""
        self._shown: dict[bytes, tuple[Group, bytes | None]] = {}
        """What is shown, until the group is durable, instead of what is in the table."""

    def __len__(self) -> int:
        """Notes that wait for a commit."""
        return len(self._notes)

    def put(self, group: Group, changes: Sequence[Change]) -> None:
        """Put documents with `group`."""
        for key, value in changes:
            self._put(group, key, value)
            group.documents.add(key)
            self._queued[key] = group
            if key in self._notes:
                self._shown[key] = (group, self._notes.pop(key))

    def note(self, changes: Sequence[Change]) -> None:
        """Put documents with the next commit; those over the bound are dropped."""
        for key, value in changes:
            group = self._queued.get(key)
            if group is not None:
                self._put(group, key, value)
                self._shown[key] = (group, value)
            elif key in self._notes or len(self._notes) < self._notes_max:
                self._notes[key] = value

    def get(self, kind: str, name: str) -> bytes | None:
        """See `Store.document`."""
        key = keys.document_key(kind, name)
        if key in self._notes:
            return self._notes[key]
        if key in self._shown:
            return self._shown[key][1]
        return self._tables.get(self._tables.documents, key)

    def select(self, kind: str, begin: str, end: str, count_max: int) -> dict[str, bytes]:
        """See `Store.documents`."""
        prefix = keys.kind_prefix(kind)
        low = prefix + begin.encode()
        high = prefix + end.encode() if end else keys.after_prefix(prefix)
        other = {key: shown[1] for key, shown in self._shown.items() if low <= key < high}
        other.update((key, note) for key, note in self._notes.items() if low <= key < high)
        found: dict[bytes, bytes | None] = {}
        tables = self._tables
        for key, value in tables.scan(tables.documents, low, high):
            found[key] = value
            # So many, lest too few are left of them when others are deleted.
            if count_max and len(found) == count_max + len(other):
                break
        found.update(other)
        kept = [(key, value) for key, value in sorted(found.items()) if value is not None]
        return {key[len(prefix) :].decode(): value for key, value in kept[: count_max or len(kept)]}

    def begin(self, group: Group) -> None:
        """`group` is written next: the notes ride along.

        Raises StoreUnavailable when it cannot be read what `group` replaces.
        """
        tables = self._tables
        for key in group.documents:
            if self._queued.get(key) is group:
                del self._queued[key]
            if key not in self._shown:
                self._shown[key] = (group, tables.get(tables.documents, key))
        notes, self._notes = self._notes, {}
        for key, value in notes.items():
            self._put(group, key, value)

    def settle(self, group: Group) -> None:
        """`group` is durable."""
        for key in group.documents:
            shown = self._shown.get(key)
            if shown is not None and shown[0] is group:
                del self._shown[key]

    def forget(self) -> None:
        """Drop the notes that wait."""
        self._notes = {}

    def _put(self, group: Group, key: bytes, value: bytes | None) -> None:
        if value is None:
            group.batch.delete(key, self._tables.in_documents)
        else:
            group.batch.put(key, value, self._tables.in_documents)
