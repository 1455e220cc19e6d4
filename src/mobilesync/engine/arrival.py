"""Where a device goes on in each of its channels: what it says against what is known of it.

Strategy: pure. The device's own sync point is the truth; what the store knows of it is the record.
Said more than recorded: acks were lost, with a link or by a restore; the ids between are judged
again (`gaps`), for what the device was refused, and whoever wants to know of acks is told
(`progress`). Said less, or nothing: the device has lost its store, and the record begins a new lap.
A replay that waits puts the point back, unless the device's point says that it has followed
already.

Not here: reading and writing (login.py, attendance.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mobilesync.domain.channel import Channel
from mobilesync.domain.reasons import OFFERED_AGAIN, Reason
from mobilesync.domain.sync_point import Advance, Head, Resume, Skip, SyncPoint, resume
from mobilesync.engine.acks import Progress
from mobilesync.engine.devices import KnownDevice
from mobilesync.engine.replays import Replay
from mobilesync.protocol.codes import ResetReason

_HOLDS = (None, ResetReason.RENAMED, ResetReason.RESTORED)
"""Where a device goes on that holds all before it that it was not refused."""
_CERTAIN = OFFERED_AGAIN | {Reason.ROLLOUT, Reason.OTHER_DEVICE, Reason.NOT_ASKED}
"""Reasons that were the same when the device was moved over an oplog. What has ended, was withdrawn
or replaced since, it may have got before."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a session's device before its login, or before its change of user."""

    device: str
    known: KnownDevice | None = None
    points: Mapping[Channel, SyncPoint] = field(default_factory=dict)
    """On record, of the channels that the session is welcomed to."""
    shared: Mapping[Channel, SyncPoint] = field(default_factory=dict)
    """Points of the user, in channels where they are the user's."""
    replays: Mapping[Channel, Replay] = field(default_factory=dict)
    recovered: Mapping[Channel, tuple[Skip, ...]] = field(default_factory=dict)
    """What of the ids whose acks were lost the device was refused, or may not have got."""
    passed: Mapping[Channel, tuple[Skip, ...]] = field(default_factory=dict)
    """What of the ids that were acked but not processed the device did not get."""
    was_refused: bool = False
    """Whether the device, or its user, was refused anything that a change may undo."""


