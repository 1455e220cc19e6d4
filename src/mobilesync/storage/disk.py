"""What a memory store's power cut would leave, and how each change takes effect on it.

Strategy: plain dictionaries, changed only by whole commits. A new MemoryStore on the same `Disk` is
the store after a crash.

Not here: what is not durable yet (memory.py).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import msgspec

from mobilesync.domain.channel import Channel
from mobilesync.domain.message_id import whole_message_id
from mobilesync.domain.oplog import Draft, Oplog, Withdrawn, may_withdraw, oplog_of, withdrawn_oplog
from mobilesync.domain.sync_point import Advance, Head, SyncPoint, next_head
from mobilesync.storage.contract import BackupReport, Document, Page

Owner = tuple[str, str]
Place = tuple[str, str]
"""Kind and key of a document."""
_BACKUP = "memory.msgpack"


@dataclass
class Disk:
    """What would survive a power cut."""

    lineage: tuple[int, ...]
    oplogs: dict[Channel, list[Oplog]] = field(default_factory=dict)
    heads: dict[Channel, Head] = field(default_factory=dict)
    message_ids: dict[tuple[Channel, str], int] = field(default_factory=dict)
    points: dict[Owner, dict[Channel, SyncPoint]] = field(default_factory=dict)
    journal: dict[tuple[Channel, str], list[Advance]] = field(default_factory=dict)
    documents: dict[Place, bytes] = field(default_factory=dict)

    def append(self, draft: Draft, oplog_id: int) -> None:
        """`draft` is stored under `oplog_id`, the next id of its channel."""
        channel = draft.channel
        durable = self.heads.get(channel)
        self.heads[channel] = next_head(durable, self.lineage[-1], oplog_id)
        self.oplogs.setdefault(channel, []).append(oplog_of(draft, oplog_id))
        self.message_ids[channel, whole_message_id(draft.message_id, oplog_id)] = oplog_id

    def withdraw(self, draft: Draft, oplog_id: int, last: int) -> None:
        """Mark what `draft`, stored under `oplog_id`, withdraws of the oplogs up to `last`, the
        highest that was durable when it was appended."""
        withdraws = draft.details.withdraws if draft.details is not None else None
        if withdraws is None:
            return
        fate = Withdrawn(oplog_id, withdraws.reason, draft.published_at_ms, withdraws.by)
        stored = self.oplogs[draft.channel]
        for first, end in withdraws.ids:
            begin = bisect_left(stored, first, key=_id_of)
            for place in range(begin, bisect_right(stored, min(end, last), key=_id_of)):
                if may_withdraw(stored[place], withdraws.reason):
                    stored[place] = withdrawn_oplog(stored[place], fate)

    def page(self, channel: Channel, after: int, count_max: int, bytes_max: int) -> Page:
        """See `Store.read`."""
        stored = self.oplogs.get(channel, [])
        head = self.heads.get(channel)
        last, floor = (head.last, head.floor) if head else (0, 0)
        begin = bisect_right(stored, after, key=_id_of)
        oplogs: list[Oplog] = []
        size = 0
        for oplog in stored[begin : begin + count_max]:
            if oplogs and size + len(oplog.payload) > bytes_max:
                return Page(oplogs, oplogs[-1].id, floor)
            oplogs.append(oplog)
            size += len(oplog.payload)
        cut = begin + len(oplogs) < len(stored)
        return Page(oplogs, oplogs[-1].id if cut else max(last, after), floor)

    def newest_of_key(self, channel: Channel, key: str, count_max: int) -> list[Oplog]:
        """See `Store.newest_of_key`."""
        stored = self.oplogs.get(channel, [])
        return [oplog for oplog in reversed(stored) if oplog.key == key][:count_max]

    def step(self, advance: Advance) -> None:
        """Add a step to the journal."""
        self.journal.setdefault((advance.channel, advance.device), []).append(advance)

    def keep(self, document: Document) -> None:
        """Keep a document, or delete it."""
        if document.value is None:
            self.documents.pop((document.kind, document.key), None)
        else:
            self.documents[document.kind, document.key] = document.value

    def trim(self, channel: Channel, now_ms: int) -> int:
        """Forget what has ended at the channel's beginning; answer how many."""
        stored = self.oplogs.get(channel, [])
        count = 0
        head = self.heads[channel]
        floor = head.floor
        for oplog in stored:
            if oplog.expires_at_ms > now_ms:
                break
            count += 1
            if oplog.expires_by_retention:
                floor = oplog.id
            self.message_ids.pop((channel, oplog.message_id), None)
        if count:
            trimmed = stored[count - 1].id
            self.heads[channel] = Head(head.last, head.epoch, floor, trimmed, head.forks)
            del stored[:count]
            if not stored:
                del self.oplogs[channel]
            for key in [key for key in self.journal if key[0] == channel]:
                left = [step for step in self.journal.pop(key) if is_about(step, trimmed)]
                if left:
                    self.journal[key] = left
        return count

    def copy(self) -> "Disk":
        """A copy that shares only values that never change."""
        return Disk(
            lineage=self.lineage,
            oplogs={channel: list(oplogs) for channel, oplogs in self.oplogs.items()},
            heads=dict(self.heads),
            message_ids=dict(self.message_ids),
            points={owner: dict(points) for owner, points in self.points.items()},
            journal={key: list(steps) for key, steps in self.journal.items()},
            documents=dict(self.documents),
        )


def select(
    documents: Mapping[Place, bytes | None], kind: str, begin: str, end: str, count: int
) -> dict[str, bytes]:
    """See `Store.documents`."""
    found = sorted(
        (key, value)
        for (of, key), value in documents.items()
        if of == kind and value is not None and begin <= key and (not end or key < end)
    )
    return dict(found[: count or len(found)])


def is_about(step: Advance, after: int) -> bool:
    """Whether a step tells of an id above `after`."""
    return max(step.received, step.sent) > after


def _id_of(oplog: Oplog) -> int:
    return oplog.id


class _Rows(msgspec.Struct, array_like=True):
    lineage: tuple[int, ...]
    oplogs: list[tuple[Channel, list[Oplog]]]
    heads: list[tuple[Channel, Head]]
    message_ids: list[tuple[tuple[Channel, str], int]]
    points: list[tuple[Owner, list[tuple[Channel, SyncPoint]]]]
    journal: list[tuple[tuple[Channel, str], list[Advance]]]
    documents: list[tuple[Place, bytes]]


def write_backup(disk: Disk, path: Path) -> BackupReport:
    """Write `disk` into the folder `path`, which is made."""
    path.mkdir(parents=True)
    file = path / _BACKUP
    rows = _Rows(
        disk.lineage,
        list(disk.oplogs.items()),
        list(disk.heads.items()),
        list(disk.message_ids.items()),
        [(owner, list(points.items())) for owner, points in disk.points.items()],
        list(disk.journal.items()),
        list(disk.documents.items()),
    )
    file.write_bytes(msgspec.msgpack.encode(rows))
    return BackupReport(path, file.stat().st_size, disk.lineage[-1])


def restore_memory(backup: Path, *, random: Random) -> Disk:
    """A disk with what `backup` holds, and a new epoch."""
    rows = msgspec.msgpack.decode((backup / _BACKUP).read_bytes(), type=_Rows)
    return Disk(
        (*rows.lineage, random.getrandbits(48)),
        dict(rows.oplogs),
        dict(rows.heads),
        dict(rows.message_ids),
        {owner: dict(points) for owner, points in rows.points},
        dict(rows.journal),
        dict(rows.documents),
    )
