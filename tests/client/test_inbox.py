"""Rows as values."""

from mobilesync.client.events import ChannelReset, ParkedOplog, ReceivedOplog
from mobilesync.client.inbox import (
    OPLOG,
    RESET,
    parked_of,
    received_before,
    reset_payload,
    row_of,
)


def values(kind: int, payload: bytes) -> tuple[object, ...]:
    return (9, "CHAT", "everyone", kind, 7, 5, 1000, "m5", payload, 2, 1, "ValueError: no", 2000)


def test_an_oplogs_row() -> None:
    row = row_of(values(OPLOG, b"hi"))
    assert (row.key, row.channel, row.failures) == (9, ("CHAT", "everyone"), 1)
    assert row.item == ReceivedOplog("CHAT", "everyone", 5, b"hi", "m5", 1000, 2, 7)


def test_a_resets_row() -> None:
    payload = reset_payload(40, 2, 55)
    assert row_of(values(RESET, payload)).item == ChannelReset("CHAT", "everyone", 7, 40, 2, 55)
    assert received_before(payload) == 55


def test_a_parked_oplog_says_why_and_since_when() -> None:
    oplog = ReceivedOplog("CHAT", "everyone", 5, b"hi", "m5", 1000, 2, 7)
    assert parked_of(values(OPLOG, b"hi")) == ParkedOplog(9, oplog, "ValueError: no", 2000)
