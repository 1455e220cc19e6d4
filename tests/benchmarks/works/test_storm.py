"""W3 compares the time until all have caught up."""

from dataclasses import replace

from benchmarks.works import storm
from tests.benchmarks.canned import CannedBench, silent


def test_the_last_line() -> None:
    figures = {"mobilesync": {storm.CAUGHT_UP_S: 3.0}, "mosquitto": {storm.CAUGHT_UP_S: 10.0}}
    bench = CannedBench(figures)
    assert storm.measure(bench, storm.FULL, silent).line == "W3 time_vs_mosquitto=0.30"
    assert all(options["behind"] == 20 for _, _, options in bench.asked)


def test_a_short_run_differs_in_rounds_only() -> None:
    assert replace(storm.SHORT, rounds=storm.FULL.rounds) == storm.FULL
