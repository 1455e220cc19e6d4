"""A fact is a value with a time."""

import msgspec
import pytest

from mobilesync.sim.fact import Fact
from mobilesync.sim.history import Ended


def test_facts_are_values() -> None:
    assert issubclass(Ended, Fact)
    assert Ended(5) == Ended(5) != Ended(6)
    with pytest.raises(AttributeError):
        Ended(5).at_ms = 6  # type: ignore[misc]  # that it cannot is what is tested
    assert msgspec.json.decode(msgspec.json.encode(Ended(5))) == {"type": "Ended", "at_ms": 5}
