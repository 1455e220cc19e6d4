"""Key files are read whole or not at all."""

from pathlib import Path

import pytest

from mobilesync.cli.key_file import KEY_FILE_BYTES_MAX, read_key_file
from mobilesync.domain.errors import InvalidRequest


def test_a_file_up_to_the_bound_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"k" * KEY_FILE_BYTES_MAX)
    assert len(read_key_file(str(path))) == KEY_FILE_BYTES_MAX


def test_a_larger_one_is_refused_and_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"k" * (KEY_FILE_BYTES_MAX + 1))
    with pytest.raises(InvalidRequest, match="too large"):
        read_key_file(str(path))


@pytest.mark.parametrize("path", ["/nowhere", "/", "\0"])
def test_what_cannot_be_read_is_told(path: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot read"):
        read_key_file(path)
