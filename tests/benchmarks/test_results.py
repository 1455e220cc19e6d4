"""Results are medians of the runs that count, and come back from the file as they were."""

from pathlib import Path

import msgspec
import pytest

from benchmarks import results
from benchmarks.ratios import Spread
from benchmarks.results import (
    Missing,
    Results,
    Run,
    Size,
    WorkResult,
    commit,
    joined,
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


def _whole(works: list[WorkResult], at: str = "today", **size: bool) -> Results:
    sized = {"quick": False, **size}
    return Results(at=at, command="c", commit="f", machine={}, versions={}, works=works, **sized)


def _work(name: str) -> WorkResult:
    return WorkResult.of(name, {}, {}, RUNS, [])


def test_a_file_of_before_there_were_short_runs_is_read(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    write(_whole([_work("W3")], quick=True), file)
    old = msgspec.json.decode(file.read_bytes())
    del old["short"]
    for name in ("at", "commit", "command", "size"):
        del old["works"][0][name]
    file.write_bytes(msgspec.json.encode(old))
    found = read(file)
    assert found.size is Size.QUICK
    assert (found.works[0].at, found.works[0].size) == ("", None)
    assert not found.is_earlier(found.works[0])


def test_the_size_of_a_run() -> None:
    assert _whole([]).size is Size.WHOLE
    assert _whole([], short=True).size is Size.SHORT


def test_what_was_not_measured_again_is_kept_and_says_whose_it_is() -> None:
    earlier = _whole([_work("W1"), _work("W2")], "yesterday", short=True)
    now = _whole([])
    both = joined([now.sign(_work("W2"))], earlier)
    assert [(each.work, each.at, each.size) for each in both] == [
        ("W2", "today", Size.WHOLE),
        ("W1", "yesterday", Size.SHORT),
    ]
    assert [now.is_earlier(each) for each in both] == [False, True]
    again = joined([], _whole(both, "tomorrow"))
    assert [each.at for each in again] == ["today", "yesterday"], "it stays who measured it first"


def test_without_an_earlier_run_there_is_what_was_measured() -> None:
    work = _work("W1")
    assert joined([work], None) == [work]


def test_the_machine_says_what_its_disk_does_and_who_else_is_there(tmp_path: Path) -> None:
    found = machine(tmp_path)
    assert float(found["in use by others when it began"].split()[0]) >= 0
    assert found["append and fdatasync of 200 B"].endswith("in the median")
    assert all(found.values())
