"""The disk: files, names, and what a sync makes durable. No FUSE, no files, no clock.

Strategy: every change is visible at once and pending. Contents pend in their node, names in one
journal in the order they happened. Under `journal`, syncing a node commits the journal up to the
last change that touched it; under `strict`, only syncing a directory makes its own names durable
(the package's docstring says why). Errors are OSError with the errno a kernel would give.

Bounds: visible bytes up to `capacity_bytes`, then ENOSPC. Pending bytes up to `pending_bytes_max`
and pending names up to PENDING_NAMES_MAX, then the disk writes back by itself, as kernels do.

Not here: durability of modes, owners and times; they survive as last seen.

Invariants:
- after a cut nothing changes any more;
- a node is kept as long as a visible entry, a durable entry, a pending one or a program needs it.
"""

import errno
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tests.crash.powercut.faults import Faults
from tests.crash.powercut.node import Attributes, Node, Truncate, Write

Model = Literal["journal", "strict"]

ROOT = 1
CAPACITY_BYTES = 2 << 30
PENDING_BYTES_MAX = 256 << 20
PENDING_NAMES_MAX = 100_000
NAME_BYTES_MAX = 255


@dataclass(frozen=True, slots=True)
class Naming:
    """One change of names, all or nothing: entries set to an inode, or to None (gone)."""

    order: int
    entries: tuple[tuple[int, bytes, int | None], ...]
    touches: frozenset[int]


@dataclass(slots=True)
class Counts:
    """What happened since the mount; `stats` shows it."""

    writes: int = 0
    written_bytes: int = 0
    syncs: int = 0
    directory_syncs: int = 0
    synced_bytes: int = 0
    failed_syncs: int = 0
    write_backs: int = 0


