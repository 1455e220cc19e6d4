"""Conduct: no Close without a reason."""

import pytest

from mobilesync.protocol.codes import CloseCode
from mobilesync.sim import history as h
from mobilesync.sim.checkers.conduct import SETTLE_MS, check
from mobilesync.sim.checkers.ledger import Ledger
from tests.sim.checkers.told import D1, Tale


@pytest.mark.parametrize(
    "code, in_trouble, in_calm",
    [
        (CloseCode.NORMAL, 0, 0),
        (CloseCode.REPLACED, 0, 0),
        (CloseCode.SLOW_DEVICE, 0, 1),
        (CloseCode.INVALID_FIELD, 1, 1),
        (CloseCode.INTERNAL, 1, 1),
    ],
)
def test_codes(code: CloseCode, in_trouble: int, in_calm: int) -> None:
    tale = Tale()
    tale.add(h.Closed(tale.now_ms, 1, D1, by_server=True, code=code))
    assert len(list(check(Ledger(tale.facts)))) == in_trouble
    tale = Tale()
    tale.calm()
    tale.wait(SETTLE_MS)
    tale.add(h.Closed(tale.now_ms, 1, D1, by_server=True, code=code))
    assert len(list(check(Ledger(tale.facts)))) == in_calm
