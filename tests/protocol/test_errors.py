"""Faults carry the code for the wire and a sentence for the log."""

import pytest

from mobilesync.protocol.codes import MEANINGS, CloseCode
from mobilesync.protocol.errors import MessageRefused, ProtocolFault


@pytest.mark.parametrize("code", CloseCode)
def test_without_a_detail_the_meaning_speaks(code: CloseCode) -> None:
    fault = ProtocolFault(code)
    assert fault.code is code
    assert fault.detail == str(fault) == MEANINGS[code]


def test_a_detail_speaks_for_itself() -> None:
    assert str(ProtocolFault(CloseCode.INVALID_FIELD, "a field")) == "a field"


def test_our_own_mistake_is_a_fault_too() -> None:
    assert issubclass(MessageRefused, ProtocolFault)
