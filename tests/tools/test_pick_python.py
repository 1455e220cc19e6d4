"""Which Python is picked, and what is said when none will do."""

import stat
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "pick_python.sh"

# Stand-ins: each answers the script's two questions (old enough? complete?) with an exit code.
WORKS = "exit 0"
BROKEN = "echo 'no such version' >&2; exit 127"
OLD = 'case "$2" in *version_info*) exit 1;; esac; exit 0'
INCOMPLETE = 'case "$2" in *ensurepip*) exit 1;; esac; exit 0'


def pick(
    folder: Path, pythons: dict[str, str], chosen: str | None = None
) -> subprocess.CompletedProcess[str]:
    for name, body in pythons.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    environment = {"PATH": str(folder)}
    if chosen:
        environment["PYTHON"] = chosen
    return subprocess.run(
        ["/bin/sh", str(SCRIPT)], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "pythons, expected",
    [
        ({"python3": WORKS}, "python3"),
        ({"python3": WORKS, "python3.12": WORKS}, "python3.12"),
        ({"python3.13": BROKEN, "python3.12": INCOMPLETE, "python3.11": WORKS}, "python3.11"),
        ({"python3.11": OLD, "python3": WORKS}, "python3"),
    ],
)
def test_the_first_that_really_runs(tmp_path: Path, pythons: dict[str, str], expected: str) -> None:
    done = pick(tmp_path, pythons)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{expected}\n", "")


def test_the_callers_choice_wins(tmp_path: Path) -> None:
    done = pick(tmp_path, {"python3.13": WORKS, "mine": WORKS}, chosen="mine")
    assert done.stdout == "mine\n"


@pytest.mark.parametrize(
    "pythons, chosen, sentence",
    [
        ({}, None, "needs Python 3.11 or newer"),
        ({"python3": OLD}, None, "needs Python 3.11 or newer"),
        ({"python3": INCOMPLETE}, None, "apt-get install python3-venv"),
        ({"python3": WORKS, "mine": OLD}, "mine", "PYTHON=mine does not run"),
    ],
)
def test_none_will_do(
    tmp_path: Path, pythons: dict[str, str], chosen: str | None, sentence: str
) -> None:
    done = pick(tmp_path, pythons, chosen)
    assert done.returncode == 1
    assert done.stdout == ""
    assert sentence in done.stderr
