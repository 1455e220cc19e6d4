"""The system under seeds: nothing it promises is broken in any of them."""

import os

import pytest

from mobilesync.sim import run_seeds

SEEDS = int(os.environ.get("MOBILESYNC_SIM_SEEDS", "500"))


@pytest.mark.timeout(900)
def test_no_seed_breaks_a_guarantee(monkeypatch: pytest.MonkeyPatch) -> None:
    # Measuring in each process would take twice as long, and show nothing that other tests do not.
    for name in [name for name in os.environ if name.startswith(("COVERAGE_PROCESS", "COV_CORE"))]:
        monkeypatch.delenv(name)
    broken: dict[int, list[str]] = {}
    seen = 0
    for report in run_seeds(0, SEEDS, jobs=os.cpu_count() or 1):
        seen += 1
        if report.findings:
            broken[report.seed] = [str(finding) for finding in report.findings[:3]]

    assert seen == SEEDS
    assert not broken, f"run `mobilesync sim --seed N --trace` for one of them: {broken}"
