"""Histories survive the way to disk and back."""

import msgspec
import pytest

from mobilesync.domain.channel import Channel
from mobilesync.sim import history as h

CHANNEL = Channel("shop", "CHAT", "user:ann")


def test_json_lines_and_back() -> None:
    history = [
        h.BizDefined(0, "shop", "CHAT", 60),
        h.Asked(1, 1, CHANNEL, "m1", "d1", valid_until_ms=9, os=("ios",), batch=3),
        h.Answered(2, 1, 7, duplicate=True),
        h.Restored(3, (1, 2), ((CHANNEL, 4),)),
        h.Pushed(4, 1, "shop/d1", CHANNEL, 0, 7, ((7, "m1"),)),
        h.Saved(5, "shop/d1", CHANNEL, 2, 0, 7, (7,)),
        h.Ended(6),
    ]
    lines = list(h.to_lines(history))
    assert all(b"\n" not in line for line in lines)
    assert list(h.from_lines([*lines, b"", "\n"])) == history


def test_every_kind_of_fact_can_be_read_back() -> None:
    kinds = {kind.__name__ for kind in h.Fact.__subclasses__()}
    known = {kind.__name__ for kind in h.AnyFact.__args__}
    assert kinds == known


def test_a_line_of_another_kind_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        h.from_lines(['{"type": "Nonsense", "at_ms": 1}'])
