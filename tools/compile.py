"""Compile the hot path: `python -m tools.compile`. Optional; pure Python is what is developed.

Strategy: a copy of the package in build/compiled, in which mypyc has made an extension of each
module that an oplog passes on its way. With that folder first on PYTHONPATH the same server runs
with a fifth less processor time for each oplog.

What a module of the list must keep to: no msgspec Struct is defined in it (values are kept apart
from the modules that work on them), no attribute is deleted, no generator counts on being closed,
and nobody else derives from its classes or replaces their methods at run time.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "build" / "compiled"
PACKAGE = "mobilesync"
WITHIN_S = 900.0
MODULES = (
    "api/app.py",
    "api/bodies.py",
    "api/connections.py",
    "api/incoming.py",
    "api/parser.py",
    "domain/channel.py",
    "domain/message_id.py",
    "domain/names.py",
    "engine/acks.py",
    "engine/clock.py",
    "engine/configs.py",
    "engine/feed.py",
    "engine/metrics.py",
    "engine/outcomes.py",
    "engine/publisher.py",
    "engine/pump.py",
    "engine/session.py",
    "engine/sessions.py",
    "engine/tail.py",
    "engine/waker.py",
    "engine/window.py",
    "protocol/codec.py",
    "protocol/connection.py",
    "protocol/rules.py",
    "storage/embedded/commit.py",
    "storage/embedded/group.py",
    "storage/embedded/heads.py",
    "storage/embedded/ids.py",
    "storage/embedded/keys.py",
    "storage/embedded/points.py",
    "storage/embedded/store.py",
)


class CompileFailed(Exception):
    """mypyc or the C compiler refused; the text is what they said, and what may be missing."""


def newest_change_s(folder: Path) -> float:
    """When a source file in `folder` was changed last."""
    return max(path.stat().st_mtime for path in folder.rglob("*.py"))


def compile_package(target: Path = TARGET) -> Path:
    """A compiled copy of the package in the folder `target`, made unless it is there and newer
    than all sources; answers the folder. Raises CompileFailed, and leaves no copy behind then."""
    source = ROOT / "src" / PACKAGE
    stamp = target / "compiled"
    # The list of modules is in this file.
    changed_s = max(newest_change_s(source), Path(__file__).stat().st_mtime)
    if stamp.exists() and stamp.stat().st_mtime >= changed_s:
        return target
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shutil.copytree(source, target / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "mypyc", "--ignore-missing-imports"]
    command += [f"{PACKAGE}/{module}" for module in MODULES]
    environment = {**os.environ, "MYPYPATH": ".", "MYPYC_OPT_LEVEL": "3"}
    environment.pop("PYTHONPATH", None)
    found = subprocess.run(
        command,
        cwd=target,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    if found.returncode != 0:
        shutil.rmtree(target)
        hint = "it needs a C compiler, Python's headers, and the extra `compile`"
        raise CompileFailed(f"{(found.stdout + found.stderr)[-3000:]}\n{hint}")
    shutil.rmtree(target / "build", ignore_errors=True)
    shutil.rmtree(target / ".mypy_cache", ignore_errors=True)
    stamp.touch()
    return target


def main() -> None:
    """Compile, and say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    try:
        print(compile_package(arguments.target.resolve()))
    except CompileFailed as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
