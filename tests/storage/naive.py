"""A store so plain that it is plainly right: lists and dictionaries, nothing in flight.

It answers what a real store must answer when every commit has been waited for.
"""

from dataclasses import dataclass, field, replace

from msgspec import structs

from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Appended, Draft, Oplog, oplog_of
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

    def append(self, drafts: list[Draft]) -> list[Appended]:
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
        return answers

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

    def advance(self, step: Advance) -> None:
        if step.epoch not in self.lineage:
            return
        place = (step.device, step.channel)
        old = self.points.get(place)
        if old is not None and old.epoch == step.epoch:
            received = max(old.received, step.received)
            step = structs.replace(
                step, received=received, processed=max(old.processed, step.processed)
            )
        elif old is not None and self.lineage.index(old.epoch) > self.lineage.index(step.epoch):
            return
        point = SyncPoint(step.epoch, step.received, step.processed)
        if point != old:
            self.points[place] = point
            before = min(old.received, step.received) if old is not None else 0
            self.journal.setdefault(place, []).append(structs.replace(step, before=before))

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
                        steps[:] = [step for step in steps if step.received > log.trimmed]
        return count


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
