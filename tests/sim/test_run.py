"""A seed replays exactly, here, again, and in another process."""

import subprocess
import sys

import pytest

from mobilesync.sim import SimOptions, run_seed, run_seeds
from mobilesync.sim.history import from_lines, to_lines
from tests.measurement import unmeasured, unmeasured_environment

SEED = 12  # one with many kinds of faults
PROGRAM = f"from mobilesync.sim import run_seed; print(run_seed({SEED}).trace_hash)"


def test_the_same_seed_does_the_same() -> None:
    one = run_seed(SEED)
    assert len(one.faults) > 5
    with unmeasured():
        assert run_seed(SEED) == one
        assert run_seed(SEED + 1).trace_hash != one.trace_hash


@pytest.mark.parametrize("hash_seed", ["1", "4711"])
def test_the_same_in_another_process_with_another_hash_seed(hash_seed: str) -> None:
    environment = {**unmeasured_environment(), "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    with unmeasured():
        assert done.stdout.strip() == run_seed(SEED).trace_hash


def test_seeds_come_in_order_from_several_processes() -> None:
    reports = list(run_seeds(3, 5, jobs=2))
    assert [report.seed for report in reports] == [3, 4, 5, 6, 7]
    assert reports[0] == run_seed(3)
    assert all(report.passed for report in reports)


def test_a_failing_seed_replays_with_its_trace() -> None:
    options = SimOptions(plant="chatty")
    report = run_seed(0, options)
    assert not report.passed
    assert report.guarantees() == {"G6"}
    with unmeasured():
        assert report == run_seed(0, options)
        whole = run_seed(0, SimOptions(plant="chatty", trace_lines_max=10**6))
    assert whole.trace_hash == report.trace_hash
    assert whole.trace_tail[-len(report.trace_tail) :] == report.trace_tail


def test_the_history_can_be_written_down_and_judged_elsewhere() -> None:
    report = run_seed(0, SimOptions(keeps_history=True))
    assert len(report.history) == report.facts
    assert tuple(from_lines(to_lines(report.history))) == report.history
