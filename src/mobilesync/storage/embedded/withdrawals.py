"""Rewriting oplogs that are withdrawn.

Strategy: a withdrawal is an oplog that names others of its channel. The store rewrites their rows
in the commit that appends it. Only rows that are durable can be named, since their ids were
answered or pushed. Until the commit is durable this file remembers what it has rewritten, so that
a second withdrawal in the same commit sees the first: once recalled, always recalled.

Invariants:
- a row that a trim is about to take is not written again;
- an entry is here exactly as long as its group is not durable.
"""

from mobilesync.domain.oplog import Draft, Oplog, Withdrawn, withdrawn_oplog
from mobilesync.storage.embedded import keys, rows
from mobilesync.storage.embedded.commit import Committer, Group
from mobilesync.storage.embedded.heads import Heads
from mobilesync.storage.embedded.tables import Tables


class Withdrawals:
    """What is being withdrawn."""

    def __init__(self, tables: Tables, heads: Heads, committer: Committer) -> None:
        self._tables = tables
        self._heads = heads
        self._committer = committer
        self._rewritten: dict[bytes, tuple[Group, Oplog]] = {}

    def stage(self, group: Group, draft: Draft, oplog_id: int) -> None:
        """Put into `group` what `draft`, which becomes `oplog_id`, withdraws."""
        withdraws = draft.details.withdraws if draft.details is not None else None
        head = self._heads.of(draft.channel)
        if withdraws is None or head is None:
            return
        fate = Withdrawn(oplog_id, withdraws.reason, draft.published_at_ms, withdraws.by)
        lowest = max(head.trimmed, self._committer.trimmed_to(draft.channel)) + 1
        for first, last in withdraws.ids:
            for key, oplog in self._stored(draft, max(first, lowest), min(last, head.last)):
                if oplog.withdrawn is None and (
                    oplog.details is None or oplog.details.withdraws is None
                ):
                    left = withdrawn_oplog(oplog, fate)
                    self._rewritten[key] = (group, left)
                    group.batch.put(key, rows.encode_oplog(left), self._tables.in_oplogs)

    def settle(self, group: Group) -> None:
        """`group` is durable."""
        if self._rewritten:
            self._rewritten = {
                key: each for key, each in self._rewritten.items() if each[0] is not group
            }

    def _stored(self, draft: Draft, first: int, last: int) -> list[tuple[bytes, Oplog]]:
        tables = self._tables
        prefix = keys.channel_prefix(draft.channel)
        found: list[tuple[bytes, Oplog]] = []
        if first > last:
            return found
        begin, end = prefix + keys.id_bytes(first), prefix + keys.id_bytes(last + 1)
        for key, data in tables.scan(tables.oplogs, begin, end):
            pending = self._rewritten.get(key)
            oplog = pending[1] if pending else rows.decode_oplog(keys.id_of(key), data)
            found.append((key, oplog))
        return found
