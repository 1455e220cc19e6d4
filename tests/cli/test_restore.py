"""Restoring: only from a whole backup, only into an empty place."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.fixture
def backup(cli: Cli, tmp_path: Path) -> Path:
    data = ("--data", tmp_path / "data")
    assert cli("key", "create", "somebody", *data).code == 0
    assert cli("backup", tmp_path / "copy", *data).code == 0
    return tmp_path / "copy"


def test_a_person_is_told_what_next(cli: Cli, backup: Path, tmp_path: Path) -> None:
    ended = cli("restore", backup, tmp_path / "new")
    assert ended.code == 0
    assert "mobilesync serve --data" in ended.out


def test_a_store_is_never_overwritten(cli: Cli, backup: Path, tmp_path: Path) -> None:
    ended = cli("restore", backup, tmp_path / "data")
    assert ended.code == 1
    assert "is not empty" in ended.err


@pytest.mark.parametrize("how", ["damaged", "cut", "none", "missing"])
def test_what_is_no_whole_backup(cli: Cli, backup: Path, tmp_path: Path, how: str) -> None:
    if how == "damaged":
        file = max((backup / "rocksdb").glob("*.sst"))
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    elif how == "cut":
        (backup / "FILES").unlink()
    elif how == "none":
        (backup / "MOBILESYNC").unlink()
    else:
        backup = tmp_path / "nowhere"
    ended = cli("restore", backup, tmp_path / "new")
    assert ended.code == 1
    assert "Hint: " in ended.err
    assert not (tmp_path / "new" / "store" / "MOBILESYNC").exists()
