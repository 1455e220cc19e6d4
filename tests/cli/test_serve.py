"""`serve` as a real process: ready, signals, refusals, and a whole life with publish and listen."""

import gc
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mobilesync.cli import serve
from tests.cli.conftest import COMMAND, START_S, Cli, ServerProcess, environment


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    started = ServerProcess(tmp_path, "--ready-file", str(tmp_path / "ready.json"))
    try:
        started.wait_ready()
        yield started
    finally:
        started.stop(signal.SIGKILL)


def _serve(folder: Path, *flags: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A start that is expected to fail."""
    return subprocess.run(
        [
            *COMMAND,
            "serve",
            "--data",
            str(folder / "data"),
            "--port",
            "0",
            "--api-port",
            "0",
            *flags,
        ],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**environment(), **variables},
        timeout=START_S,
        check=False,
    )


def test_it_says_where_it_serves(server: ServerProcess, tmp_path: Path) -> None:
    ready = json.loads((tmp_path / "ready.json").read_text())
    assert ready == server.ready
    assert ready["mode"] == "development"
    with socket.create_connection(("127.0.0.1", ready["port"])):
        pass


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_well(
    server: ServerProcess, cli: Cli, tmp_path: Path, how: signal.Signals
) -> None:
    listening = subprocess.Popen(
        [*COMMAND, "listen", "CHAT", "--data", str(server.data), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
    )
    assert listening.stdout is not None
    try:
        cli("publish", "CHAT", "user:alice", "x", "--data", server.data)
        assert json.loads(listening.stdout.readline())["id"] == 1
        assert server.stop(how) == 0
        lines = [json.loads(line) for line in server.log().splitlines()]
        draining = next(line for line in lines if line["event"] == "draining")
        assert draining["sessions"] == 1
        assert lines[-1]["event"] == "stopped"
    finally:
        listening.kill()
        listening.wait()
        listening.stdout.close()


def test_what_was_answered_survives_kill_9(server: ServerProcess, cli: Cli, tmp_path: Path) -> None:
    data = ("--data", server.data)
    for number in range(5):
        assert cli("publish", "CHAT", "user:alice", str(number), *data).code == 0
    server.stop(signal.SIGKILL)
    again = ServerProcess(tmp_path)
    try:
        again.wait_ready()
        where = ("--count", "5", "--timeout-s", "20", "--json", *data)
        lines = cli("listen", "CHAT", *where).lines()
        assert [(line["id"], line["payload"]) for line in lines] == [
            (number + 1, str(number)) for number in range(5)
        ]
    finally:
        assert again.stop() == 0


def test_sighup_reads_the_certificate_again(server: ServerProcess, cli: Cli) -> None:
    server.process.send_signal(signal.SIGHUP)
    # The command comes back only after the server's loop has turned: the signal was seen then.
    cli("publish", "CHAT", "user:alice", "x", "--data", server.data)
    assert server.stop() == 0
    assert "certificate_renewed" in server.log()


def test_the_log_holds_neither_payloads_nor_keys_nor_users(server: ServerProcess, cli: Cli) -> None:
    data = ("--data", server.data)
    left = json.loads((server.data / "development.json").read_text())
    cli("publish", "CHAT", "user:private-person", "private words", *data)
    where = ("--user", "private-person", "--count", "1", "--timeout-s", "20", *data)
    assert cli("listen", "CHAT", *where).code == 0
    server.stop()
    log = server.log()
    assert '"event": "request"' in log
    secrets = ("private words", left["hs256_secret"], left["api_key"].split("_", 2)[2])
    assert not any(secret in log for secret in secrets)


def test_a_folder_in_use(server: ServerProcess, tmp_path: Path) -> None:
    ended = _serve(tmp_path)
    assert ended.returncode == 1
    assert "Error: " in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_in_use(server: ServerProcess, tmp_path: Path) -> None:
    ended = _serve(
        tmp_path / "..", "--data", str(tmp_path / "b"), "--port", str(server.ready["port"])
    )
    assert ended.returncode == 1
    assert f"port {server.ready['port']}" in ended.stderr
    assert "Hint: is another server running there?" in ended.stderr


@pytest.mark.parametrize(
    "flags, words",
    [
        (("--mode", "production"), "self-signed"),
        (("--api-host", "0.0.0.0"), "unencrypted"),
        (("--tls-certificate", "x.pem"), "come together"),
        (("--port", "70000"), "out of bounds"),
        (("--durability", "perhaps"), "choice of fsync, none"),
        (("--config", "none.toml"), "cannot read none.toml"),
    ],
)
def test_unsafe_and_wrong_settings_are_refused(
    tmp_path: Path, flags: tuple[str, ...], words: str
) -> None:
    ended = _serve(tmp_path, *flags)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert not (tmp_path / "data").exists()


def test_the_environment_is_read(tmp_path: Path) -> None:
    ended = _serve(tmp_path, MOBILESYNC_PROT="1")
    assert ended.returncode == 2
    assert "did you mean MOBILESYNC_PORT?" in ended.stderr


def test_a_newcomer_is_told_what_to_do_next(tmp_path: Path) -> None:
    ports = ("--port", "0", "--api-port", "0")
    with subprocess.Popen(
        [*COMMAND, "serve", *ports], stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env=environment(),
    ) as process:  # fmt: skip
        assert process.stderr is not None
        told = ""
        while "Ctrl-C" not in told:
            line = process.stderr.readline()
            assert line, told
            told += line
        process.send_signal(signal.SIGINT)
    # Standard error was closed before it ended: that must not disturb the drain.
    assert process.returncode == 0
    assert "listen CHAT\n" in told
    assert 'publish CHAT user:alice "Hello, Alice"\n' in told


def test_the_collector_is_kept_from_walking_over_all_sessions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frozen: list[str] = []
    before = gc.get_threshold()
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append("frozen"))
    try:
        serve._calm_collector()
        assert frozen == ["frozen"]
        assert gc.get_threshold() == serve.COLLECTOR_THRESHOLDS
    finally:
        gc.set_threshold(*before)
