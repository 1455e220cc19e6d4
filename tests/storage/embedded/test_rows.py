"""Values come back as they went in."""

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from mobilesync.domain.conditions import Conditions, Rollout
from mobilesync.domain.oplog import (
    Details,
    Draft,
    Origin,
    Withdrawal,
    WithdrawalReason,
    Withdrawn,
    oplog_of,
)
from mobilesync.domain.sync_point import Advance, Fork, Head, Sent, Skip, SyncPoint
from mobilesync.storage.embedded import rows
from tests.storage.drafts import CHAT

MS = st.integers(0, 2**53)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
REASONS = st.sampled_from(WithdrawalReason)
DRAFTS = st.builds(
    Draft,
    st.just(CHAT),
    st.binary(),
    TEXTS,
    MS,
    MS,
    st.booleans(),
    st.none()
    | st.builds(
        Conditions,
        st.lists(TEXTS).map(tuple),
        TEXTS,
        TEXTS,
        st.lists(TEXTS).map(tuple),
        MS,
        MS,
        st.lists(st.tuples(TEXTS, st.lists(TEXTS).map(tuple))).map(tuple),
        st.none() | st.builds(Rollout, st.floats(0, 100), TEXTS),
        TEXTS,
    ),
    st.none()
    | st.builds(
        Details,
        TEXTS,
        TEXTS,
        st.none() | st.builds(Origin, TEXTS, MS, st.booleans()),
        st.none() | st.builds(Withdrawal, st.lists(st.tuples(MS, MS)).map(tuple), REASONS, TEXTS),
        st.none() | st.builds(Withdrawn, MS, REASONS, MS, TEXTS),
    ),
)


@given(DRAFTS, st.integers(1, 2**53))
def test_oplogs(draft: Draft, oplog_id: int) -> None:
    data = rows.encode_oplog(draft)
    assert rows.decode_oplog(oplog_id, data) == oplog_of(draft, oplog_id)
    ending = rows.decode_ending(data)
    assert (ending.expires_at_ms, ending.expires_by_retention, ending.message_id) == (
        draft.expires_at_ms,
        draft.expires_by_retention,
        draft.message_id,
    )
    assert ending.details == draft.details
    assert rows.encode_oplog(oplog_of(draft, oplog_id)) == data


@given(st.builds(SyncPoint, MS, MS, MS, MS, MS, st.integers(0, 255), MS))
def test_points(point: SyncPoint) -> None:
    assert rows.decode_point(rows.encode(point)) == point


SENDS = st.lists(st.builds(Sent, MS, MS)).map(tuple)
SKIPS = st.lists(st.builds(Skip, MS, MS, st.integers(1, 99))).map(tuple)


@given(MS, MS, SENDS, SKIPS)
def test_steps(at_ms: int, before: int, sends: tuple[Sent, ...], skips: tuple[Skip, ...]) -> None:
    advance = Advance(CHAT, "phone", 1, 2, 3, at_ms, 4, sends, skips, before=before)
    data = rows.encode_step(advance)
    assert rows.decode_step(data) == rows.StepRow(at_ms, before, sends, skips)


def test_a_plain_step_takes_next_to_nothing() -> None:
    plain = Advance(CHAT, "phone", 1, 200, 200, 1_700_000_000_000, before=199)
    assert len(rows.encode_step(plain)) <= 12


@given(st.tuples(MS, MS, MS, MS), st.lists(st.builds(Fork, MS, MS)).map(tuple))
def test_heads(numbers: tuple[int, int, int, int], forks: tuple[Fork, ...]) -> None:
    head = Head(*numbers, forks)
    assert rows.decode_head(rows.encode(head)) == head


def test_fields_that_a_newer_version_adds_are_passed_over() -> None:
    newer = msgspec.msgpack.encode((10, True, "m", None, 5, None, b"payload", "a new field"))
    assert rows.decode_oplog(3, newer).payload == b"payload"


def test_a_row_cut_short_is_no_row() -> None:
    with pytest.raises(msgspec.DecodeError):
        rows.decode_oplog(1, msgspec.msgpack.encode((10, True)))
