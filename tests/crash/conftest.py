"""The power-cut disk as a fixture, and the figures of the crash tests in the summary."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from mobilesync.sim.checkers.finding import Finding
from tests.crash.campaign import Campaign
from tests.crash.powercut import PowerCutDisk, why_unavailable
from tests.crash.powercut.disk import CAPACITY_BYTES, Model

ROUNDS = int(os.environ.get("MOBILESYNC_CRASH_ROUNDS", "60"))
"""Of the soak variants; about four seconds each."""
SEED = int(os.environ.get("MOBILESYNC_CRASH_SEED", "1"))
"""Of the load and the moments of the harm. What the machine does meanwhile, no seed repeats."""
_FIGURES = "crash figures"


class DiskMaker(Protocol):
    def __call__(
        self, name: str = "machine", *, model: Model = "journal", capacity_bytes: int = ...
    ) -> PowerCutDisk:
        """A mounted disk, which ends with the test."""


def require(missing: str | None) -> None:
    """Skip the test if something is missing; in CI nothing may be, so it fails."""
    if missing is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[DiskMaker]:
    """Mounts power-cut disks. Where none can be mounted the test is skipped, but fails in CI."""
    require(why_unavailable())
    with ExitStack() as stack:

        def make(
            name: str = "machine",
            *,
            model: Model = "journal",
            capacity_bytes: int = CAPACITY_BYTES,
        ) -> PowerCutDisk:
            disk = PowerCutDisk(tmp_path / name, model=model, capacity_bytes=capacity_bytes)
            return stack.enter_context(disk)

        yield make


@pytest.fixture
def disk(make_disk: DiskMaker) -> PowerCutDisk:
    """One mounted disk that behaves like ext4 or xfs."""
    return make_disk()


class Figures:
    """What a crash test has done, for the end of the run: that it passed says little about it."""

    def __init__(self, test: pytest.Item) -> None:
        self._test = test
        self._begin_s = time.monotonic()

    def of(self, campaign: Campaign, findings: Sequence[Finding]) -> None:
        """Note the figures of a run."""
        counts = Counter(finding.guarantee for finding in findings)
        broken = ", ".join(f"{count} x {name}" for name, count in sorted(counts.items()))
        lost = sum("is gone" in finding.sentence for finding in findings)
        took_s = time.monotonic() - self._begin_s
        line = (
            f"{self._test.name}: in {took_s:.0f} s {campaign.server.kills} kills of the server,"
            f" {campaign.phones.kills} of the phones,"
            f" {campaign.business.acknowledged} acknowledged, {lost} of them lost;"
            f" findings: {broken or 'none'}"
        )
        # With the test's report it comes from whichever process ran the test.
        self._test.user_properties.append((_FIGURES, line))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    return Figures(request.node)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = [
        line
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
        for name, line in report.user_properties
        if name == _FIGURES
    ]
    if lines:
        terminalreporter.section("crash tests")
        for line in lines:
            terminalreporter.write_line(str(line))
