"""What the journal proves of one oplog on one device.

Strategy: a sync point's steps are in the order in which they were made, lap by lap. The last step
that covers the id has the last word: it says whether the device was passed over, and when the push
left and was saved. The first step from there on whose processed id reaches it says when its handler
was done. Most proofs are complete after a few steps, so only few are read first.

Limits: of a channel with more than STEPS_MAX steps above the trimmed ids, the oldest count. What is
trimmed has no proof: a later step may cover its id without knowing that the device never got it.
"""

from collections.abc import Sequence

from msgspec import Struct

from mobilesync.domain.channel import Channel
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import Advance, SyncPoint
from mobilesync.storage.contract import Store

FIRST_STEPS = 32
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
    lap: int = 0
    """In which pass of the sync point it happened."""

    @property
    def is_final(self) -> bool:
        """Whether no later step of the same lap can add to it."""
        return bool(self.processed_at_ms) or self.skipped is not None


class Proofs:
    """Reads journals."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(
        self, channel: Channel, owner: str, oplog_id: int, point: SyncPoint | None
    ) -> Proof:
        """The proof for `oplog_id`; `point` is the owner's sync point. Raises StoreUnavailable."""
        first = await self._store.journal(channel, owner, oplog_id - 1, FIRST_STEPS)
        proof = prove(first, oplog_id, point)
        is_last_lap = point is not None and point.restarts == proof.lap
        if len(first) < FIRST_STEPS or (proof.is_final and is_last_lap):
            return proof
        steps = await self._store.journal(channel, owner, oplog_id - 1, STEPS_MAX)
        return prove(steps, oplog_id, point)


def prove(steps: list[Advance], oplog_id: int, point: SyncPoint | None) -> Proof:
    """What `steps` prove of the oplog; they are all that reach it, in their order."""
    sent_at_ms = 0
    last: Advance | None = None
    processed_at_ms = 0
    for step in steps:
        # What a step says of sends is about the ids above those that the device had before.
        if step.before < oplog_id:
            sent_at_ms = _sent_at_ms(step, oplog_id) or sent_at_ms
            if oplog_id <= step.received:
                last, processed_at_ms = step, 0
        if last is not None and step.processed >= oplog_id:
            processed_at_ms = processed_at_ms or step.at_ms
    is_current = point is None or point.received >= oplog_id
    if last is None:
        return Proof(sent_at_ms, is_current=is_current)
    for skip in last.skips:
        if skip.first <= oplog_id <= skip.last:
            reason = Reason(skip.reason)
            return Proof(
                skipped=reason, skipped_at_ms=last.at_ms, is_current=is_current, lap=last.lap
            )
    return Proof(sent_at_ms, last.at_ms, processed_at_ms, is_current=is_current, lap=last.lap)


def last_words(steps: Sequence[Advance], low: int, high: int) -> dict[int, int]:
    """What `steps` prove of the ids above `low` up to `high`: the reason for which the owner was
    moved over each, and 0 for what it got. What no step covers is left out."""
    words: dict[int, int] = {}
    for step in steps:
        first, last = max(step.before, low) + 1, min(step.received, high)
        words.update(dict.fromkeys(range(first, last + 1), 0))
        for skip in step.skips:
            covered = range(max(skip.first, first), min(skip.last, last) + 1)
            words.update(dict.fromkeys(covered, skip.reason))
    return words


def _sent_at_ms(step: Advance, oplog_id: int) -> int:
    """When the push left that held the oplog, if `step` tells."""
    return next((each.at_ms for each in step.sends if each.upto >= oplog_id), 0)
