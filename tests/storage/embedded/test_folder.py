"""The data folder: what is refused, in which words, and that nothing is touched."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from mobilesync.domain.errors import StoreFolderRefused
from mobilesync.storage.embedded import folder as folder_module
from mobilesync.storage.embedded.folder import (
    FORMAT,
    FolderLock,
    make_folder,
    make_marker,
    read_marker,
    write_durably,
    write_marker,
)
from tests.measurement import unmeasured_environment

GOOD = {"format": FORMAT, "kind": "store", "engine": "rocksdb", "lineage": [1, 2]}


def refusal(folder: Path) -> StoreFolderRefused:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(StoreFolderRefused) as refused:
        read_marker(folder, "store")
    assert refused.value.hint
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    return refused.value


def test_nothing_there_is_no_store(tmp_path: Path) -> None:
    assert read_marker(tmp_path / "missing", "store") is None
    assert read_marker(tmp_path, "store") is None
    # What an interrupted creation leaves behind.
    (tmp_path / "LOCK").touch()
    (tmp_path / "MOBILESYNC.new").touch()
    assert read_marker(tmp_path, "store") is None


def test_what_was_written_is_read(tmp_path: Path) -> None:
    marker = make_marker((5, 6), "none")
    write_marker(tmp_path, marker)
    assert read_marker(tmp_path, "store") == marker
    assert [path.name for path in tmp_path.iterdir()] == ["MOBILESYNC"]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"format": FORMAT + 1}, f"format {FORMAT + 1}"),
        ({"format": FORMAT + 1, "kind": ["unknown"]}, f"format {FORMAT + 1}"),
        ({"format": 1}, "before the first release"),
        ({"format": 0}, "damaged"),
        ({"engine": "sqlite"}, "sqlite"),
        ({"engine": "memory"}, "memory"),
        ({"kind": "backup"}, "a backup"),
        ({"lineage": []}, "damaged"),
        ({"lineage": [1, 1]}, "damaged"),
        ({"lineage": "x"}, "damaged"),
    ],
)
def test_refused_markers(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    (tmp_path / "MOBILESYNC").write_bytes(msgspec.json.encode({**GOOD, **changes}))
    assert words in str(refusal(tmp_path))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"format": "1"}'])
def test_garbage_is_damage(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "MOBILESYNC").write_bytes(data)
    assert "damaged" in str(refusal(tmp_path))


def test_a_strangers_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    assert "not a data folder" in str(refusal(tmp_path))


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreFolderRefused):
        read_marker(tmp_path / "file", "store")


def test_a_marker_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "MOBILESYNC").mkdir()
    with pytest.raises(StoreFolderRefused):
        read_marker(tmp_path, "store")


def test_the_lock_keeps_others_out_and_says_who_has_it(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(StoreFolderRefused) as refused:
        FolderLock(tmp_path)
    assert f"in use (process {os.getpid()})" in str(refused.value)
    lock.release()
    lock.release()
    FolderLock(tmp_path).release()


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from mobilesync.storage.embedded.folder import FolderLock\n"
        "lock = FolderLock(Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        env=unmeasured_environment(),  # it is killed, and would leave half a file of figures
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(StoreFolderRefused) as refused:
            FolderLock(tmp_path)
        assert f"process {process.pid}" in str(refused.value)
        process.kill()
    FolderLock(tmp_path).release()


def test_a_whole_file_replaces_the_old_one(tmp_path: Path) -> None:
    write_durably(tmp_path / "file", b"old")
    write_durably(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders whose names were made durable."""
    found: list[Path] = []
    monkeypatch.setattr(folder_module, "sync_folder", found.append)
    return found


def test_every_folder_that_is_made_is_durable(tmp_path: Path, synced: list[Path]) -> None:
    make_folder(tmp_path / "a" / "b" / "c", 0o700)
    assert (tmp_path / "a" / "b" / "c").stat().st_mode & 0o777 == 0o700
    assert set(synced) == {tmp_path, tmp_path / "a", tmp_path / "a" / "b"}


def test_a_folder_left_by_a_killed_maker_is_made_durable(
    tmp_path: Path, synced: list[Path]
) -> None:
    make_folder(tmp_path)
    assert synced == [tmp_path.parent]
