"""Results are medians of the runs that count, and come back from the file as they were."""

from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.ratios import Spread
from benchmarks.results import (
    Missing,
    Results,
    Run,
    WorkResult,
    commit,
    machine,
    read,
    rounds,
    write,
)

RUNS = [
    Run("mobilesync", "few", 1, {"per_s": 3.0}),
    Run("mobilesync", "few", 0, {"per_s": 1.0}),
    Run("mobilesync", "many", 0, {"per_s": 9.0}),
    Run("redis", "few", 0, {"per_s": 7.0, "acks": 1.0}),
]


def test_rounds_are_in_order_and_of_one_case() -> None:
    assert rounds(RUNS, "few", "per_s") == {"mobilesync": [1.0, 3.0], "redis": [7.0]}
    assert rounds(RUNS, "few", "acks") == {"redis": [1.0]}


def test_medians_leave_out_who_is_missing_and_runs_do_not() -> None:
    missing = [Missing("redis", "few", "died")]
    result = WorkResult.of("W1", {"devices": 10}, {"a": None}, RUNS, missing)
    assert result.medians == {
        "few": {"per_s": {"mobilesync": Spread(2.0, 1.0, 3.0)}},
        "many": {"per_s": {"mobilesync": Spread(9.0, 9.0, 9.0)}},
    }
    assert len(result.runs) == 4
    assert result.spreads("few", "per_s")["mobilesync"].most == 3.0
    assert result.spreads("none", "per_s") == {}
    assert result.line == "W1 a=n/a"


@pytest.fixture(autouse=True)
def short_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "_LOOK_S", 0.05)


def test_a_file_brings_back_what_was_written(tmp_path: Path) -> None:
    work = WorkResult.of("W3", {"devices": 10}, {"time_vs_mosquitto": 0.4}, RUNS, [])
    whole = Results(
        at="today",
        command="make bench",
        quick=False,
        commit=commit(),
        machine=machine(tmp_path),
        versions={"redis": "7"},
        works=[work],
    )
    write(whole, tmp_path / "deep" / "results.json")
    assert read(tmp_path / "deep" / "results.json") == whole


def test_the_machine_says_what_its_disk_does_and_who_else_is_there(tmp_path: Path) -> None:
    found = machine(tmp_path)
    assert float(found["in use by others when it began"].split()[0]) >= 0
    assert found["append and fdatasync of 200 B"].endswith("in the median")
    assert all(found.values())
