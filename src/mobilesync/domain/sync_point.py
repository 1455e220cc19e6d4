"""Where a device continues: sync points, heads, and what becomes of a point after a restore.

Strategy: a store has a *lineage* of epochs; a restore adds a new one. When a channel gets its
first oplog in a new epoch, its head remembers the *fork*: in which old epoch the ids up to here
were given. So a device that comes with an old epoch is told exactly how much of what it holds
is still true, and continues from there: nothing is lost and nothing it finished is repeated.

Invariants:
- `last` only grows, and no id is given twice in one epoch;
- `resume` never answers a cursor above `last`, nor one in the middle of what was lost.
"""

from collections.abc import Sequence

from msgspec import Struct

from mobilesync.domain.channel import Channel
from mobilesync.protocol.codes import ResetReason


class Fork(Struct, frozen=True, array_like=True):
    """`last` is the highest id that was given in `epoch` and is still true in the epochs after."""

    epoch: int
    last: int


class Head(Struct, frozen=True, array_like=True):
    """What a store keeps of a channel besides its oplogs. Heads are never deleted."""

    last: int
    """The highest id that was given; 0 for none."""
    epoch: int
    """The epoch in which `last` was given."""
    floor: int = 0
    """The highest id that was trimmed for its retention: a device below it missed something."""
    trimmed: int = 0
    """The highest id such that it and all below were trimmed, for whatever reason."""
    forks: tuple[Fork, ...] = ()


class SyncPoint(Struct, frozen=True, array_like=True):
    """How far a device is in a channel: (epoch, received), and processed up to there or less."""

    epoch: int
    received: int
    processed: int = 0


class Advance(Struct, frozen=True):
    """One step of a sync point, as it stands in the journal: the proof of delivery."""

    channel: Channel
    device: str
    epoch: int
    received: int
    processed: int
    at_ms: int


class Resume(Struct, frozen=True):
    """Where a session continues in a channel, and the Reset that it must be told, if any."""

    cursor: int
    reset: ResetReason | None = None


def resume(point: SyncPoint | None, head: Head | None, lineage: Sequence[int]) -> Resume:
    """Where a device with `point` continues in a channel with `head` (spec §7.2).

    `lineage` lists the store's epochs, the current one last. Without a point the device gets
    everything that is still there. A Reset's floor is the cursor.
    """
    assert lineage
    last, floor = (head.last, head.floor) if head else (0, 0)
    if point is None:
        return Resume(0)
    if point.epoch not in lineage:
        return Resume(floor, ResetReason.FOREIGN)
    if point.epoch == lineage[-1]:
        if point.received > last:
            return Resume(last, ResetReason.FUTURE)
        if point.received < floor:
            return Resume(floor, ResetReason.TRIMMED)
        return Resume(point.received)
    shared = _shared(point.epoch, head, lineage)
    if point.received > shared:
        return Resume(max(shared, floor), ResetReason.RESTORED)
    if point.received < floor:
        return Resume(floor, ResetReason.TRIMMED)
    return Resume(point.received, ResetReason.RENAMED)


def _shared(epoch: int, head: Head | None, lineage: Sequence[int]) -> int:
    """The highest id of the channel that `epoch` has in common with the current epoch."""
    if head is None:
        return 0
    # What the current timeline was given up to `epoch` was in the backup that ended it, so that
    # epoch's devices know it; what was given later they know under other oplogs, if at all.
    known = lineage[: lineage.index(epoch) + 1]
    if head.epoch in known:
        return head.last
    return max((fork.last for fork in head.forks if fork.epoch in known), default=0)


def next_head(head: Head | None, epoch: int, last: int) -> Head:
    """The head after appends up to `last` in `epoch`."""
    if head is None:
        return Head(last, epoch)
    assert last > head.last
    forks = head.forks
    if head.epoch != epoch:
        forks = (*forks, Fork(head.epoch, head.last))
    return Head(last, epoch, head.floor, head.trimmed, forks)
