"""RocksDB and SQLite on a disk whose power is cut under load.

What they called durable must be there when power returns, whatever else survived, and there must
be no gap before it. On a disk that acknowledges syncs and ignores them the same check must fail:
so it can.
"""

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

import pytest

from tests.crash.conftest import DiskMaker
from tests.crash.numbers_writer import Engine, read_numbers
from tests.crash.powercut import PowerCutDisk
from tests.crash.powercut.disk import Model
from tests.crash.powercut.mount import REPOSITORY
from tests.crash.powercut.survival import Survive
from tests.measurement import unmeasured_environment

ENGINES: tuple[Engine, ...] = get_args(Engine)
ROUNDS = 2

each_engine = pytest.mark.parametrize("engine", ENGINES)


class Writer:
    """A running numbers_writer; `acknowledged` is the highest number that it called durable."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.acknowledged = 0
        self.failure = ""

    def wait_for_commits(self, count: int) -> None:
        for _ in range(count):
            assert self._next(), f"the writer failed early: {self.failure}"

    def drain(self) -> None:
        """Read what it said until it failed."""
        while self._next():
            pass

    def _next(self) -> bool:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if line.isdecimal():
            self.acknowledged = int(line)
            return True
        self.failure = line or self._last_words()
        return False

    def _last_words(self) -> str:
        # SQLite maps the index of its log: who touches a page of it on a dead disk gets no error.
        status = self._process.wait()
        return "disk I/O error: SIGBUS" if status == -signal.SIGBUS else f"ended with {status}"


@contextmanager
def writing(engine: Engine, disk: PowerCutDisk) -> Iterator[Writer]:
    command = [sys.executable, "-m", "tests.crash.numbers_writer", engine, str(disk.path)]
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=unmeasured_environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Writer(process)
        finally:
            process.kill()


def missing(engine: Engine, disk: PowerCutDisk, acknowledged: int) -> set[int]:
    """What was acknowledged and is not there. What is there has no gap."""
    found = read_numbers(engine, disk.path)
    assert found == list(range(1, len(found) + 1))
    return set(range(1, acknowledged + 1)) - set(found)


@each_engine
@pytest.mark.parametrize("model", get_args(Model))
@pytest.mark.parametrize("survive", ["none", "prefix", "subset"])
def test_what_was_acknowledged_is_there_after_each_cut(
    make_disk: DiskMaker, engine: Engine, model: Model, survive: Survive
) -> None:
    disk = make_disk(model=model)
    for seed in range(ROUNDS):
        chance = random.Random(f"{engine} {model} {survive} {seed}")
        with writing(engine, disk) as writer:
            writer.wait_for_commits(chance.randint(1, 100))
            disk.cut(survive, seed)
            writer.drain()
        assert "Input/output error" in writer.failure or "disk I/O error" in writer.failure
        disk.remount()
        assert missing(engine, disk, writer.acknowledged) == set(), f"seed {seed}"


@each_engine
@pytest.mark.parametrize("syncs", [0, 2, 5, 8, 13, 34])
def test_what_was_acknowledged_is_there_wherever_the_cut_falls(
    make_disk: DiskMaker, engine: Engine, syncs: int
) -> None:
    disk = make_disk()
    disk.arm(syncs, "subset", seed=syncs)
    with writing(engine, disk) as writer:
        writer.drain()
    disk.remount()
    assert missing(engine, disk, writer.acknowledged) == set()


@each_engine
def test_a_disk_that_lies_loses_what_was_acknowledged(make_disk: DiskMaker, engine: Engine) -> None:
    disk = make_disk()
    with writing(engine, disk) as writer:
        writer.wait_for_commits(20)
        disk.nosync()
        writer.wait_for_commits(100)
        disk.cut()
        writer.drain()
    disk.remount()
    assert missing(engine, disk, writer.acknowledged) != set()


@each_engine
def test_a_full_disk_loses_nothing(make_disk: DiskMaker, engine: Engine) -> None:
    disk = make_disk()
    with writing(engine, disk) as writer:
        writer.wait_for_commits(50)
        disk.full()
        writer.drain()
    assert "No space left" in writer.failure or "disk is full" in writer.failure
    disk.heal()
    assert missing(engine, disk, writer.acknowledged) == set()


@each_engine
def test_a_failing_sync_is_never_acknowledged(make_disk: DiskMaker, engine: Engine) -> None:
    disk = make_disk()
    with writing(engine, disk) as writer:
        writer.wait_for_commits(50)
        disk.ioerror()
        writer.drain()
        disk.heal()
        disk.cut()
    disk.remount()
    assert missing(engine, disk, writer.acknowledged) == set()
