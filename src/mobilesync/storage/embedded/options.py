"""The settings of an embedded store, each with its bound."""

from dataclasses import dataclass
from typing import Literal

KIB = 1024
MIB = 1024 * KIB

Durability = Literal["fsync", "none"]


@dataclass(frozen=True, kw_only=True)
class EmbeddedOptions:
    """How much an embedded store may hold in memory and how it treats the disk."""

    durability: Durability = "fsync"
    """`none` answers before the disk has it: a power cut may lose acknowledged oplogs."""
    queue_bytes_max: int = 64 * MIB
    """What may wait for its commit; beyond it, appends are refused as Overloaded."""
    group_bytes_max: int = 512 * KIB
    """One commit takes no further appends beyond this: writing it holds the event loop."""
    commit_window_s: float = 0.001
    """The shortest time from the beginning of one commit to the next, but for large ones: under
    load it saves more time than it takes."""
    advances_max: int = 100_000
    """Steps of sync points that may wait for a commit; beyond it they are dropped."""
    advance_delay_s: float = 0.1
    """How long a step waits for a commit to ride along in."""
    cached_targets_max: int = 20_000
    """Targets whose heads are kept decoded; about 1 KB each."""
    cached_channels_max: int = 50_000
    """Channels whose head is kept decoded; about half a KB each."""
    block_cache_bytes: int = 64 * MIB
    memtable_bytes: int = 32 * MIB
    """Per table, before it is written out as a file."""
    wal_bytes_max: int = 256 * MIB
    """Bounds the disk that the log takes, and the time that opening takes after a crash."""
    compact_trimmed_bytes: int = 32 * MIB
    """Trimmed payloads that are worth a compaction of what holds them."""

    def __post_init__(self) -> None:
        assert 0 < self.group_bytes_max <= self.queue_bytes_max
        assert 0 < self.memtable_bytes <= self.wal_bytes_max
        assert 0 <= self.commit_window_s < 1
        assert self.advances_max > 0
        assert self.cached_targets_max > 0
        assert self.cached_channels_max > 0
