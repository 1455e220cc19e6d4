"""One file or directory: what programs see, what the platters hold, and the changes between.

Strategy: a file's contents exist twice. `data` is changed by every write; `durable` only when
the file is synced, by replaying the changes since the last sync, so that a sync costs what was
written and not what is stored. The pending changes stay apart until then, since a cut may let
some of them survive. Directories have `entries` and `durable_entries` likewise; their pending
changes are the disk's, because names are journaled across directories.

Invariant: replaying `pending` over `durable` gives `data`, unless a sync of it once failed.
"""

from dataclasses import dataclass, field

PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes put at a position; `order` counts all changes on the disk."""

    order: int
    at: int
    data: bytes

    def apply(self, contents: bytearray) -> None:
        if self.at > len(contents):
            contents.extend(bytes(self.at - len(contents)))
        contents[self.at : self.at + len(self.data)] = self.data

    def pages(self) -> list["Write"]:
        """The same write cut at page boundaries: what a disk writes whole or not at all."""
        pieces = []
        at, end = self.at, self.at + len(self.data)
        while at < end:
            stop = min(end, (at // PAGE_BYTES + 1) * PAGE_BYTES)
            pieces.append(Write(self.order, at, self.data[at - self.at : stop - self.at]))
            at = stop
        return pieces


@dataclass(frozen=True, slots=True)
class Truncate:
    """The file cut or grown (with zeros) to a size."""

    order: int
    size: int

    def apply(self, contents: bytearray) -> None:
        if self.size < len(contents):
            del contents[self.size :]
        else:
            contents.extend(bytes(self.size - len(contents)))


Change = Write | Truncate


@dataclass(slots=True)
class Attributes:
    """What stat(2) tells beside size and links; times in nanoseconds."""

    mode: int
    uid: int = 0
    gid: int = 0
    atime_ns: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0


@dataclass(slots=True)
class Node:
    """A file or directory under its inode number, which is never used again."""

    ino: int
    is_dir: bool
    attributes: Attributes
    links: int = 0
    """How many visible entries lead here."""
    durable_links: int = 0
    """How many durable entries lead here."""
    opens: int = 0
    data: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)
    entries: dict[bytes, int] = field(default_factory=dict)
    durable_entries: dict[bytes, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def pending_bytes(self) -> int:
        return sum(len(change.data) for change in self.pending if isinstance(change, Write))

    def change(self, change: Change) -> None:
        """Make `change` visible, and pending until the next sync."""
        change.apply(self.data)
        self.pending.append(change)

    def sync(self) -> int:
        """Make the contents durable; how many bytes were pending."""
        written = self.pending_bytes
        for change in self.pending:
            change.apply(self.durable)
        self.pending.clear()
        return written

    def fail_sync(self) -> int:
        """Drop what is pending, as Linux does with dirty pages whose write-back failed.

        Programs go on seeing it, the next sync reports success, and the bytes never reach the
        platters: a program that retries a failed sync and believes the second answer is caught.
        """
        written = self.pending_bytes
        self.pending.clear()
        return written
