"""Install what the power-cut tests need beyond Python's own packages.

Those tests run the real server on a FUSE file system of ours that forgets what was not synced. They
need Debian's fuse3 with its headers, and then the extra `crash`, which is compiled against them.

Strategy: look first. Install Debian's packages only as root on a Debian-like system and only if
something is missing; then install the extra. On a developer's own machine whatever stays missing
is told in one sentence and its tests are skipped; in CI (`CI=true`) it is a failure, because a
test that CI always skips proves nothing.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DEBIAN_PACKAGES = ("fuse3", "libfuse3-dev", "pkg-config", "gcc", "libc6-dev")
EXTRA = ".[crash]"
APT = ("apt-get", "-qq", "-o=Dpkg::Use-Pty=0")

Run = Callable[[Sequence[str]], bool]


@dataclass(frozen=True)
class Machine:
    """What this program asks of the machine, so that a test can stand in for it."""

    run: Run
    """Run a command and say whether it succeeded."""
    has_program: Callable[[str], bool]
    has_module: Callable[[str], bool]
    is_root: bool
    is_debian: bool


def prepare(machine: Machine) -> str | None:
    """Install what is missing. None if all is there now, else a sentence on what is not."""
    if machine.has_module("pyfuse3"):
        if machine.has_program("fusermount3") or _install(machine):
            return None
        return "fusermount3 is missing (Debian: apt-get install fuse3)."
    if not _has_headers(machine) and not _install(machine):
        wanted = " ".join(DEBIAN_PACKAGES)
        return f"FUSE's programs or headers are missing (Debian: apt-get install {wanted})."
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    if not machine.run((*pip, "--editable", EXTRA)):
        return f"the extra could not be built: pip install --editable '{EXTRA}' tells why."
    return None


def _has_headers(machine: Machine) -> bool:
    programs = ("fusermount3", "pkg-config", "gcc")
    return all(map(machine.has_program, programs)) and machine.run(
        ("pkg-config", "--exists", "fuse3")
    )


def _install(machine: Machine) -> bool:
    if not (machine.is_root and machine.is_debian):
        return False
    install = (*APT, "install", "--yes", "--no-install-recommends", *DEBIAN_PACKAGES)
    # The lists of a new machine are empty or old, so a first refusal means little.
    return machine.run(install) or (machine.run((*APT, "update")) and machine.run(install))


def report(missing: str | None, environment: Mapping[str, str]) -> int:
    """Tell what is missing, if anything, and return the exit code."""
    if missing is None:
        return 0
    if environment.get("CI") == "true":
        print(f"CI must run the power-cut tests, but {missing}", file=sys.stderr)
        return 1
    print(f"The power-cut tests in tests/crash will be skipped: {missing}")
    return 0


def _run(command: Sequence[str]) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, check=False, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    return done.returncode == 0


def main() -> int:
    machine = Machine(
        run=_run,
        has_program=lambda name: shutil.which(name) is not None,
        has_module=lambda name: importlib.util.find_spec(name) is not None,
        is_root=hasattr(os, "geteuid") and os.geteuid() == 0,
        is_debian=shutil.which("apt-get") is not None and Path("/etc/debian_version").exists(),
    )
    return report(prepare(machine), os.environ)


if __name__ == "__main__":
    sys.exit(main())
