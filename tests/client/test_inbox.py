"""Rows as values."""

import dataclasses

from mobilesync.client.events import ChannelReset, ParkedOplog, ReceivedOplog, WithdrawnOplogs
from mobilesync.client.inbox import (
    OPLOG,
    RESET,
    WITHDRAWAL,
    parked_of,
    received_before,
    reset_payload,
    row_of,
    withdrawal_payload,
)

OPLOG_5 = ReceivedOplog(
    "CHAT", "everyone", 5, b"hi", "m5", 1000, 2, 7, key="k", origin=("user:alice", 40)
)


def values(kind: int, payload: bytes) -> tuple[object, ...]:
    row = (9, "CHAT", "everyone", kind, 7, 5, 1000, "m5", payload, 2, 1, "ValueError: no", 2000)
    return (*row, "k", "user:alice", 40)


def test_an_oplogs_row() -> None:
    row = row_of(values(OPLOG, b"hi"))
    assert (row.key, row.channel, row.failures) == (9, ("CHAT", "everyone"), 1)
    assert row.item == OPLOG_5
    plain = row_of((*values(OPLOG, b"hi")[:13], "", "", 0)).item
    assert plain == dataclasses.replace(OPLOG_5, key="", origin=None)


def test_a_withdrawals_row() -> None:
    payload = withdrawal_payload(2, [(1, 3), (5, 5)])
    expected = WithdrawnOplogs("CHAT", "everyone", 7, ((1, 3), (5, 5)), 2)
    assert row_of(values(WITHDRAWAL, payload)).item == expected


def test_a_resets_row() -> None:
    payload = reset_payload(40, 2, 55)
    assert row_of(values(RESET, payload)).item == ChannelReset("CHAT", "everyone", 7, 40, 2, 55)
    assert received_before(payload) == 55


def test_a_parked_oplog_says_why_and_since_when() -> None:
    assert parked_of(values(OPLOG, b"hi")) == ParkedOplog(9, OPLOG_5, "ValueError: no", 2000)
