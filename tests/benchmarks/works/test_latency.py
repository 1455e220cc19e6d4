"""W6 loads each system with a part of its own maximum."""

from benchmarks.works import latency
from tests.benchmarks.canned import CannedBench, silent

FIGURES = {"mobilesync": {latency.P99_US: 900.0}, "redis": {latency.P99_US: 1000.0}}


def test_rates_are_parts_of_each_systems_maximum() -> None:
    bench = CannedBench(FIGURES)
    maxima = {"mobilesync": 40_000.0, "redis": 20_000.0}
    result = latency.measure(bench, latency.FULL, maxima, silent)
    assert result.line == "W6 p99_vs_durable_peer=0.90"
    rates = {(name, options["rate"]) for name, _, options in bench.asked}
    assert ("mobilesync", 10_000) in rates
    assert ("redis", 15_000) in rates
    assert len(result.medians) == 3


def test_without_a_maximum_there_is_nothing_to_load_with() -> None:
    result = latency.measure(CannedBench(FIGURES), latency.QUICK, {"mobilesync": 1.0}, silent)
    assert result.line == "W6 p99_vs_durable_peer=n/a"


def test_a_short_run_has_the_loads_of_a_whole_one() -> None:
    assert latency.SHORT.loads == latency.FULL.loads
