"""Close codes: a client obeys the range, also of codes that it never heard of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.domain import oplog
from mobilesync.protocol.codes import (
    MEANINGS,
    CloseCode,
    Reaction,
    ResetReason,
    Waits,
    WithdrawalReason,
    reaction,
)


@pytest.mark.parametrize("code", CloseCode)
def test_every_code_lies_in_a_range_and_has_a_meaning(code: CloseCode) -> None:
    assert 1000 <= code <= 3999
    assert MEANINGS[code]


@given(st.integers(0, 65535))
def test_the_thousands_decide(code: int) -> None:
    expected = {2: Reaction.REAUTHENTICATE, 3: Reaction.STOP}.get(code // 1000, Reaction.RETRY)
    assert reaction(code) is expected


def test_token_codes_ask_for_a_token() -> None:
    codes = [code for code in CloseCode if code.name.startswith("TOKEN_")]
    assert codes
    assert {reaction(code) for code in codes} == {Reaction.REAUTHENTICATE}


def test_what_a_client_does_wrong_makes_it_stop() -> None:
    for code in (CloseCode.MALFORMED_FRAME, CloseCode.INVALID_FIELD, CloseCode.UNKNOWN_APP):
        assert reaction(code) is Reaction.STOP


def test_what_only_time_heals_is_tried_again() -> None:
    for code in (CloseCode.OVERLOADED, CloseCode.DRAINING, CloseCode.REPLACED, CloseCode.RESUME):
        assert reaction(code) is Reaction.RETRY


def test_numbers_on_the_wire_never_change() -> None:
    # Released numbers: a change here breaks devices that are out there.
    codes = {1009, 1010, 2001, 3003, 3005}
    assert {code.name: int(code) for code in CloseCode if code in codes} == {
        "REPLACED": 1009,
        "RESUME": 1010,
        "TOKEN_EXPIRED": 2001,
        "UNSUPPORTED_VERSION": 3003,
        "INVALID_FIELD": 3005,
    }
    assert [int(reason) for reason in ResetReason] == [1, 2, 3, 4, 5, 6]
    assert {each.name: int(each) for each in WithdrawalReason} == {"RECALLED": 1, "CONSUMED": 2}
    assert [int(each) for each in Waits] == [0, 1, 2]


def test_the_server_withdraws_for_the_reasons_that_devices_know() -> None:
    stored = {each.name: int(each) for each in oplog.WithdrawalReason}
    assert stored == {each.name: int(each) for each in WithdrawalReason}
