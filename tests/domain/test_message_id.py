"""Made message ids: nobody else's, and they tell which oplog has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.domain.message_id import (
    RESERVED,
    is_made,
    made_for,
    made_message_id,
    series_of,
    whole_message_id,
)
from mobilesync.domain.names import check_message_id
from mobilesync.protocol.limits import ID_MAX

SERIES = series_of(0x0123456789ABCDEF)


@given(st.integers(0, 2**40), st.integers(1, ID_MAX))
def test_a_whole_one_tells_its_oplog_and_is_a_good_message_id(number: int, oplog_id: int) -> None:
    beginning = made_message_id(SERIES, number)
    assert is_made(beginning)
    whole = whole_message_id(beginning, oplog_id)
    assert made_for(whole) == oplog_id
    assert not is_made(whole)
    assert check_message_id(whole) == whole


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_series_have_one_length(one: int, other: int) -> None:
    # Or one with a number behind it could be the beginning of another.
    assert len(series_of(one)) == len(series_of(other))


@given(st.sets(st.tuples(st.integers(0, 2**40), st.integers(1, 100)), max_size=20))
def test_no_two_are_equal(places: set[tuple[int, int]]) -> None:
    made = {whole_message_id(made_message_id(SERIES, n), oplog_id) for n, oplog_id in places}
    # One number is given once; but even if it were not, the oplog id tells two apart.
    assert len(made) == len(places)


@pytest.mark.parametrize(
    "given_id",
    [
        "m1",
        "order-",
        "-",
        f"{RESERVED}recall:7",
        f"{RESERVED}offer:ab:7",
        f"{RESERVED}ab-07",
        "mobilesync:",
    ],
)
def test_others_stay_as_they_are(given_id: str) -> None:
    assert whole_message_id(given_id, 7) == given_id
    assert made_for(given_id) == 0
