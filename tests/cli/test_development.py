"""The file by which tools find a development server."""

from pathlib import Path

import pytest

from mobilesync.cli.development import (
    NAME,
    Development,
    read_development,
    require_development,
    write_development,
)
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.failures import CommandFailed

LEFT = Development(hs256_secret="s", port=7443)


def test_it_is_read_as_written_and_private(tmp_path: Path) -> None:
    for port in (1, 2):
        write_development(tmp_path / "new", Development(hs256_secret="s", port=port))
    assert require_development(tmp_path / "new").port == 2
    assert (tmp_path / "new" / NAME).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert [path.name for path in (tmp_path / "new").iterdir()] == [NAME]


@pytest.mark.parametrize("data", [b"", b"{", b'{"hs256_secret": 1}', b"\xff"])
def test_what_cannot_be_read_is_no_server(tmp_path: Path, data: bytes) -> None:
    (tmp_path / NAME).write_bytes(data)
    assert read_development(tmp_path) is None


def test_nothing_there_and_nobody_there(tmp_path: Path) -> None:
    assert read_development(tmp_path) is None
    write_development(tmp_path, Development(hs256_secret="s", port=0))
    with pytest.raises(CommandFailed) as caught:
        require_development(tmp_path)
    assert caught.value.failure.exit_code is ExitCode.RETRY
