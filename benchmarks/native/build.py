"""Build the C programs of the benchmarks, when they are not there or older than their sources.

Strategy: one call of the compiler for each program, with all warnings as errors; no build system
for a dozen files that compile in two seconds. The programs are kept in `build/native/`.

Two processes may build at once (tests in parallel): each writes a file of its own and moves it into
place.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCES = Path(__file__).parent
CACHE = SOURCES.parents[1] / "build" / "native"
FLAGS = ("-O2", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror")
LIBRARIES = ("-lssl", "-lcrypto", "-lm")
COMPILE_TIMEOUT_S = 120

SHARED = ("bytes", "line", "msgpack", "trouble")
PROGRAMS = {
    "load": (
        "main", "options", "works", "works_many", "report", "cost", "latency", "fleet",
        "publishers", "speak_mobilesync", "publish_http", "publish_floor", "speak_mqtt",
        "speak_nats", "speak_redis", *SHARED,
    ),
    "floor": ("floor", "floor_devices", "floor_log", "floor_publishers", *SHARED),
}  # fmt: skip


class BuildError(Exception):
    """A program could not be built; the text says why, and what would help."""


def build(program: str, cache: Path = CACHE) -> Path:
    """The path of the built program. Raises BuildError."""
    sources = [SOURCES / f"{name}.c" for name in PROGRAMS[program]]
    built = cache / program
    if not _is_newer(built, [*sources, *SOURCES.glob("*.h"), Path(__file__)]):
        _compile(sources, built)
    return built


def _is_newer(built: Path, sources: list[Path]) -> bool:
    if not built.exists():
        return False
    built_ns = built.stat().st_mtime_ns
    return all(source.stat().st_mtime_ns <= built_ns for source in sources)


def _compile(sources: list[Path], built: Path) -> None:
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if compiler is None:
        raise BuildError("there is no C compiler (Debian: apt-get install gcc libssl-dev)")
    built.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"{built.name}-", dir=built.parent)
    os.close(handle)
    mine = Path(name)
    command = [compiler, *FLAGS, "-o", name, *map(str, sources), *LIBRARIES]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S
        )
        if done.returncode != 0:
            raise BuildError(_explain(done.stderr))
        mine.chmod(0o755)
        mine.replace(built)
    finally:
        mine.unlink(missing_ok=True)


def _explain(errors: str) -> str:
    if "openssl/ssl.h" in errors or "-lssl" in errors:
        return "OpenSSL's headers are missing (Debian: apt-get install libssl-dev)"
    return f"the compiler refuses a source:\n{errors[-2000:]}"
