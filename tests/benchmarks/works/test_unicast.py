"""W1 tells the harder number of devices, and hands on each system's maximum."""

from dataclasses import replace

from benchmarks import systems
from benchmarks.works import unicast
from tests.benchmarks.canned import CannedBench, silent

FIGURES = {
    "mobilesync": {unicast.PER_S: 30.0, unicast.CPU_US: 10.0},
    "floor": {unicast.PER_S: 90.0, unicast.CPU_US: 5.0},
    "mosquitto": {unicast.PER_S: 10.0, unicast.CPU_US: 20.0},
    "redis": {unicast.PER_S: 15.0, unicast.CPU_US: 40.0},
}


def test_the_last_line_and_the_maxima() -> None:
    bench = CannedBench(FIGURES)
    bench.absent = {"jetstream", "jetstream-always"}
    result = unicast.measure(bench, replace(unicast.FULL, rounds=2), silent)
    assert result.line == (
        "W1 throughput_vs_durable_peer=2.00 cpu_vs_durable_peer=0.25"
        " throughput_vs_mosquitto=3.00 cpu_vs_mosquitto=0.50 cpu_vs_floor=2.00"
    )
    assert unicast.maxima(result) == {name: each[unicast.PER_S] for name, each in FIGURES.items()}
    assert list(result.medians) == ["1,000 devices", "10,000 devices", unicast.CEILING]
    assert set(result.spreads(unicast.CEILING, unicast.PER_S)) == {"floor"}
    assert {options["devices"] for _, _, options in bench.asked} == {1_000, 10_000}


def test_a_quick_run_has_all_peers() -> None:
    assert unicast.QUICK.systems == systems.UNICAST


def test_a_short_run_has_fewer_devices_and_all_that_the_bars_are_about() -> None:
    bench = CannedBench(dict.fromkeys((*FIGURES, "jetstream-always"), FIGURES["redis"]))
    result = unicast.measure(bench, unicast.SHORT, silent)
    assert list(result.medians) == ["1,000 devices", unicast.CEILING]
    assert None not in result.figures.values()
    assert not result.missing
