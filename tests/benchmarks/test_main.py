"""A run does the works that are wanted, and W6 brings W1."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks import page, results
from benchmarks.__main__ import QUICK_RESULTS, WORKS, read_arguments, run_works, use_compiled
from benchmarks.results import Size, read
from benchmarks.systems import ALL
from tests.benchmarks.canned import CannedBench, silent
from tools.compile import CompileFailed

FIGURES = {
    "delivered_per_s": 10.0,
    "server_cpu_us_per_oplog": 10.0,
    "cpu_us_per_device": 10.0,
    "caught_up_s": 10.0,
    "kb_per_connection": 10.0,
    "published_per_s": 10.0,
    "p99_us": 10.0,
}
BENCH = CannedBench({system.name: FIGURES for system in ALL})


@pytest.mark.parametrize("size", list(Size))
def test_a_run_ends_with_one_line_for_each_work(size: Size) -> None:
    first, *others = [work.line for work in run_works(BENCH, WORKS[:-1], size, silent)]
    assert first.startswith("W1 throughput_vs_durable_peer=1.00 cpu_vs_durable_peer=1.00")
    assert others == [
        "W2 cpu_vs_best_peer=1.00",
        "W3 time_vs_mosquitto=1.00",
        "W4 kb_per_connection=10.00",
        "W5 batch_vs_postgresql=1.00 single_vs_postgresql=1.00",
        "W6 p99_vs_durable_peer=1.00",
    ]


@pytest.mark.parametrize("wanted, done", [(["W6"], ["W1", "W6"]), (["W3"], ["W3"])])
def test_latency_needs_the_maxima_of_the_same_run(wanted: list[str], done: list[str]) -> None:
    assert [work.work for work in run_works(BENCH, wanted, Size.QUICK, silent)] == done


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    list(run_works(BENCH, WORKS[:-1], Size.WHOLE, silent))
    assert not list(tmp_path.iterdir())


def test_servers_find_the_compiled_copy_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "compile_package", lambda: tmp_path)
    monkeypatch.setenv("PYTHONPATH", "mine")
    use_compiled()
    assert os.environ["PYTHONPATH"] == f"{tmp_path}{os.pathsep}mine"


def test_a_run_without_a_compiler_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise CompileFailed("no C compiler")

    monkeypatch.setattr(bench, "compile_package", fail)
    with pytest.raises(SystemExit, match="no C compiler"):
        use_compiled()


@pytest.mark.parametrize(
    "words, size, works, out",
    [
        ("--quick", Size.QUICK, WORKS[:-1], QUICK_RESULTS),
        ("--short", Size.SHORT, WORKS[:-1], page.RESULTS),
        ("", Size.WHOLE, WORKS, page.RESULTS),
        ("--short --work SCALE --out a.json", Size.SHORT, ["SCALE"], Path("a.json")),
    ],
)
def test_the_size_says_which_works_and_where_to(
    words: str, size: Size, works: list[str], out: Path
) -> None:
    asked = read_arguments(words.split())
    assert (asked.size, list(asked.work), asked.out) == (size, list(works), out)


def test_a_run_is_quick_or_short_not_both(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_arguments(["--quick", "--short"])
    assert "not allowed with" in capsys.readouterr().err


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Runs the program with figures from a table, in a folder of its own; returns its results."""
    monkeypatch.chdir(tmp_path)
    days = iter(("2030-01-01", "2030-01-02", "2030-01-03"))
    monkeypatch.setattr(bench, "LiveBench", lambda: BENCH)
    monkeypatch.setattr(bench, "versions", dict)
    monkeypatch.setattr(results, "machine", lambda _folder: {"processors": "2"})
    monkeypatch.setattr(results, "now", lambda: next(days))

    def run(words: str) -> Path:
        monkeypatch.setattr(sys, "argv", ["benchmarks", *words.split()])
        bench.main()
        return page.RESULTS

    return run


def test_a_short_run_is_published(run: Callable[[str], Path]) -> None:
    found = read(run("--short --work W3 W4"))
    assert (found.size, found.short, found.quick) == (Size.SHORT, True, False)
    assert [(work.work, work.at, work.size) for work in found.works] == [
        ("W3", "2030-01-01", Size.SHORT),
        ("W4", "2030-01-01", Size.SHORT),
    ]
    assert "This was a short run" in (page.RESULTS.parent / page.PAGE).read_text()


def test_works_that_are_not_measured_are_kept_when_asked(
    run: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run("--short --work W2 W3 W4")
    capsys.readouterr()
    found = read(run("--work W3 --keep"))
    assert capsys.readouterr().out.splitlines()[-1] == "W3 time_vs_mosquitto=1.00"
    assert [(work.work, work.at, work.size) for work in found.works] == [
        ("W2", "2030-01-01", Size.SHORT),
        ("W3", "2030-01-02", Size.WHOLE),
        ("W4", "2030-01-01", Size.SHORT),
    ]
    assert [work.work for work in read(run("--work W3")).works] == ["W3"]


def test_without_earlier_results_there_is_nothing_to_keep(run: Callable[[str], Path]) -> None:
    assert [work.work for work in read(run("--work W3 --keep")).works] == ["W3"]