class Entry:
    """One login."""

    def __init__(
        self,
        points: Mapping[Channel, SyncPoint],
        heads: Mapping[Channel, Head],
        arrival: Arrival,
        lineage: Sequence[int],
        now_ms: int,
    ) -> None:
        """`points` are those that the device has said."""
        self.lineage = lineage
        self._points = points
        self._heads = heads
        self._arrival = arrival
        self._now_ms = now_ms
        self._places = {channel: self._resume(channel, each) for channel, each in points.items()}

    def place(self, channel: Channel) -> Resume:
        """Where the device goes on in a channel that it has named."""
        return self._places[channel]

    def advances(self) -> list[Advance]:
        """What the record learns from this login."""
        return [*self._said(), *self._unsaid()]

    def acks(self) -> list[Advance]:
        """Those of them that say what the device holds: Hello is an ack."""
        return [
            each
            for each in self._said()
            if not each.restarts and self._places[each.channel].reset in _HOLDS
        ]

    def progress(self) -> Iterator[Progress]:
        """What of it is news, for whoever wants to know of acks."""
        arrival = self._arrival
        for each in self.acks():
            channel = each.channel
            known = arrival.points.get(channel, SyncPoint(0, 0))
            received = max(known.received, each.received)
            processed = max(known.processed, each.processed)
            if received > known.received or processed > known.processed:
                skipped = arrival.recovered.get(channel, ())
                moved = (known.received, received, known.processed, processed)
                yield Progress(channel, *moved, skipped, self._missed(channel), known.restarts)

    def passed(self, channel: Channel) -> list[Skip]:
        """What the device was passed over and has not processed past, as far as that is known."""
        processed = self._points[channel].processed
        return [skip for skip in self._missed(channel) if skip.last > processed]

    def _missed(self, channel: Channel) -> tuple[Skip, ...]:
        """What the device did not get of the ids that it had not acked as processed."""
        arrival = self._arrival
        return (*arrival.passed.get(channel, ()), *arrival.recovered.get(channel, ()))

    def laps(self) -> dict[Channel, int]:
        """In which lap the device is after this login, where that is not the first."""
        laps = {channel: point.restarts for channel, point in self._arrival.points.items()}
        for advance in self.advances():
            laps[advance.channel] = laps.get(advance.channel, 0) + advance.restarts
        return {channel: lap for channel, lap in laps.items() if lap}

    def _resume(self, channel: Channel, point: SyncPoint) -> Resume:
        head = self._heads.get(channel)
        place = resume(point, head, self.lineage)
        replay = self._arrival.replays.get(channel)
        if (
            replay is not None
            and head is not None
            and point.received >= replay.received_before
            and place.cursor > replay.floor
        ):
            return Resume(max(replay.floor, head.floor), ResetReason.REWOUND)
        if place.reset is ResetReason.TRIMMED and head is not None:
            shared = self._arrival.shared.get(channel)
            if shared is not None:
                users = resume(shared, head, self.lineage)
                if users.reset in (None, ResetReason.RENAMED) and users.cursor >= head.floor:
                    # The user got what this device missed, elsewhere.
                    is_old = point.epoch != self.lineage[-1]
                    return Resume(point.received, ResetReason.RENAMED if is_old else None)
        return place

    def _said(self) -> Iterator[Advance]:
        epoch = self.lineage[-1]
        for channel, point in self._points.items():
            # A point of a channel that does not exist proves nothing, and devices could fill the
            # store with such.
            if channel not in self._heads:
                continue
            place = self._places[channel]
            processed = min(point.processed, place.cursor)
            at = (channel, self._arrival.device, epoch, place.cursor, processed, self._now_ms)
            if self._goes_back(place, self._arrival.points.get(channel)):
                yield Advance(*at, restarts=True)
            elif place.reset is not ResetReason.TRIMMED:
                # Hello is an ack: what died with the last link, or with the store that was
                # restored, is said again here. And what a Reset says is so once the device has
                # it; until then it says the same again.
                missed = self._arrival.recovered.get(channel, ())
                certain = tuple(skip for skip in missed if skip.reason in _CERTAIN)
                yield Advance(*at, skips=certain)

    def _goes_back(self, place: Resume, known: SyncPoint | None) -> bool:
        """Whether the device goes on before where the record says that it was."""
        if place.reset is ResetReason.REWOUND:
            return True
        if known is None or known.received <= place.cursor:
            return False
        is_same = place.reset is None and known.epoch == self.lineage[-1]
        return is_same or place.reset is ResetReason.FOREIGN

    def _unsaid(self) -> Iterator[Advance]:
        """A point on record that the device does not name is lost: it begins anew."""
        for channel, known in self._arrival.points.items():
            if channel not in self._points and channel in self._heads and known.received:
                epoch = self.lineage[-1]
                yield Advance(
                    channel, self._arrival.device, epoch, 0, 0, self._now_ms, restarts=True
                )


def gaps(
    said: Mapping[Channel, SyncPoint],
    heads: Mapping[Channel, Head],
    arrival: Arrival,
    lineage: Sequence[int],
) -> dict[Channel, tuple[int, int]]:
    """(recorded, held) where the device holds more of what is true now than is on record."""
    found: dict[Channel, tuple[int, int]] = {}
    for channel, point in said.items():
        place = resume(point, heads.get(channel), lineage)
        if place.reset not in _HOLDS:
            continue
        known = arrival.points.get(channel)
        recorded = known.received if known is not None else 0
        if place.cursor > recorded:
            found[channel] = (recorded, place.cursor)
    return found
