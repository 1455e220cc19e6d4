"""What tests of the command line share: running a command in this process, and a real server in
another one.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from mobilesync.cli.root import run

COMMAND = [sys.executable, "-m", "mobilesync.cli"]
START_S = 30.0


class Ended(Struct):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    def lines(self) -> list[Any]:
        """Standard output as lines of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


Cli = Callable[..., Ended]


def environment() -> dict[str, str]:
    """This process's, without any setting that somebody has in it."""
    return {name: text for name, text in os.environ.items() if not name.startswith("MOBILESYNC_")}


class ServerProcess:
    """`mobilesync serve` as a process of its own, in development, on free ports."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.data = folder / "data"
        self._log = (folder / "server.log").open("w")
        ports = ("--port", "0", "--api-port", "0", "--drain-s", "0.5")
        self.process = subprocess.Popen(
            [*COMMAND, "serve", "--data", str(self.data), *ports, "--json", *flags],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=folder,
            env=environment(),
        )
        self.ready: dict[str, Any] = {}

    def wait_ready(self) -> None:
        """Wait for the line that says that it serves."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the server ended: {self.log()}"
        self.ready = json.loads(line)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to stop, and wait; answers its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(START_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()
        return code

    def log(self) -> str:
        """What it has logged so far."""
        return Path(self._log.name).read_text()


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run the command line in this process."""
    for name in list(os.environ):
        if name.startswith("MOBILESYNC_"):
            monkeypatch.delenv(name)

    def invoke(*arguments: object) -> Ended:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ended(int(code), captured.out, captured.err)

    return invoke


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server that several tests share: use users and devices of your own."""
    server = ServerProcess(tmp_path_factory.mktemp("served"))
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
