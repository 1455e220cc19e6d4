"""The demo, as `make run` shows it."""

import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import COMMAND, START_S, Cli, environment

QUICK = """\
from mobilesync.cli import demo
from mobilesync.cli.__main__ import main
demo.PAUSE_S, demo.EVERY_S = 0.02, 0.2
main()
"""
"""The command, with pauses that nobody needs to read in."""


def test_the_story_is_told_and_proven(tmp_path: Path) -> None:
    ended = subprocess.run(
        [*COMMAND, "demo", "--once", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=2 * START_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "alice-tablet  is offline, and lacks 5" in ended.stdout
    offline, _, back = ended.stdout.partition("3  alice-tablet comes back")
    assert "alice-tablet  handles CHAT of user:alice #4" not in offline
    assert "alice-tablet  handles CHAT of user:alice #4" in back
    assert len(re.findall(r" complete$", ended.stdout, re.MULTILINE)) == 9
    assert "wrong" not in ended.stdout
    assert "Nothing lost, nothing twice, nothing out of order." in ended.stdout
    assert ended.stderr == ""


def test_it_goes_on_until_it_is_stopped_and_others_may_take_part(cli: Cli, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", QUICK, "demo", "--data", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**environment(), "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        told = ""
        while "Lunch?" not in told:
            line = process.stdout.readline()
            assert line, told
            told += line
        assert f"listen CHAT FLAGS --data {tmp_path}" in told
        outside = ("CHAT", "user:alice", "from outside", "--data", tmp_path)
        assert cli("publish", *outside).code == 0
        process.send_signal(signal.SIGINT)
        told += process.stdout.read()
    assert process.returncode == 0, told
    assert "from outside" in told
    assert told.count("Nothing lost, nothing twice, nothing out of order.") == 2
