"""The power-cut disk as a fixture."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.crash.powercut import PowerCutDisk, why_unavailable
from tests.crash.powercut.disk import CAPACITY_BYTES, Model


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
