"""A run does the works that are wanted, and W6 brings W1."""

import os
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.__main__ import WORKS, run_works, use_compiled
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


def test_a_quick_run_ends_with_one_line_for_each_work() -> None:
    first, *others = [work.line for work in run_works(BENCH, WORKS[:-1], True, silent)]
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
    assert [work.work for work in run_works(BENCH, wanted, True, silent)] == done


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    list(run_works(BENCH, WORKS[:-1], False, silent))
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
