"""Programs are built once, again when a source is newer, and a missing compiler is explained."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.native.build import PROGRAMS, SOURCES, BuildError, build


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        pytest.skip("there is no C compiler")
    return tmp_path_factory.mktemp("native")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_is_built_once(cache: Path, program: str) -> None:
    built = build(program, cache)
    before_ns = built.stat().st_mtime_ns
    assert os.access(built, os.X_OK)
    assert build(program, cache).stat().st_mtime_ns == before_ns
    assert [path.name for path in cache.glob(f"{program}*")] == [program]


def test_a_newer_source_builds_again(cache: Path) -> None:
    built = build("load", cache)
    os.utime(built, (0, 0))
    assert build("load", cache).stat().st_mtime > 0


def test_what_is_wrong_on_the_command_line_is_said_in_a_sentence(cache: Path) -> None:
    command = (build("load", cache), "--speak", "mqtt", "--work", "unicast", "--devices", "none")
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=5)
    assert done.returncode == 1
    assert done.stderr == "--devices takes a number from 1 to 1e+06, not none\n"


def test_no_compiler_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="apt-get install gcc"):
        build("load", tmp_path)


def test_missing_headers_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'fatal error: openssl/ssl.h: No such file' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="apt-get install libssl-dev"):
        build("load", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_every_source_belongs_to_a_program() -> None:
    used = {name for names in PROGRAMS.values() for name in names}
    assert used == {path.stem for path in SOURCES.glob("*.c")}


def test_sources_stay_within_one_reading() -> None:
    for path in SOURCES.glob("*.[ch]"):
        lines = path.read_text().splitlines()
        assert len(lines) <= 500, path
        assert max(map(len, lines)) <= 100, path
        assert lines[0].startswith("/* "), path
        begun = 0
        for number, line in enumerate(lines):
            if line == "{":
                begun = number
            elif line == "}":
                assert number - begun <= 70, (path, line)
