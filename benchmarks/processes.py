"""Mobilesync's own server under measurement, as a process of its own.

It is held to the first processor, as the peers are (peers/peer.py); the load takes the others, so
that it does not take what is measured.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 120.0
SETTLE_S = 0.3
"""A server that serves is left alone so long, before anybody measures it."""


@dataclass(frozen=True)
class Measured:
    """A running server."""

    process: subprocess.Popen[str]
    ports: dict[str, Any]
    folder: Path


@contextmanager
def mobilesync_server(data: str = "", **settings: str) -> Iterator[Measured]:
    """`mobilesync serve` with its defaults: embedded store, fsync, TLS.

    Its data folder is made for it, unless `data` names one; that is left as it is in the end.
    """
    with tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd()) as name:
        folder = Path(name)
        kept = Path(data) if data else folder / "data"
        left = kept / "development.json"
        # Of an earlier server: it would be taken for the sign that this one serves.
        left.unlink(missing_ok=True)
        arguments = ["serve", "--data", str(kept), "--port", "0", "--api-port", "0"]
        arguments += ["--drain-s", "0.1", "--log-level", "error"]
        arguments += [word for flag, value in settings.items() for word in (f"--{flag}", value)]
        command = [sys.executable, "-m", "mobilesync.cli", *arguments]
        with _running(command, folder) as process:
            _wait_for(left, process)
            time.sleep(SETTLE_S)
            yield Measured(process, json.loads(left.read_text()), folder)


@contextmanager
def _running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    with (folder / "errors.log").open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(process.pid))})
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end_s = time.monotonic() + START_TIMEOUT_S
    while not path.exists():
        if process.poll() is not None or time.monotonic() > end_s:
            raise RuntimeError("the server did not start")
        time.sleep(0.01)
