"""Where a session is in one channel, and how much it has pushed that is not acked.

Invariants (checked where they could break):
- received <= told <= read: the device cannot hold what it was not told, nor be told what was
  not read;
- a session's window equals the sum of its cursors' pushes under way.
"""

from typing import NamedTuple

from mobilesync.domain.reasons import OFFERED_AGAIN
from mobilesync.domain.sync_point import Skip


class UnderWay(NamedTuple):
    """One Push that no ack has answered."""

    upto: int
    bytes: int
    oplogs: int
    published_at_ms: int
    """Of its newest oplog."""
    sent_at_ms: int = 0


class Cursor:
    """One channel of one session."""

    __slots__ = (
        "lap",
        "passed",
        "processed",
        "pushes",
        "read",
        "received",
        "refused",
        "skips",
        "start",
        "told",
    )

    def __init__(self, received: int, processed: int = 0) -> None:
        self.received = received
        """The device's sync point, as far as acked."""
        self.processed = min(processed, received)
        self.told = received
        """Where the device will be when it has what was pushed: the next Push's `after`."""
        self.read = received
        """How far the store was read; above `told` are only oplogs the device must not see."""
        self.lap = 0
        """How often the point was put back before."""
        self.start = received
        """Up to here ids were judged before this session, above it in it."""
        self.refused: set[int] | None = None
        """What this session has passed over for a reason that a change of the device, or of its
        user, may undo."""
        self.pushes: list[UnderWay] | None = None
        """Under way, oldest first: a few, as the window allows, so a list, which takes less room
        than a deque."""
        self.skips: list[Skip] | None = None
        """What was passed over above `received`, ascending: it goes into the journal with the ack
        that covers it."""

        self.passed: list[Skip] | None = None
        """What was passed over above `processed` and is in the journal already."""

    def skip(self, skip: Skip) -> None:
        """Ids above those of all skips so far are passed over."""
        if skip.reason in OFFERED_AGAIN:
            self.refused = self.refused or set()
            self.refused.update(range(skip.first, skip.last + 1))
        if self.skips is None:
            self.skips = [skip]
            return
        before = self.skips[-1]
        if before.reason == skip.reason and before.last + 1 == skip.first:
            self.skips[-1] = Skip(before.first, skip.last, skip.reason)
        else:
            self.skips.append(skip)

    def judge_anew(self) -> None:
        """Whom it is judged for has changed: what was passed over, and not told of, is read again.
        What was told of counts: the device may have it, or its ack may be on its way."""
        told = self.read = self.told
        left = [Skip(s.first, min(s.last, told), s.reason) for s in self.skips or ()]
        self.skips = [skip for skip in left if skip.first <= told] or None
        self.refused = {oplog_id for oplog_id in self.refused or () if oplog_id <= told} or None

    def covered(self, received: int) -> tuple[Skip, ...]:
        """Take out the skips up to `received`."""
        if self.skips is None:
            return ()
        found: list[Skip] = []
        left: list[Skip] = []
        for each in self.skips:
            if each.first <= received:
                found.append(Skip(each.first, min(each.last, received), each.reason))
            if each.last > received:
                left.append(Skip(max(each.first, received + 1), each.last, each.reason))
        self.skips = left or None
        if found:
            self.passed = [*(self.passed or ()), *found]
        return tuple(found)

    def process(self, processed: int) -> tuple[Skip, ...]:
        """The device has processed all up to `processed`; answer what of it was passed over."""
        before = self.processed
        if processed > before:
            self.processed = processed
        if self.passed is None:
            return ()
        upto = self.processed
        found = tuple(each for each in self.passed if before < each.last and each.first <= upto)
        self.passed = [each for each in self.passed if each.last > self.processed] or None
        return found


class Window:
    """What all cursors of a session have under way together."""

    __slots__ = ("bytes", "bytes_max", "count", "count_max")

    def __init__(self, bytes_max: int, count_max: int) -> None:
        self.bytes = 0
        self.count = 0
        self.bytes_max = bytes_max
        self.count_max = count_max

    def room(self) -> tuple[int, int]:
        """Bytes and oplogs that may still be pushed; (0, 0) when closed."""
        room_bytes = self.bytes_max - self.bytes
        room_count = self.count_max - self.count
        return (room_bytes, room_count) if room_bytes > 0 and room_count > 0 else (0, 0)

    def push(self, cursor: Cursor, under_way: UnderWay) -> None:
        """Take note of a Push of `cursor`'s channel."""
        upto = under_way.upto
        assert upto > cursor.told
        cursor.told = upto
        if upto > cursor.read:
            cursor.read = upto
        if cursor.pushes is None:
            cursor.pushes = [under_way]
        else:
            cursor.pushes.append(under_way)
        self.bytes += under_way.bytes
        self.count += under_way.oplogs

    def ack(self, cursor: Cursor, received: int) -> list[UnderWay]:
        """Take note of an ack, and say which pushes it answers."""
        assert received <= cursor.told
        if received > cursor.received:
            cursor.received = received
        pushes = cursor.pushes
        answered: list[UnderWay] = []
        if pushes is not None:
            if pushes[-1].upto <= received:
                answered, cursor.pushes = pushes, None
            else:
                answered = [each for each in pushes if each.upto <= received]
                del pushes[: len(answered)]
        for under_way in answered:
            self.bytes -= under_way.bytes
            self.count -= under_way.oplogs
        assert self.bytes >= 0
        assert self.count >= 0
        return answered

    def forget(self, cursor: Cursor) -> None:
        """Drop what `cursor` has under way: its channel is no longer the session's."""
        for under_way in cursor.pushes or ():
            self.bytes -= under_way.bytes
            self.count -= under_way.oplogs
        cursor.pushes = None
