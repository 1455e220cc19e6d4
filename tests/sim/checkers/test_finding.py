"""A finding says what, when and where in one line."""

from mobilesync.sim.checkers.finding import Finding


def test_text() -> None:
    assert str(Finding("G1", 12, "it is gone")) == "G1 at 12 ms: it is gone"
