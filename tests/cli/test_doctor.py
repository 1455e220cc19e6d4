"""The doctor's round, as a person and a script see it."""

from pathlib import Path

from tests.cli.conftest import Cli, ServerProcess


def test_a_fit_machine(cli: Cli, elsewhere: Path) -> None:
    (elsewhere / "mobilesync.toml").write_text("port = 0\napi_port = 0\n")
    ended = cli("doctor")
    assert ended.code == 0
    assert ended.out.endswith("It can serve.\n")
    assert "ok    settings    development mode (mobilesync.toml)" in ended.out


def test_for_a_script(cli: Cli, elsewhere: Path) -> None:
    lines = cli("doctor", "--json", "--data", "data").lines()
    assert {line["verdict"] for line in lines} <= {"ok", "warn", "fail"}
    assert all(set(line) == {"check", "verdict", "sentence", "hint"} for line in lines)
    assert not (elsewhere / "data").exists()


def test_wrong_settings(cli: Cli, elsewhere: Path) -> None:
    (elsewhere / "a.toml").write_text("prot = 1")
    ended = cli("doctor", "--config", "a.toml")
    assert ended.code == 1
    assert "fail  settings    a.toml: unknown setting 'prot'" in ended.out
    assert "→ did you mean port?" in ended.out


def test_something_that_must_be_mended(cli: Cli, elsewhere: Path) -> None:
    (elsewhere / "data" / "store").mkdir(parents=True)
    (elsewhere / "data" / "store" / "MOBILESYNC").write_text("damaged")
    ended = cli("doctor", "--data", "data")
    assert ended.code == 1
    assert "Something must be mended before it serves." in ended.out


def test_the_whole_store_is_read_through(cli: Cli, elsewhere: Path) -> None:
    assert "nothing to read yet" in cli("doctor", "--contents", "--data", "data").out
    cli("key", "create", "somebody", "--data", "data")
    ended = cli("doctor", "--contents", "--data", "data")
    assert ended.code == 0
    assert "all of it is whole" in ended.out
    for file in (elsewhere / "data" / "store" / "rocksdb").glob("*.sst"):
        file.write_bytes(b"x" * file.stat().st_size)
    assert cli("doctor", "--contents", "--data", "data").code == 1


def test_a_store_in_use_cannot_be_read_through(cli: Cli, served: ServerProcess) -> None:
    ended = cli("doctor", "--contents", "--data", served.data)
    assert ended.code == 1
    assert "in use" in ended.out


def test_while_the_server_runs(cli: Cli, served: ServerProcess) -> None:
    ended = cli("doctor", "--data", served.data)
    assert ended.code == 0
    assert "a server runs on this data folder now" in ended.out
