"""Values come back as they went in."""

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from mobilesync.domain.conditions import Conditions
from mobilesync.domain.oplog import Draft, oplog_of
from mobilesync.domain.sync_point import Fork, Head, SyncPoint
from mobilesync.storage.embedded import rows
from tests.storage.drafts import CHAT

MS = st.integers(0, 2**53)
DRAFTS = st.builds(
    Draft,
    st.just(CHAT),
    st.binary(),
    st.text(st.characters(exclude_categories=["Cs"])),
    MS,
    MS,
    st.booleans(),
    st.none() | st.builds(Conditions, st.lists(st.text()).map(tuple), st.text(), st.text()),
)


@given(DRAFTS.filter(lambda draft: "\ud800" not in repr(draft.conditions)), st.integers(1, 2**53))
def test_oplogs(draft: Draft, oplog_id: int) -> None:
    data = rows.encode_oplog(draft)
    assert rows.decode_oplog(oplog_id, data) == oplog_of(draft, oplog_id)
    ending = rows.decode_ending(data)
    assert (ending.expires_at_ms, ending.expires_by_retention, ending.message_id) == (
        draft.expires_at_ms,
        draft.expires_by_retention,
        draft.message_id,
    )


@given(st.tuples(MS, MS, MS, MS), st.lists(st.builds(Fork, MS, MS)).map(tuple))
def test_heads_and_points(numbers: tuple[int, int, int, int], forks: tuple[Fork, ...]) -> None:
    head = Head(*numbers, forks)
    assert rows.decode_head(rows.encode(head)) == head
    point = SyncPoint(*numbers[:3])
    assert rows.decode_point(rows.encode(point)) == point


def test_fields_that_a_newer_version_adds_are_passed_over() -> None:
    newer = msgspec.msgpack.encode((10, True, "m", None, 5, None, b"payload", "a new field"))
    assert rows.decode_oplog(3, newer).payload == b"payload"


def test_a_row_cut_short_is_no_row() -> None:
    with pytest.raises(msgspec.DecodeError):
        rows.decode_oplog(1, msgspec.msgpack.encode((10, True)))
