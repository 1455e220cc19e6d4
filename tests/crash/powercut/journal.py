"""Changes of names between what programs see and what the platters hold.

Strategy: every change of names is applied to the visible entries at once and kept, in order, until
it is committed to the durable ones. One change may set several entries (a rename sets two): all or
nothing. Whoever syncs chooses what to commit: everything, everything up to the last change that
touched a node, or one directory's entries (the package's docstring says which model does what).

Not here: whether a change is allowed (disk), file contents (node).
"""

from dataclasses import dataclass, field

from tests.crash.powercut.node import Node

Entry = tuple[int, bytes, int | None]
"""A directory, a name in it, and the inode it leads to from now on: None for nowhere."""


@dataclass(frozen=True, slots=True)
class Naming:
    """One change of names; `order` counts all changes on the disk."""

    order: int
    entries: tuple[Entry, ...]
    touches: frozenset[int]


@dataclass(slots=True)
class Journal:
    """The changes of names that pend over `nodes`, oldest first."""

    nodes: dict[int, Node]
    pending: list[Naming] = field(default_factory=list)

    def change(self, order: int, entries: tuple[Entry, ...]) -> set[int]:
        """Make a change visible; the inodes that no visible entry leads to any more."""
        touches: set[int] = set()
        for parent, name, ino in entries:
            visible = self.nodes[parent].entries
            old = visible.pop(name, None)
            if old is not None:
                touches.add(old)
                self.nodes[old].links -= 1
            if ino is not None:
                visible[name] = ino
                touches.add(ino)
                self.nodes[ino].links += 1
            touches.add(parent)
        self.pending.append(Naming(order, entries, frozenset(touches)))
        return {ino for ino in touches if not self.nodes[ino].links}

    def commit_all(self) -> None:
        self._commit(len(self.pending))

    def commit_for(self, ino: int) -> None:
        """Commit up to the last change that touched the inode; nothing if none did."""
        newest_first = reversed(range(len(self.pending)))
        touching = (i for i in newest_first if ino in self.pending[i].touches)
        self._commit(next(touching, -1) + 1)

    def commit_directory(self, ino: int) -> None:
        """Commit this directory's own entries, and forget how they came about."""
        kept = []
        for naming in self.pending:
            rest = tuple(entry for entry in naming.entries if entry[0] != ino)
            for entry in naming.entries:
                if entry[0] == ino:
                    self._set_durable(*entry)
            if rest:
                kept.append(Naming(naming.order, rest, naming.touches))
        self.pending[:] = kept

    def needed(self) -> set[int]:
        """The inodes that a pending change names, so that they must not be forgotten."""
        entries = [entry for naming in self.pending for entry in naming.entries]
        return {parent for parent, _, _ in entries} | {ino for _, _, ino in entries if ino}

    def _commit(self, count: int) -> None:
        for naming in self.pending[:count]:
            for entry in naming.entries:
                self._set_durable(*entry)
        del self.pending[:count]

    def _set_durable(self, parent: int, name: bytes, ino: int | None) -> None:
        entries = self.nodes[parent].durable_entries
        old = entries.pop(name, None)
        if old is not None:
            self.nodes[old].durable_links -= 1
        if ino is not None:
            entries[name] = ino
            self.nodes[ino].durable_links += 1
