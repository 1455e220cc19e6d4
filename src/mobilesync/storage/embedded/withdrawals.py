"""Rewriting oplogs that are withdrawn.

Strategy: a withdrawal is an oplog that names others of its channel. The store rewrites their rows
in the commit that appends it. Only rows that are durable at the call can be named, since their ids
were answered or pushed. Until the commit is durable this file remembers both states of each row:
the coming one, so that a second withdrawal sees the first (once recalled, always recalled), and
the durable one, which readers are shown: a withdrawal that a power cut takes back must not have
kept an oplog from anybody.

Invariants:
- a row that a trim is about to take is not written again;
- an entry is here exactly as long as its group is not durable.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from mobilesync.domain.oplog import Draft, Oplog, Withdrawn, may_withdraw, withdrawn_oplog
from mobilesync.storage.embedded import keys, rows
from mobilesync.storage.embedded.commit import Committer
from mobilesync.storage.embedded.group import Group
from mobilesync.storage.embedded.heads import Heads
from mobilesync.storage.embedded.tables import Tables


class Rewrite(Struct, frozen=True, gc=False):
    """What becomes of one row."""

    durable: Oplog
    left: Oplog
    row: bytes
    """`left`, as it is stored."""

    @property
    def queue_bytes(self) -> int:
        """What it counts for in the queue: both states are kept until it is durable."""
        return len(self.durable.payload) + len(self.row)


class Withdrawals:
    """What is being withdrawn."""

    def __init__(self, tables: Tables, heads: Heads, committer: Committer) -> None:
        self._tables = tables
        self._heads = heads
        self._committer = committer
        self._durable: dict[bytes, Oplog] = {}
        self._coming: dict[bytes, list[tuple[Group, Oplog]]] = {}

    @property
    def durable(self) -> Mapping[bytes, Oplog]:
        """By key, rows that are being rewritten, as readers are to see them."""
        return self._durable

    def plan(self, fresh: Iterable[tuple[Draft, int]]) -> dict[bytes, Rewrite]:
        """What becomes, by key, of the rows that `fresh` withdraw: drafts with the ids that they
        get. Raises StoreUnavailable."""
        planned: dict[bytes, Rewrite] = {}
        for draft, oplog_id in fresh:
            withdraws = draft.details.withdraws if draft.details is not None else None
            if withdraws is None:
                continue
            fate = Withdrawn(oplog_id, withdraws.reason, draft.published_at_ms, withdraws.by)
            for key, durable in self._named(draft, withdraws.ids):
                coming = self._coming.get(key)
                newest = coming[-1][1] if coming else durable
                if key in planned:
                    newest = planned[key].left
                if may_withdraw(newest, withdraws.reason):
                    left = withdrawn_oplog(newest, fate)
                    planned[key] = Rewrite(durable, left, rows.encode_oplog(left))
        return planned

    def stage(self, group: Group, planned: Mapping[bytes, Rewrite]) -> None:
        """Put into `group` what was planned in the same turn of the loop."""
        for key, rewrite in planned.items():
            group.batch.put(key, rewrite.row, self._tables.in_oplogs)
            group.rewritten.add(key)
            self._durable[key] = rewrite.durable
            self._coming.setdefault(key, []).append((group, rewrite.left))

    def settle(self, group: Group) -> None:
        """`group` is durable."""
        for key in group.rewritten:
            coming = self._coming[key]
            while coming and coming[0][0] is group:
                self._durable[key] = coming.pop(0)[1]
            if not coming:
                del self._coming[key], self._durable[key]

    def _named(self, draft: Draft, ids: Iterable[tuple[int, int]]) -> Iterable[tuple[bytes, Oplog]]:
        """Durable oplogs with `ids` that no trim is about to take."""
        channel = draft.channel
        head = self._heads.of(channel)
        if head is None:
            return
        tables = self._tables
        prefix = keys.channel_prefix(channel)
        lowest = max(head.trimmed, self._committer.trimmed_to(channel)) + 1
        for first, last in ids:
            low, high = max(first, lowest), min(last, head.last)
            if low > high:
                continue
            begin, end = prefix + keys.id_bytes(low), prefix + keys.id_bytes(high + 1)
            for key, data in tables.scan(tables.oplogs, begin, end):
                stored = self._durable.get(key)
                yield key, stored or rows.decode_oplog(keys.id_of(key), data)
