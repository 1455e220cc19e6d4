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
from tests.crash.powercut.journal import Entry, Journal
from tests.crash.powercut.node import Attributes, Node, Truncate, Write

Model = Literal["journal", "strict"]

ROOT = 1
CAPACITY_BYTES = 2 << 30
PENDING_BYTES_MAX = 256 << 20
PENDING_NAMES_MAX = 100_000
NAME_BYTES_MAX = 255


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
    journal: Journal = field(init=False)
    used_bytes: int = 0
    pending_bytes: int = 0
    _order: int = 0
    _last_ino: int = ROOT
    _orphans: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        root = Node(ROOT, is_dir=True, attributes=Attributes(stat.S_IFDIR | 0o755))
        root.links = root.durable_links = 1
        self.nodes[ROOT] = root
        self.journal = Journal(self.nodes)

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
        _check_new(directory, name)
        self._last_ino += 1
        now = self.now_ns()
        attributes = Attributes(mode, atime_ns=now, mtime_ns=now, ctime_ns=now)
        node = Node(self._last_ino, is_dir=stat.S_ISDIR(mode), attributes=attributes)
        self.nodes[node.ino] = node
        self._set_entries((parent, name, node.ino))
        return node

    def link(self, ino: int, parent: int, name: bytes) -> Node:
        node = self._file(ino)
        _check_new(self._directory(parent), name)
        self._set_entries((parent, name, ino))
        return node

    def unlink(self, parent: int, name: bytes) -> None:
        if self.lookup(parent, name).is_dir:
            raise OSError(errno.EISDIR, "is a directory")
        self._set_entries((parent, name, None))

    def rmdir(self, parent: int, name: bytes) -> None:
        node = self.lookup(parent, name)
        _check_empty_directory(node)
        self._set_entries((parent, name, None))

    def rename(
        self, parent: int, name: bytes, new_parent: int, new_name: bytes, *, replace: bool = True
    ) -> None:
        """Move an entry; what had the new name is replaced in the same step."""
        node = self.lookup(parent, name)
        target_ino = self._directory(new_parent).entries.get(new_name)
        if target_ino is None:
            _check_new(self.nodes[new_parent], new_name)
        else:
            if not replace:
                raise OSError(errno.EEXIST, "the new name exists")
            if target_ino == node.ino:
                return
            target = self.nodes[target_ino]
            if node.is_dir:
                _check_empty_directory(target)
            elif target.is_dir:
                raise OSError(errno.EISDIR, "a file cannot replace a directory")
        self._set_entries((parent, name, None), (new_parent, new_name, node.ino))

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
            if not node.links:
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
        self.journal.commit_all()
        for node in tuple(self.nodes.values()):
            self.pending_bytes -= node.sync()
        self._reap()

    # Inside

    def _make_durable(self, node: Node) -> None:
        written = node.sync()
        self.pending_bytes -= written
        self.counts.synced_bytes += written
        if self.model == "journal":
            self.journal.commit_for(node.ino)
        elif node.is_dir:
            self.journal.commit_directory(node.ino)
        self._reap()

    def _set_entries(self, *entries: Entry) -> None:
        """Make a change of names visible, and journal it."""
        now = self.now_ns()
        self._orphans |= self.journal.change(self._next_order(), entries)
        for parent, _, _ in entries:
            attributes = self.nodes[parent].attributes
            attributes.mtime_ns = attributes.ctime_ns = now
        if len(self.journal.pending) > PENDING_NAMES_MAX:
            self.counts.write_backs += 1
            self.journal.commit_all()
            self._reap()

    def _write_back(self) -> None:
        """Relieve the memory as a kernel does: write what pends without being asked."""
        self.counts.write_backs += 1
        self.sync_all()

    def _reap(self) -> None:
        """Forget nodes that nothing leads to any more."""
        if not self._orphans:
            return
        needed = self.journal.needed()
        for ino in sorted(self._orphans, reverse=True):
            node = self.nodes[ino]
            if node.links or node.opens or node.durable_links or ino in needed:
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

    def _check_growth(self, node: Node, size: int) -> None:
        """Account for a file that grows to `size`, or refuse."""
        growth = size - node.size
        if growth > 0:
            if self.faults.full or growth > self.free_bytes:
                raise OSError(errno.ENOSPC, "no space left on the disk")
            self.used_bytes += growth

    def _next_order(self) -> int:
        self._order += 1
        return self._order


def _check_new(directory: Node, name: bytes) -> None:
    if name in directory.entries:
        raise OSError(errno.EEXIST, "the name exists")
    if len(name) > NAME_BYTES_MAX:
        raise OSError(errno.ENAMETOOLONG, "the name is too long")
    if not directory.links:
        raise OSError(errno.ENOENT, "the directory was removed")


def _check_empty_directory(node: Node) -> None:
    if not node.is_dir:
        raise OSError(errno.ENOTDIR, "not a directory")
    if node.entries:
        raise OSError(errno.ENOTEMPTY, "directory not empty")