@dataclass(slots=True)
class Disk:
    now_ns: Callable[[], int] = lambda: 0
    model: Model = "journal"
    capacity_bytes: int = CAPACITY_BYTES
    pending_bytes_max: int = PENDING_BYTES_MAX
    faults: Faults = field(default_factory=Faults)
    counts: Counts = field(default_factory=Counts)
    nodes: dict[int, Node] = field(default_factory=dict)
    journal: list[Naming] = field(default_factory=list)
    used_bytes: int = 0
    pending_bytes: int = 0
    _order: int = 0
    _last_ino: int = ROOT
    _orphans: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        root = Node(ROOT, is_dir=True, attributes=Attributes(stat.S_IFDIR | 0o755))
        root.links = root.durable_links = 1
        self.nodes[ROOT] = root

    # Looking

    @property
    def free_bytes(self) -> int:
        return max(0, self.capacity_bytes - self.used_bytes)

    def node(self, ino: int) -> Node:
        """The node, or EIO after the cut: every operation passes here first."""
        if self.faults.cut:
            raise OSError(errno.EIO, "the power is cut")
        try:
            return self.nodes[ino]
        except KeyError:
            raise OSError(errno.ENOENT, f"no inode {ino}") from None

    def lookup(self, parent: int, name: bytes) -> Node:
        entries = self._directory(parent).entries
        if name not in entries:
            raise OSError(errno.ENOENT, "no such file or directory")
        return self.nodes[entries[name]]

    def read(self, ino: int, at: int, size: int) -> bytes:
        return bytes(self._file(ino).data[at : at + size])

    # Names

    def create(self, parent: int, name: bytes, mode: int) -> Node:
        """A new empty file or directory, as `mode` says. It is pending until it is synced."""
        directory = self._directory(parent)
        self._check_new(directory, name)
        self._last_ino += 1
        now = self.now_ns()
        attributes = Attributes(mode, atime_ns=now, mtime_ns=now, ctime_ns=now)
        node = Node(self._last_ino, is_dir=stat.S_ISDIR(mode), attributes=attributes)
        self.nodes[node.ino] = node
        self._rename_entries((parent, name, node.ino))
        return node

    def link(self, ino: int, parent: int, name: bytes) -> Node:
        node = self._file(ino)
        self._check_new(self._directory(parent), name)
        self._rename_entries((parent, name, ino))
        return node

    def unlink(self, parent: int, name: bytes) -> None:
        if self.lookup(parent, name).is_dir:
            raise OSError(errno.EISDIR, "is a directory")
        self._rename_entries((parent, name, None))

    def rmdir(self, parent: int, name: bytes) -> None:
        node = self.lookup(parent, name)
        self._check_empty_directory(node)
        self._rename_entries((parent, name, None))

    def rename(
        self, parent: int, name: bytes, new_parent: int, new_name: bytes, *, replace: bool = True
    ) -> None:
        """Move an entry; what had the new name is replaced in the same step."""
        node = self.lookup(parent, name)
        target_ino = self._directory(new_parent).entries.get(new_name)
        if target_ino is None:
            self._check_new(self.nodes[new_parent], new_name)
        else:
            if not replace:
                raise OSError(errno.EEXIST, "the new name exists")
            if target_ino == node.ino:
                return
            target = self.nodes[target_ino]
            if node.is_dir:
                self._check_empty_directory(target)
            elif target.is_dir:
                raise OSError(errno.EISDIR, "a file cannot replace a directory")
        self._rename_entries((parent, name, None), (new_parent, new_name, node.ino))

    # Contents

    def write(self, ino: int, at: int, data: bytes) -> int:
        node = self._file(ino)
        if not data:
            return 0
        self._check_growth(node, at + len(data))
        node.change(Write(self._next_order(), at, data))
        node.attributes.mtime_ns = node.attributes.ctime_ns = self.now_ns()
        self.counts.writes += 1
        self.counts.written_bytes += len(data)
        self.pending_bytes += len(data)
        if self.pending_bytes > self.pending_bytes_max:
            self._write_back()
        return len(data)

    def truncate(self, ino: int, size: int) -> None:
        node = self._file(ino)
        if size != node.size:
            self._check_growth(node, size)
            self.used_bytes -= max(0, node.size - size)
            node.change(Truncate(self._next_order(), size))
            node.attributes.mtime_ns = node.attributes.ctime_ns = self.now_ns()

    def open(self, ino: int) -> None:
        self.node(ino).opens += 1

    def close(self, ino: int) -> None:
        """Never fails: a program may close what it opened before the cut."""
        node = self.nodes.get(ino)
        if node is not None and node.opens:
            node.opens -= 1
            self._reap()

    # Syncs

    def sync(self, ino: int) -> None:
        """fsync(2), fdatasync(2) of a file or directory. Durable when it returns, bar `nosync`."""
        node = self.node(ino)
        if node.is_dir:
            self.counts.directory_syncs += 1
        else:
            self.counts.syncs += 1
        if self.faults.ioerror:
            self.counts.failed_syncs += 1
            self.pending_bytes -= node.fail_sync()
            raise OSError(errno.EIO, "the sync failed")
        if not self.faults.nosync:
            self._make_durable(node)

    def sync_all(self) -> None:
        """sync(2): everything visible becomes durable."""
        self._commit(len(self.journal))
        for node in tuple(self.nodes.values()):
            self.pending_bytes -= node.sync()

    # Inside

    def _make_durable(self, node: Node) -> None:
        written = node.sync()
        self.pending_bytes -= written
        self.counts.synced_bytes += written
        if self.model == "journal":
            newest_first = reversed(range(len(self.journal)))
            touching = (i for i in newest_first if node.ino in self.journal[i].touches)
            self._commit(next(touching, -1) + 1)
        elif node.is_dir:
            self._commit_directory(node.ino)

    def _commit(self, count: int) -> None:
        """Make the journal's first `count` changes of names durable."""
        for naming in self.journal[:count]:
            for parent, name, ino in naming.entries:
                self._set_durable(parent, name, ino)
        del self.journal[:count]
        self._reap()

    def _commit_directory(self, ino: int) -> None:
        """Make this directory's names durable, and forget how they came about."""
        kept = []
        for naming in self.journal:
            rest = tuple(entry for entry in naming.entries if entry[0] != ino)
            for parent, name, target in naming.entries:
                if parent == ino:
                    self._set_durable(parent, name, target)
            if rest:
                kept.append(Naming(naming.order, rest, naming.touches))
        self.journal[:] = kept
        self._reap()

    def _set_durable(self, parent: int, name: bytes, ino: int | None) -> None:
        entries = self.nodes[parent].durable_entries
        old = entries.pop(name, None)
        if old is not None:
            self.nodes[old].durable_links -= 1
        if ino is not None:
            entries[name] = ino
            self.nodes[ino].durable_links += 1

    def _rename_entries(self, *entries: tuple[int, bytes, int | None]) -> None:
        """Make a change of names visible, and journal it."""
        touches = set()
        now = self.now_ns()
        for parent, name, ino in entries:
            directory = self.nodes[parent]
            old = directory.entries.pop(name, None)
            if old is not None:
                touches.add(old)
                self.nodes[old].links -= 1
                if not self.nodes[old].links:
                    self._orphans.add(old)
            if ino is not None:
                directory.entries[name] = ino
                touches.add(ino)
                self.nodes[ino].links += 1
                self._orphans.discard(ino)
            touches.add(parent)
            directory.attributes.mtime_ns = directory.attributes.ctime_ns = now
        self.journal.append(Naming(self._next_order(), entries, frozenset(touches)))
        if len(self.journal) > PENDING_NAMES_MAX:
            self.counts.write_backs += 1
            self._commit(len(self.journal))

    def _write_back(self) -> None:
        """Relieve the memory as a kernel does: write what pends without being asked."""
        self.counts.write_backs += 1
        self.sync_all()

    def _reap(self) -> None:
        """Forget nodes that nothing leads to any more."""
        if not self._orphans:
            return
        named = {ino for naming in self.journal for _, _, ino in naming.entries if ino is not None}
        parents = {parent for naming in self.journal for parent, _, _ in naming.entries}
        for ino in tuple(self._orphans):
            node = self.nodes[ino]
            if node.opens or node.durable_links or ino in named or ino in parents:
                continue
            self._orphans.discard(ino)
            self.pending_bytes -= node.fail_sync()
            self.used_bytes -= node.size
            for target in node.durable_entries.values():
                self.nodes[target].durable_links -= 1
            del self.nodes[ino]

    def _directory(self, ino: int) -> Node:
        node = self.node(ino)
        if not node.is_dir:
            raise OSError(errno.ENOTDIR, "not a directory")
        return node

    def _file(self, ino: int) -> Node:
        node = self.node(ino)
        if node.is_dir:
            raise OSError(errno.EISDIR, "is a directory")
        return node

    def _check_new(self, directory: Node, name: bytes) -> None:
        if name in directory.entries:
            raise OSError(errno.EEXIST, "the name exists")
        if len(name) > NAME_BYTES_MAX:
            raise OSError(errno.ENAMETOOLONG, "the name is too long")
        if not directory.links:
            raise OSError(errno.ENOENT, "the directory was removed")

    def _check_empty_directory(self, node: Node) -> None:
        if not node.is_dir:
            raise OSError(errno.ENOTDIR, "not a directory")
        if node.entries:
            raise OSError(errno.ENOTEMPTY, "directory not empty")

    def _check_growth(self, node: Node, size: int) -> None:
        """Account for a file that grows to `size`, or refuse."""
        growth = size - node.size
        if growth > 0:
            if self.faults.full or self.used_bytes + growth > self.capacity_bytes:
                raise OSError(errno.ENOSPC, "no space left on the disk")
            self.used_bytes += growth

    def _next_order(self) -> int:
        self._order += 1
        return self._order
