"""W2 takes the harder of two peers, and looks at unicasts beside it only when told."""

from benchmarks.works import broadcast
from tests.benchmarks.canned import CannedBench, silent

FIGURES = {
    "mobilesync": {broadcast.CPU_US: 30.0, broadcast.P99_US: 9.0, broadcast.UNICAST_P99_US: 12.0},
    "floor": {broadcast.CPU_US: 20.0},
    "mosquitto": {broadcast.CPU_US: 60.0},
    "nats": {broadcast.CPU_US: 40.0},
}


def test_everyone_then_with_unicasts_then_those_alone() -> None:
    bench = CannedBench(FIGURES)
    result = broadcast.measure(bench, broadcast.FULL, silent)
    assert result.line == "W2 cpu_vs_best_peer=0.75"
    assert list(result.medians) == [broadcast.ALONE, broadcast.BESIDE, broadcast.WITHOUT]
    alone = [name for name, work, _ in bench.asked if work == "unicast"]
    assert "nats" not in alone
    assert "mosquitto" in alone


def test_a_quick_run_leaves_the_unicasts_out() -> None:
    result = broadcast.measure(CannedBench(FIGURES), broadcast.QUICK, silent)
    assert list(result.medians) == [broadcast.ALONE]


def test_a_short_run_has_the_devices_and_the_unicasts_of_a_whole_one() -> None:
    short, full = broadcast.SHORT, broadcast.FULL
    assert (short.devices, short.unicast_rate) == (full.devices, full.unicast_rate)
    result = broadcast.measure(CannedBench(FIGURES), short, silent)
    assert list(result.medians) == [broadcast.ALONE, broadcast.BESIDE, broadcast.WITHOUT]
