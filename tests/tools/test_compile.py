"""The compiled copy is the same package, and behaves as it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import compile as compiling

PROBE = """
import asyncio, tempfile
from pathlib import Path
from random import Random
from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Draft
from mobilesync.engine import pump
from mobilesync.storage.embedded import store
from mobilesync.storage.embedded.opening import open_embedded

async def main():
    with tempfile.TemporaryDirectory() as folder:
        opened = await open_embedded(Path(folder) / "data", random=Random(1))
        channel = Channel("a", "CHAT", "user:u")
        answers = await opened.append([Draft(channel, b"x", "m", 1, 10**15)] * 2)
        page = await opened.read(channel, 0, 10, 1000)
        await opened.close()
        print(pump.__file__.endswith(".so"), store.__file__.endswith(".so"))
        print([(each.id, each.duplicate) for each in answers], [o.payload for o in page.oplogs])

asyncio.run(main())
"""


def test_every_module_of_the_list_is_there() -> None:
    package = compiling.ROOT / "src" / compiling.PACKAGE
    assert [name for name in compiling.MODULES if not (package / name).exists()] == []
    assert list(compiling.MODULES) == sorted(compiling.MODULES)


def test_what_cannot_be_compiled_leaves_nothing_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "MODULES", ("no/such.py",))
    with pytest.raises(compiling.CompileFailed, match="C compiler"):
        compiling.compile_package(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_copy_that_is_older_than_the_list_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "MODULES", ("no/such.py",))
    monkeypatch.setattr(compiling, "newest_change_s", lambda _folder: 0.0)
    stamp = tmp_path / "compiled"
    stamp.touch()
    assert compiling.compile_package(tmp_path) == tmp_path
    before_s = Path(compiling.__file__).stat().st_mtime - 1
    os.utime(stamp, (before_s, before_s))
    with pytest.raises(compiling.CompileFailed):
        compiling.compile_package(tmp_path)


@pytest.mark.soak
@pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="no C compiler")
def test_a_compiled_store_works_as_the_pure_one(tmp_path: Path) -> None:
    target = compiling.compile_package(tmp_path / "out")
    begun_s = (target / "compiled").stat().st_mtime
    assert compiling.compile_package(target) == target
    assert (target / "compiled").stat().st_mtime == begun_s, "made once"

    environment = {**os.environ, "PYTHONPATH": str(target)}
    command = [sys.executable, "-c", PROBE]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    assert found.stdout == "True True\n[(1, False), (1, True)] [b'x']\n"
