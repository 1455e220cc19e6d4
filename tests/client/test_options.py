"""Bounds that cannot work are refused when they are said."""

from typing import Any

import pytest

from mobilesync.client.errors import InvalidOption
from mobilesync.client.options import ClientOptions


@pytest.mark.parametrize(
    "wrong",
    [
        {"inbox_count_max": 0},
        {"concurrency_max": -1},
        {"attempts_max": 0},
        {"ack_delay_s": 0.2},
        {"reconnect_s": 10, "reconnect_max_s": 5},
        {"handler_backoff_s": 10, "handler_backoff_max_s": 5},
    ],
)
def test_what_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        ClientOptions(**wrong)


def test_the_defaults_keep_the_protocols_promises() -> None:
    options = ClientOptions()
    assert options.ack_delay_s <= 0.1
    assert (options.reconnect_s, options.reconnect_max_s, options.stable_s) == (0.5, 120, 60)
    assert options.attempts_max == 6
