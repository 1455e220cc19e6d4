"""What waits in the inbox, as values: rows to and from SQLite's tuples.

Not here: transactions (local_store.py).
"""

import json
from dataclasses import dataclass
from typing import Any

from mobilesync.client.events import ChannelReset, ParkedOplog, ReceivedOplog

Channel = tuple[str, str]
"""(biz, target): what a channel is inside one app."""

OPLOG, RESET = 0, 1
"""Kinds of rows."""
PENDING, PARKED, RETRYING = 0, 1, 2
"""States of rows. RETRYING was parked: it is handled again, but never again holds the processed
point back, which only moves forward."""

SELECT = (
    "SELECT arrival, biz, target, kind, i.epoch, id, published_at_ms, message_id, payload,"
    " attempts, failures, error, parked_at_ms"
    " FROM mobilesync_inbox i JOIN mobilesync_channel USING (channel)"
)
"""What `row_of` and `parked_of` read."""


@dataclass(frozen=True, slots=True)
class InboxRow:
    """One row to handle: an oplog, or a Reset that the app has not been told."""

    key: int
    """The number of its arrival: the order of handling inside a channel. Never reused."""
    channel: Channel
    failures: int
    """Calls that failed so far."""
    item: ReceivedOplog | ChannelReset


def row_of(values: tuple[Any, ...]) -> InboxRow:
    """The row that `SELECT` gave."""
    key, biz, target, kind, epoch, id_, at_ms, message_id, payload, attempts, failures = values[:11]
    item: ReceivedOplog | ChannelReset
    if kind == RESET:
        floor, reason, before = json.loads(payload)
        item = ChannelReset(biz, target, epoch, floor, reason, before)
    else:
        item = ReceivedOplog(biz, target, id_, payload, message_id, at_ms, attempts, epoch)
    return InboxRow(key, (biz, target), failures, item)


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
