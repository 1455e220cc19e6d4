"""What waits in the inbox, as values: rows to and from SQLite's tuples.

Not here: transactions (local_store.py).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mobilesync.client.events import ChannelReset, ParkedOplog, ReceivedOplog, WithdrawnOplogs

Channel = tuple[str, str]
"""(biz, target): what a channel is inside one app."""

Item = ReceivedOplog | ChannelReset | WithdrawnOplogs
"""What a row hands to the app."""

OPLOG, RESET, WITHDRAWAL = 0, 1, 2
"""Kinds of rows."""
PENDING, PARKED, RETRYING, WITHDRAWN = 0, 1, 2, 3
"""States of rows. RETRYING was parked: it is handled again, but never again holds the processed
point back, which only moves forward. WITHDRAWN was so while its call ran: the row goes with the
call's end."""

SELECT = (
    "SELECT arrival, biz, target, kind, i.epoch, id, published_at_ms, message_id, payload,"
    " attempts, failures, error, parked_at_ms, i.key, origin_target, origin_id"
    " FROM mobilesync_inbox i JOIN mobilesync_channel USING (channel)"
)
"""What `row_of` and `parked_of` read."""


@dataclass(frozen=True, slots=True)
class InboxRow:
    """One row to handle: an oplog, or a Reset or a withdrawal that the app has not been told."""

    key: int
    """The number of its arrival: the order of handling inside a channel. Never reused."""
    channel: Channel
    failures: int
    """Calls that failed so far."""
    item: Item


def row_of(values: tuple[Any, ...]) -> InboxRow:
    """The row that `SELECT` gave."""
    key, biz, target, kind, epoch, id_, at_ms, message_id, payload, attempts, failures = values[:11]
    item: Item
    if kind == RESET:
        floor, reason, before = json.loads(payload)
        item = ChannelReset(biz, target, epoch, floor, reason, before)
    elif kind == WITHDRAWAL:
        reason, ranges = json.loads(payload)
        item = WithdrawnOplogs(biz, target, epoch, tuple(map(tuple, ranges)), reason)
    else:
        oplog_key, origin_target, origin_id = values[13:16]
        origin = (origin_target, origin_id) if origin_target else None
        named = (message_id, at_ms, attempts, epoch, oplog_key, origin)
        item = ReceivedOplog(biz, target, id_, payload, *named)
    return InboxRow(key, (biz, target), failures, item)


def withdrawal_payload(reason: int, ranges: Sequence[tuple[int, int]]) -> bytes:
    """A withdrawal as the payload of its row."""
    return json.dumps([reason, ranges], separators=(",", ":")).encode()


def reset_payload(floor: int, reason: int, received_before: int) -> bytes:
    """A Reset as the payload of its row."""
    return json.dumps([floor, reason, received_before]).encode()


def received_before(payload: bytes) -> int:
    """The third of what `reset_payload` put in."""
    before = json.loads(payload)[2]
    assert isinstance(before, int)
    return before


def parked_of(values: tuple[Any, ...]) -> ParkedOplog:
    """The parked oplog that `SELECT` gave."""
    row = row_of(values)
    assert isinstance(row.item, ReceivedOplog), "only oplogs are parked"
    return ParkedOplog(row.key, row.item, values[11], values[12])
