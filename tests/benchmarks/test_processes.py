"""A server is started on a folder of its own, or again and again on one that is kept."""

import socket
from pathlib import Path

import psutil
import pytest

from benchmarks.processes import mobilesync_server


@pytest.mark.slow
def test_a_folder_that_is_kept_serves_the_next_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    for _ in range(2):
        with mobilesync_server(data=str(data)) as server:
            port = server.ports["port"]
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        assert not psutil.pid_exists(server.process.pid)
    assert data.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
