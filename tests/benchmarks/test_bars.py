"""Bars are judged both ways, and what is missing is neither met nor missed."""

from benchmarks.bars import BARS, judged


def test_more_and_less() -> None:
    figures = {"batch_vs_postgresql": 2.0, "single_vs_postgresql": 0.99}
    verdicts = {bar.figure: met for bar, _, met in judged("W5", figures)}
    assert verdicts == {"batch_vs_postgresql": True, "single_vs_postgresql": False}
    assert [met for *_, met in judged("W3", {"time_vs_mosquitto": 0.5})] == [True]


def test_what_was_not_measured_is_not_judged() -> None:
    assert [met for *_, met in judged("W4", {"kb_per_connection": None})] == [None]
    assert list(judged("W9", {})) == []


def test_a_limit_is_told_with_its_direction() -> None:
    assert [bar.told for bar in BARS["W1"]] == ["≥ 2", "≤ 0.6", "≥ 1.5", "≤ 0.8", "≤ 2.5"]
