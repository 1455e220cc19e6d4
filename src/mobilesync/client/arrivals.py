"""How what the server says becomes inbox rows: oplogs, withdrawals and Resets, in one channel.

Strategy: plain functions, each a part of a transaction that `local_store` has opened. A withdrawal
takes out what waits and leaves a row of its own for the app, in its place among the oplogs; so does
a Reset.

Not here: sync points (local_store.py), when and by whom rows are handled (dispatcher.py).

Invariant: no function here touches a row of another channel, or one that `current_id` no longer
names.
"""

from collections.abc import Iterator, Sequence

from mobilesync.client import inbox
from mobilesync.client.database import Database
from mobilesync.protocol.codes import ResetReason
from mobilesync.protocol.messages import Push, PushedOplog, Reset, Withdrawal

_INSERT = (
    "INSERT INTO mobilesync_inbox (channel, kind, epoch, id, current_id, published_at_ms,"
    " message_id, payload, key, origin_target, origin_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_NAMED = "channel = ? AND current_id BETWEEN ? AND ? AND kind = 0"
_UNKNOWN = "SELECT id FROM mobilesync_inbox"
_CALLED = "UPDATE mobilesync_inbox SET state = 3"


def save_push(database: Database, channel: int, epoch: int, push: Push) -> None:
    """Add what `push` brings, in its order."""
    _make_way(database, channel, push)
    oplogs: list[PushedOplog] = []
    for oplog in push.oplogs:
        if oplog.withdraws is None:
            oplogs.append(oplog)
            continue
        # Those before it first, for it may withdraw them.
        _save_oplogs(database, channel, epoch, oplogs)
        oplogs = []
        _save_withdrawal(database, channel, epoch, oplog, oplog.withdraws)
    _save_oplogs(database, channel, epoch, oplogs)


def _make_way(database: Database, channel: int, push: Push) -> None:
    held = (
        "SELECT 1 FROM mobilesync_inbox WHERE channel = ? AND current_id > ?"
        " AND current_id <= ? LIMIT 1"
    )
    if database.rows(held, (channel, push.after, push.upto)):
        # Only after REWOUND: an oplog that still waits comes again, at its new place.
        for each in push.oplogs:
            database.delete("channel = ? AND current_id = ?", channel, each.id)


def _save_oplogs(
    database: Database, channel: int, epoch: int, oplogs: Sequence[PushedOplog]
) -> None:
    rows = [
        (
            *(channel, inbox.OPLOG, epoch, o.id, o.id, o.published_at_ms, o.message_id, o.payload),
            *(o.key, *((o.origin.target, o.origin.id) if o.origin is not None else ("", 0))),
        )
        for o in oplogs
    ]
    database.run_many(_INSERT, rows)
    database.grow(len(rows), sum(len(each.payload) for each in oplogs))


def _save_withdrawal(
    database: Database, channel: int, epoch: int, by: PushedOplog, withdrawal: Withdrawal
) -> None:
    """Spec §13.9: take out what waits, and leave a row when the app may know some of them."""
    told: list[tuple[int, int]] = []
    for ids in withdrawal.ids:
        # Ids that are not below its own mean nothing.
        last = min(ids.last, by.id - 1)
        told += _without(ids.first, last, _take_out(database, channel, ids.first, last))
    if not told:
        return
    payload = inbox.withdrawal_payload(withdrawal.reason, told)
    row = (channel, inbox.WITHDRAWAL, epoch, by.id, by.id, by.published_at_ms, by.message_id)
    database.rows(_INSERT, (*row, payload, "", "", 0))
    database.grow(1, len(payload))


def _take_out(database: Database, channel: int, first: int, last: int) -> list[int]:
    """Remove what waits under these ids, and answer which of them the app cannot know.

    That an oplog was handed out at all may be forgotten by a power cut (`LocalStore.take`).
    """
    ids = (channel, first, last)
    unknown = database.rows(f"{_UNKNOWN} WHERE {_NAMED} AND attempts = 0 ORDER BY id", ids)
    # A call that runs goes on to its end, and takes its row along whatever the end is.
    database.rows(f"{_CALLED} WHERE {_NAMED} AND running = 1", ids)
    database.delete(f"{_NAMED} AND running = 0", *ids)
    return [id_ for (id_,) in unknown]


def _without(first: int, last: int, holes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """What is left of the range `first` to `last` without `holes`, which ascend."""
    for hole in (*holes, last + 1):
        if first < hole:
            yield first, hole - 1
        first = hole + 1


def save_reset(database: Database, channel: int, point: tuple[int, int], reset: Reset) -> None:
    """Note that the app is to be told of `reset`; `point` is (epoch, received) before it.

    What was saved but not handled stays, and is still handled.
    """
    epoch, received = point
    rewound = reset.reason == ResetReason.REWOUND and reset.epoch == epoch
    if not rewound:
        # Ids above the floor, or all ids of a foreign store, now mean other oplogs.
        above = -1 if reset.reason == ResetReason.FOREIGN else reset.floor
        database.rows(
            "UPDATE mobilesync_inbox SET current_id = NULL WHERE channel = ? AND current_id > ?",
            (channel, above),
        )
    before = _drop_last_reset(database, channel, received)
    payload = inbox.reset_payload(reset.floor, reset.reason, before)
    row = (channel, inbox.RESET, reset.epoch, 0, None, 0, "", payload, "", "", 0)
    database.rows(_INSERT, row)
    database.grow(1, len(payload))


def _drop_last_reset(database: Database, channel: int, received: int) -> int:
    """Merge with a Reset that nothing has come after and nobody was told: so a server that
    resets at each connect cannot fill the inbox. Answers the id before both."""
    last = (
        "SELECT arrival, kind, running, payload FROM mobilesync_inbox"
        " WHERE arrival = (SELECT max(arrival) FROM mobilesync_inbox WHERE channel = ?)"
    )
    for arrival, kind, running, payload in database.rows(last, (channel,)):
        if kind == inbox.RESET and not running:
            database.delete("arrival = ?", arrival)
            return inbox.received_before(payload)
    return received
