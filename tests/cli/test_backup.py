"""Backups: made while the server runs or not, and good for a new server."""

from pathlib import Path

from tests.cli.conftest import Cli, ServerProcess


def test_there_and_back_while_it_serves(cli: Cli, served: ServerProcess, tmp_path: Path) -> None:
    data = ("--data", served.data)
    cli("publish", "CHAT", "user:bak", "kept", *data)
    (made,) = cli("backup", tmp_path / "copy", "--json", *data).lines()
    assert made["path"] == str(tmp_path / "copy")
    assert made["bytes"] > 0
    cli("publish", "CHAT", "user:bak", "after the backup", *data)
    (restored,) = cli("restore", tmp_path / "copy", tmp_path / "new", "--json").lines()
    assert restored["epoch"] != made["epoch"]

    second = tmp_path / "second"
    second.mkdir()
    (tmp_path / "new").rename(second / "data")
    server = ServerProcess(second)
    try:
        server.wait_ready()
        where = ("--user", "bak", "--count", "1", "--timeout-s", "20", "--json")
        (line,) = cli("listen", "CHAT", *where, "--data", server.data).lines()
        assert (line["id"], line["payload"]) == (1, "kept")
    finally:
        assert server.stop() == 0


def test_without_a_server(cli: Cli, tmp_path: Path) -> None:
    data = ("--data", tmp_path / "data")
    cli("key", "create", "somebody", *data)
    ended = cli("backup", tmp_path / "copy", *data)
    assert ended.code == 0
    assert "Backup of " in ended.out
    assert cli("restore", tmp_path / "copy", tmp_path / "new").code == 0
    (key,) = cli("key", "list", "--json", "--data", tmp_path / "new").lines()
    assert key["name"] == "somebody"


def test_nothing_is_overwritten(cli: Cli, tmp_path: Path) -> None:
    data = ("--data", tmp_path / "data")
    cli("key", "create", "somebody", *data)
    assert cli("backup", tmp_path / "copy", *data).code == 0
    again = cli("backup", tmp_path / "copy", *data)
    assert again.code == 4
    assert "exists already" in again.err


def test_no_store_to_copy(cli: Cli, tmp_path: Path) -> None:
    ended = cli("backup", tmp_path / "copy", "--data", tmp_path / "none")
    assert ended.code == 1
    assert not (tmp_path / "copy").exists()
