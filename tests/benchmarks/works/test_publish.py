"""W5 compares batches with batches and singles with singles."""

from benchmarks import systems
from benchmarks.works import publish
from tests.benchmarks.canned import CannedBench, silent


def test_both_cases() -> None:
    figures = {"mobilesync": {publish.PER_S: 30.0}, "postgresql": {publish.PER_S: 20.0}}
    bench = CannedBench(figures)
    bench.absent = {"jetstream", "jetstream-always"}
    result = publish.measure(bench, publish.FULL, silent)
    assert result.line == "W5 batch_vs_postgresql=1.50 single_vs_postgresql=1.50"
    assert {options["batch"] for _, _, options in bench.asked} == {1, 100}


def test_a_quick_run_has_postgresql() -> None:
    assert [system.name for system in publish.QUICK.systems][:2] == ["mobilesync", "postgresql"]


def test_a_short_run_asks_for_no_batches_that_would_not_be_answered() -> None:
    figures = {system.name: {publish.PER_S: 10.0} for system in systems.PUBLISH}
    bench = CannedBench(figures)
    result = publish.measure(bench, publish.SHORT, silent)
    assert set(result.spreads(publish.SINGLES, publish.PER_S)) == set(figures)
    assert set(figures) - set(result.spreads(publish.BATCHES, publish.PER_S)) == {
        "jetstream-always"
    }
    assert result.settings["only one by one"] == "JetStream, sync always"
