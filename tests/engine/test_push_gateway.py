"""Results of a wake that contradict themselves cannot be made."""

from typing import Any

import pytest

from mobilesync.engine.push_gateway import SENT, WakeOutcome, WakeResult


def test_results_that_can_be() -> None:
    assert SENT.outcome is WakeOutcome.SENT
    assert WakeResult(WakeOutcome.TOKEN_GONE, "Unregistered").retry_after_s == 0
    assert WakeResult(WakeOutcome.RETRY, "HTTP 503", 10.0).retry_after_s == 10
    assert WakeResult(WakeOutcome.REFUSED, "InvalidProviderToken").reason


@pytest.mark.parametrize(
    "wrong",
    [
        (WakeOutcome.SENT, "although"),
        (WakeOutcome.TOKEN_GONE, ""),
        (WakeOutcome.REFUSED, ""),
        (WakeOutcome.RETRY, "soon", 0.0),
        (WakeOutcome.RETRY, "soon", -1.0),
        (WakeOutcome.RETRY, "", 1.0),
        (WakeOutcome.REFUSED, "never", 1.0),
        (WakeOutcome.SENT, "", 1.0),
    ],
)
def test_results_that_cannot_be(wrong: Any) -> None:
    with pytest.raises(AssertionError):
        WakeResult(*wrong)
