"""Where a device continues: sync points, heads, and what becomes of a point after a restore.

Strategy: a store has a *lineage* of epochs; a restore adds a new one. When a channel gets its
first oplog in a new epoch, its head remembers the *fork*: in which old epoch the ids up to here
were given. So a device that comes with an old epoch is told exactly how much of what it holds
is still true, and continues from there: nothing is lost and nothing it finished is repeated.

Invariants:
- `last` only grows, and no id is given twice in one epoch;
- `resume` never answers a cursor above `last`, nor one in the middle of what was lost.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from mobilesync.domain.channel import Channel
from mobilesync.domain.reasons import OFFERED_AGAIN
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
    """How far an owner is in a channel: (epoch, received), and processed up to there or less."""

    epoch: int
    received: int
    processed: int = 0
    sent: int = 0
    """The highest id that was pushed, as far as the store knows, if that is above `received`;
    else 0."""
    restarts: int = 0
    """How often the point was put back: by an operator, or because the device lost its store."""
    waits: int = 0
    """Why the oplog after `processed` is not processed, as the device said (spec §5, Acked)."""
    refused: int = 0
    """The highest id that was passed over for a reason that a change of the device may undo; a
    hint, since a later lap may have covered it."""


class Skip(Struct, frozen=True, array_like=True):
    """Ids that the point moved over without the device getting them, all for one reason."""

    first: int
    last: int
    reason: int
    """A `Reason` (reasons.py)."""


class Sent(Struct, frozen=True, array_like=True):
    """When a push left: it ended with the id `upto`."""

    upto: int
    at_ms: int


class Advance(Struct, frozen=True):
    """One step of a sync point, as it stands in the journal: the proof of delivery.

    What a step says of sends and skips is about the ids that it newly covers.
    """

    channel: Channel
    device: str
    """The point's owner: a device, or the user of a channel whose points are the user's
    (`user_owner`)."""
    epoch: int
    received: int
    processed: int
    at_ms: int
    sent: int = 0
    sends: tuple[Sent, ...] = ()
    skips: tuple[Skip, ...] = ()
    waits: int = -1
    """As in SyncPoint, which alone keeps it; -1 when the device did not say."""
    restarts: bool = False
    """Put the point to exactly this place, even back: what follows is a new pass. The journal
    tells it by `lap`."""
    lap: int = 0
    """In which pass the step was made: the point's `restarts` then. Set by the store."""
    before: int = 0
    """The point's `received` before the step, which so covers the ids above it up to `received`;
    none when the step began a lap. Set by the store."""


def user_owner(user: str) -> str:
    """The owner of the sync points that belong to `user`. No device has this name, for the names
    of devices hold no control character (names.py)."""
    return f"\x01{user}"


def advanced(old: SyncPoint | None, advance: Advance, eras: Mapping[int, int]) -> SyncPoint | None:
    """The point after `advance`, or None when it brings nothing new.

    `eras` gives the place of each epoch in the store's lineage. A point moves forward only: in its
    epoch by ids, across epochs by the lineage; unless the advance restarts it.
    """
    era = eras.get(advance.epoch)
    if era is None:
        return None
    received, processed, sent = advance.received, advance.processed, advance.sent
    restarts = old.restarts if old is not None else 0
    if advance.restarts:
        restarts += 1
    elif old is not None and eras[old.epoch] > era:
        return None
    elif old is not None and old.epoch == advance.epoch:
        received = max(received, old.received)
        processed = max(processed, old.processed)
        sent = max(sent, old.sent)
    refused = old.refused if old is not None else 0
    for skip in advance.skips:
        if skip.reason in OFFERED_AGAIN:
            refused = max(refused, skip.last)
    point = SyncPoint(
        advance.epoch,
        received,
        processed,
        sent if sent > received else 0,
        restarts,
        _waits(old, advance) if processed < received else 0,
        refused,
    )
    return None if point == old else point


def _waits(old: SyncPoint | None, advance: Advance) -> int:
    if old is None or advance.restarts:
        return max(advance.waits, 0)
    # A late ack speaks of an oplog that is processed by now.
    is_late = old.epoch == advance.epoch and advance.processed < old.processed
    return old.waits if advance.waits < 0 or is_late else advance.waits


def is_step(old: SyncPoint | None, new: SyncPoint) -> bool:
    """Whether the journal tells of the move from `old` to `new`; else only the point changes."""
    if old is None:
        return True
    return (
        new.received != old.received
        or new.processed != old.processed
        or new.sent != old.sent
        or new.epoch != old.epoch
        or new.restarts != old.restarts
    )


def step_to(old: SyncPoint | None, point: SyncPoint, advance: Advance) -> Advance:
    """The step that `advance` is when it brings the point from `old` to `point`."""
    return Advance(
        advance.channel,
        advance.device,
        advance.epoch,
        point.received,
        point.processed,
        advance.at_ms,
        point.sent,
        advance.sends,
        advance.skips,
        lap=point.restarts,
        before=_before(old, point, advance),
    )


def _before(old: SyncPoint | None, point: SyncPoint, advance: Advance) -> int:
    if advance.restarts:
        return point.received
    return min(old.received, point.received) if old is not None else 0


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
