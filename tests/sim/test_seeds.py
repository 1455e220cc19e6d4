"""The system under seeds: nothing it promises is broken in any of them.

Strategy: blocks of seeds, so that all processors have work whatever else they run meanwhile.
"""

import os

import pytest

from mobilesync.sim import run_seeds
from tests.measurement import unmeasured

SEEDS = int(os.environ.get("MOBILESYNC_SIM_SEEDS", "500"))
BLOCK = max(25, SEEDS // 100)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_no_seed_breaks_a_guarantee(first: int) -> None:
    count = min(BLOCK, SEEDS - first)
    with unmeasured():
        reports = list(run_seeds(first, count))
    assert [report.seed for report in reports] == list(range(first, first + count))
    broken = {
        report.seed: [str(finding) for finding in report.findings[:3]]
        for report in reports
        if report.findings
    }
    assert not broken, f"run `mobilesync sim --seed N --trace` for one of them: {broken}"
