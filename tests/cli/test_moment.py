"""Times as people write and read them."""

import time

import click
import pytest

from mobilesync.cli.moment import read_moment, shown_ms, shown_s

AT = 1_767_323_045_678


@pytest.mark.parametrize(
    "text, at_ms",
    [
        ("2026-01-02T03:04:05.678", AT),
        ("2026-01-02 03:04:05.678Z", AT),
        ("2026-01-02T04:04:05.678+01:00", AT),
        ("2026-01-02", 1_767_312_000_000),
        ("", None),
        (None, None),
    ],
)
def test_a_time_is_utc_unless_it_says_otherwise(text: str | None, at_ms: int | None) -> None:
    assert read_moment(None, None, text) == at_ms


@pytest.mark.parametrize("text, s", [("+0s", 0), ("+90m", 5_400), ("+2h", 7_200), ("+3d", 259_200)])
def test_a_time_from_now(text: str, s: int) -> None:
    before = time.time_ns() // 1_000_000
    at_ms = read_moment(None, None, text)
    assert at_ms is not None
    assert before <= at_ms - s * 1000 <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("text", ["soon", "+1y", "+-1m", "1767323045678", "2026-13-01", "90m"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 2026-12-24T18:00"):
        read_moment(None, None, text)


def test_times_are_shown() -> None:
    assert shown_s(AT) == "2026-01-02 03:04:05"
    assert shown_ms(AT) == "2026-01-02 03:04:05.678"
    assert shown_s(0) == ""
