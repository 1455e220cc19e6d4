"""What the journal proves of one oplog on one device.

Strategy: a sync point's steps are in the order in which they were made, lap by lap. The last step
that covers the id has the last word: it says whether the device was passed over, and when the push
left and was saved. The first step of that lap, from there on, whose processed id reaches it, says
when its handler was done.

Limit: of a channel with more than STEPS_MAX steps above the trimmed ids, the oldest count.
"""

from msgspec import Struct

from mobilesync.domain.channel import Channel
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import Advance, SyncPoint
from mobilesync.storage.contract import Store

STEPS_MAX = 10_000


class Proof(Struct, frozen=True):
    """Times are 0 for what is not proven."""

    sent_at_ms: int = 0
    received_at_ms: int = 0
    processed_at_ms: int = 0
    skipped: Reason | None = None
    """Why the device was moved over the oplog."""
    skipped_at_ms: int = 0
    is_current: bool = True
    """False when the sync point was put back since: what is proven happened, and may happen
    again."""


class Proofs:
    """Reads journals."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(
        self, channel: Channel, owner: str, oplog_id: int, point: SyncPoint | None
    ) -> Proof:
        """The proof for `oplog_id`; `point` is the owner's sync point. Raises StoreUnavailable."""
        steps = await self._store.journal(channel, owner, oplog_id - 1, STEPS_MAX)
        return prove(steps, oplog_id, point)


def prove(steps: list[Advance], oplog_id: int, point: SyncPoint | None) -> Proof:
    """What `steps` prove of the oplog; they are all that reach it, in their order."""
    sent_at_ms = 0
    last: Advance | None = None
    processed_at_ms = 0
    for step in steps:
        sent_at_ms = _sent_at_ms(step, oplog_id) or sent_at_ms
        if step.before < oplog_id <= step.received:
            last, processed_at_ms = step, 0
        if last is not None and step.lap == last.lap and step.processed >= oplog_id:
            processed_at_ms = processed_at_ms or step.at_ms
    is_current = point is None or point.received >= oplog_id
    if last is None:
        return Proof(sent_at_ms, is_current=is_current)
    for skip in last.skips:
        if skip.first <= oplog_id <= skip.last:
            return Proof(
                skipped=Reason(skip.reason), skipped_at_ms=last.at_ms, is_current=is_current
            )
    return Proof(sent_at_ms, last.at_ms, processed_at_ms, is_current=is_current)


def _sent_at_ms(step: Advance, oplog_id: int) -> int:
    """When the push left that held the oplog, if `step` tells."""
    return next((each.at_ms for each in step.sends if each.upto >= oplog_id), 0)
