"""A store so plain that it is plainly right: lists and dictionaries, nothing in flight.

It answers what a real store must answer when every commit has been waited for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from msgspec import structs

from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import (
    Appended,
    Details,
    Draft,
    Oplog,
    WithdrawalReason,
    Withdrawn,
    oplog_of,
)
from mobilesync.domain.reasons import OFFERED_AGAIN
from mobilesync.domain.sync_point import Advance, Fork, Head, SyncPoint


@dataclass
class Log:
    """One channel."""

    oplogs: list[Oplog] = field(default_factory=list)
    given: list[tuple[int, int]] = field(default_factory=list)
    """(epoch, id) of every id ever given, in order."""
    floor: int = 0
    trimmed: int = 0

    @property
    def last(self) -> int:
        return self.given[-1][1] if self.given else 0

    def head(self) -> Head:
        forks = tuple(
            Fork(epoch, oplog_id)
            for (epoch, oplog_id), (later, _) in zip(self.given, self.given[1:], strict=False)
            if epoch != later
        )
        return Head(self.last, self.given[-1][0], self.floor, self.trimmed, forks)


@dataclass
class Naive:
    """See the module."""

    lineage: tuple[int, ...]
    logs: dict[Channel, Log] = field(default_factory=dict)
    points: dict[tuple[str, Channel], SyncPoint] = field(default_factory=dict)
    journal: dict[tuple[str, Channel], list[Advance]] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)

    def lasts(self) -> dict[Channel, int]:
        """The last id of each channel: what is durable now."""
        return {channel: log.last for channel, log in self.logs.items()}

    def append(
        self, drafts: list[Draft], durable: Mapping[Channel, int] | None = None
    ) -> list[Appended]:
        """`durable` are the lasts at the call, if that is some time ago."""
        durable = self.lasts() if durable is None else durable
        answers = []
        for draft in drafts:
            log = self.logs.setdefault(draft.channel, Log())
            same = [oplog.id for oplog in log.oplogs if oplog.message_id == draft.message_id]
            if same:
                answers.append(Appended(same[0], duplicate=True))
                continue
            oplog_id = log.last + 1
            log.given.append((self.lineage[-1], oplog_id))
            log.oplogs.append(oplog_of(draft, oplog_id))
            answers.append(Appended(oplog_id))
            if draft.details is not None and draft.details.withdraws is not None:
                self._withdraw(log, log.oplogs[-1], durable.get(draft.channel, 0))
        return answers

    def _withdraw(self, log: Log, by: Oplog, durable: int) -> None:
        assert by.details is not None
        assert by.details.withdraws is not None
        ranges, reason, device = structs.astuple(by.details.withdraws)
        named = {n for first, last in ranges for n in range(first, last + 1) if n <= durable}
        recall = reason is WithdrawalReason.RECALLED
        for place, oplog in enumerate(log.oplogs):
            details = oplog.details or Details()
            was = details.withdrawn
            if oplog.id not in named or details.withdraws is not None:
                continue
            if was is None or (recall and was.reason is WithdrawalReason.CONSUMED):
                fate = Withdrawn(by.id, reason, by.published_at_ms, device)
                log.oplogs[place] = structs.replace(
                    oplog,
                    payload=b"" if recall else oplog.payload,
                    details=structs.replace(details, withdrawn=fate),
                )

    def newest_of_key(self, channel: Channel, key: str) -> list[Oplog]:
        log = self.logs.get(channel, Log())
        return [oplog for oplog in log.oplogs[::-1] if oplog.details and oplog.details.key == key]

    def find(self, channel: Channel, message_id: str) -> int:
        log = self.logs.get(channel, Log())
        return sum(oplog.id for oplog in log.oplogs if oplog.message_id == message_id)

    def heads(self, targets: list[str]) -> dict[Channel, Head]:
        return {
            channel: log.head() for channel, log in self.logs.items() if channel.target in targets
        }

    def read(
        self, channel: Channel, after: int, count_max: int, bytes_max: int
    ) -> tuple[list[Oplog], int]:
        log = self.logs.get(channel, Log())
        above = [oplog for oplog in log.oplogs if oplog.id > after]
        for count in range(min(count_max, len(above)), 1, -1):
            if sum(len(oplog.payload) for oplog in above[:count]) <= bytes_max:
                break
        else:
            count = min(1, len(above))
        if count < len(above):
            return above[:count], above[count - 1].id
        return above, max(after, log.last)

    def advance(self, advance: Advance) -> None:
        if advance.epoch not in self.lineage:
            return
        place = (advance.device, advance.channel)
        old = self.points.get(place)
        received, processed, sent = advance.received, advance.processed, advance.sent
        lap, refused, waits = 0, 0, max(advance.waits, 0)
        if old is not None:
            lap, refused = old.restarts, old.refused
            if advance.waits < 0 and not advance.restarts:
                waits = old.waits
        if advance.restarts:
            lap += 1
        elif old is not None:
            age = self.lineage.index(advance.epoch) - self.lineage.index(old.epoch)
            if age < 0:
                return
            if age == 0:
                waits = waits if processed >= old.processed else old.waits
                received, processed = max(received, old.received), max(processed, old.processed)
                sent = max(sent, old.sent)
        for skip in advance.skips:
            if skip.reason in OFFERED_AGAIN:
                refused = max(refused, skip.last)
        sent = sent if sent > received else 0
        waits = waits if processed < received else 0
        point = SyncPoint(advance.epoch, received, processed, sent, lap, waits, refused)
        self.points[place] = point
        steps = self.journal.setdefault(place, [])
        told, telling = (
            each and structs.replace(each, waits=0, refused=0) for each in (old, point)
        )
        if told != telling:
            before = received if advance.restarts else min(received, old.received if old else 0)
            steps.append(
                Advance(
                    *(advance.channel, advance.device, advance.epoch, received, processed),
                    *(advance.at_ms, sent, advance.sends, advance.skips),
                    lap=lap,
                    before=before,
                )
            )

    def trim(self, now_ms: int) -> int:
        count = 0
        for channel, log in self.logs.items():
            before = log.trimmed
            while log.oplogs and log.oplogs[0].expires_at_ms <= now_ms:
                ended = log.oplogs.pop(0)
                log.trimmed = ended.id
                if ended.expires_by_retention:
                    log.floor = ended.id
                count += 1
            if log.trimmed > before:
                for (_, other), steps in self.journal.items():
                    if other == channel:
                        steps[:] = [step for step in steps if about(step) > log.trimmed]
        return count


def about(step: Advance) -> int:
    """The highest id that `step` tells of."""
    return max(step.received, step.sent)


def copied(naive: Naive) -> Naive:
    """A copy that changes by itself."""
    return replace(
        naive,
        logs={
            channel: replace(log, oplogs=list(log.oplogs), given=list(log.given))
            for channel, log in naive.logs.items()
        },
        points=dict(naive.points),
        journal={place: list(steps) for place, steps in naive.journal.items()},
        documents=dict(naive.documents),
    )
