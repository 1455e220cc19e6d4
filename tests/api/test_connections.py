"""The bounds of connections; what they do on the wire is in test_server.py."""

import pytest

from mobilesync.api.connections import BoundedConnection, bounded


def test_each_server_has_its_own_bounds() -> None:
    one = bounded(connections_max=1, head_bytes_max=2, head_timeout_s=3)
    other = bounded(connections_max=4, head_bytes_max=5, head_timeout_s=6)
    assert (one.connections_max, one.head_bytes_max, one.head_timeout_s) == (1, 2, 3)
    assert other.connections_max == 4
    assert BoundedConnection.connections_max == 1000


@pytest.mark.parametrize("field", ["connections_max", "head_bytes_max", "head_timeout_s"])
def test_a_bound_of_nothing_is_a_mistake(field: str) -> None:
    bounds = {"connections_max": 1, "head_bytes_max": 2, "head_timeout_s": 3} | {field: 0}
    with pytest.raises(AssertionError):
        bounded(**bounds)
