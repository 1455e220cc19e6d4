"""A run goes through its phases, and takes stock."""

from mobilesync.sim import SimOptions, run_seed
from mobilesync.sim import history as h


def test_the_phases_come_in_order_and_the_stock_is_taken() -> None:
    report = run_seed(2, SimOptions(keeps_history=True))
    assert report.passed
    marks = (h.CalmBegan, h.QuietBegan, h.QuietEnded, h.HeldAll, h.Ended)
    phases = [type(fact) for fact in report.history if isinstance(fact, marks)]
    assert phases == list(marks)
    for kind in (h.Asked, h.Answered, h.Saved, h.Marked, h.Held, h.KnownPoint, h.OwnPoint):
        assert any(isinstance(fact, kind) for fact in report.history), kind


def test_in_quiet_only_heartbeats_are_seen_but_they_are() -> None:
    report = run_seed(2, SimOptions(keeps_history=True))
    kinds = {fact.kind for fact in report.history if isinstance(fact, h.Framed)}
    assert kinds == {"Ping", "Pong"}
