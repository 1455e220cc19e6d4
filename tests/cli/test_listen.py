"""Being a device, at a real server."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from mobilesync.cli import listen
from mobilesync.cli.access import door_of
from mobilesync.cli.development import Development, require_development
from mobilesync.cli.failures import CommandFailed
from mobilesync.cli.listen import Listening
from mobilesync.client import (
    ChannelReset,
    ClientEvent,
    Connected,
    Connecting,
    Parked,
    ParkedOplog,
    ReceivedNotice,
    ReceivedOplog,
    Waiting,
)
from mobilesync.transports.certificates import fingerprint
from tests.cli.conftest import COMMAND, Cli, ServerProcess, environment

ENOUGH = ("--timeout-s", "20", "--json")


@pytest.fixture(scope="module")
def data(served: ServerProcess) -> tuple[str, str]:
    return ("--data", str(served.data))


def test_the_next_run_goes_on_where_this_one_stopped(cli: Cli, data: tuple[str, str]) -> None:
    for text in ("one", "two", "three"):
        cli("publish", "CHAT", "user:lis", text, *data)
    where = ("listen", "CHAT", "--user", "lis", *ENOUGH, *data)
    first = cli(*where, "--count", "2").lines()
    assert [(line["id"], line["payload"]) for line in first] == [(1, "one"), (2, "two")]
    assert first[0]["type"] == "oplog"
    assert first[0]["arrived_at_ms"] >= first[0]["published_at_ms"] > 0
    second = cli(*where, "--count", "1").lines()
    assert [line["id"] for line in second] == [3]
    everything = cli(*where, "--count", "3", "--forget", "--device", "lis-other").lines()
    assert [line["id"] for line in everything] == [1, 2, 3]


def test_for_a_person(cli: Cli, data: tuple[str, str]) -> None:
    cli("publish", "CHAT", "user:per", "hello [red] \x1b[31m", *data)
    ended = cli("listen", "CHAT", "--user", "per", "--count", "1", "--timeout-s", "20", *data)
    assert ended.code == 0
    assert "user:per #1  hello [red] �[31m" in ended.out
    assert "after publish" in ended.out
    assert "connected as per-terminal of per; waiting for CHAT" in ended.err


def test_only_what_was_asked_for(cli: Cli, data: tuple[str, str]) -> None:
    cli("publish", "OTHER", "user:only", "not this", *data)
    cli("publish", "CHAT", "user:somebody", "nor this", *data)
    ended = cli("listen", "CHAT", "--user", "only", "--count", "1", "--timeout-s", "0.7", *data)
    assert ended.code == 3
    assert "not enough oplogs arrived" in ended.err
    assert ended.out == ""


def test_anywhere_with_everything_said(cli: Cli, served: ServerProcess, tmp_path: Path) -> None:
    cli("publish", "CHAT", "user:far", "x", "--data", served.data)
    signed = cli("token", "far", "far-phone", "--data", served.data)
    (tmp_path / "token").write_text(signed.out)
    left = require_development(served.data)
    pin = fingerprint(Path(left.certificate))
    common = (
        *("listen", "CHAT", "--server", f"127.0.0.1:{left.port}", "--app", "demo"),
        *("--user", "far", "--device", "far-phone", "--token-file", tmp_path / "token"),
        *("--store", tmp_path / "far.db", "--count", "1", *ENOUGH),
    )
    assert len(cli(*common, "--fingerprint", pin).lines()) == 1
    assert (tmp_path / "far.db").exists()
    cli("publish", "CHAT", "user:far", "y", "--data", served.data)
    assert len(cli(*common, "--ca-file", left.certificate).lines()) == 1


def test_a_device_that_is_sent_away(cli: Cli, served: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("not a token")
    ended = cli(
        *("listen", "CHAT", "--token-file", tmp_path / "token", "--count", "1", "--forget"),
        *("--timeout-s", "0.5", "--data", served.data),
    )
    assert ended.code in {3, 4}
    assert "Error: " in ended.err


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        ((), 2, "Missing argument"),
        (("CHAT", "--server", "nowhere"), 2, "not HOST:PORT"),
        (("CHAT", "--fingerprint", "x", "--server", "127.0.0.1:1"), 1, "fingerprint"),
        (("CHAT", "--count", "-1"), 2, "--count"),
    ],
)
def test_mistakes(
    cli: Cli, data: tuple[str, str], arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended = cli("listen", *arguments, *data)
    assert ended.code == code
    assert words in ended.err


def test_ctrl_c_ends_it_cleanly(served: ServerProcess) -> None:
    command = [*COMMAND, "listen", "CHAT", "--user", "ctrl-c", "--data", str(served.data)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stderr is not None
        while "connected as" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (out, err.strip()) == ("", "")


def test_it_ends_with_its_reader(cli: Cli, served: ServerProcess) -> None:
    where = ("--user", "pipe", "--data", str(served.data))
    for text in ("one", "two", "three"):
        cli("publish", "CHAT", "user:pipe", text, "--data", served.data)
    for flags in ([], ["--json", "--device", "pipe-json"]):
        with subprocess.Popen(
            [*COMMAND, "listen", "CHAT", *where, *flags],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        ) as process:
            assert process.stdout is not None
            assert "one" in process.stdout.readline()
            process.stdout.close()
            # However the pipe's end and the second oplog met: this one finds nobody.
            cli("publish", "CHAT", "user:pipe", "four", "--data", served.data)
            assert process.stderr is not None
            said = process.stderr.read()
        assert process.returncode == 0, said
        assert "Traceback" not in said
        assert "parked" not in said


def test_the_same_trouble_is_told_once() -> None:
    link = listen.Link()
    assert link.note(Waiting(None, "no network"))
    assert not link.note(Waiting(None, "no network"))
    assert link.note(Waiting(None, "no\x1b token"))
    assert link.trouble == "no� token"
    assert link.note(Connected("u", "s", 1))
    assert link.trouble == ""


def test_who_never_was_connected_is_told_why(cli: Cli, data: tuple[str, str]) -> None:
    nowhere = ("--server", "127.0.0.1:1", "--timeout-s", "0.5")
    ended = cli("listen", "CHAT", *nowhere, *data)
    assert ended.code == 3
    assert "Error: not connected within 0.5 s: " in ended.err
    assert ended.err.count("trying again") == 1


def test_no_server(cli: Cli, elsewhere: Path) -> None:
    ended = cli("listen", "CHAT", "--json")
    assert ended.code == 3
    assert json.loads(ended.err)["error"]["code"] == "NO_SERVER"
    assert list(elsewhere.iterdir()) == []


def test_ids_cannot_leave_the_folder(cli: Cli, data: tuple[str, str]) -> None:
    user = "../../lis"
    cli("publish", "CHAT", f"user:{user}", "x", *data)
    where = ("--user", user, "--device", "../up/x", "--count", "1", *ENOUGH, *data)
    assert len(cli("listen", "CHAT", *where).lines()) == 1
    stores = [path.name for path in (Path(data[1]) / "listen").glob("*up*.db")]
    assert stores == ["..%2fup%2fx.db"]


def _listening(server: ServerProcess) -> Listening:
    door = door_of(require_development(server.data))
    return Listening(door, "demo", "u", "d", "token", ":memory:", ("CHAT",), 0, 0.0, False)


def test_notices_and_resets(capsys: pytest.CaptureFixture[str]) -> None:
    notice = ReceivedNotice("TYPING", "user:u", b"\xff[red]", 5)
    reset = ChannelReset("CHAT", "user:u", 7, 3, 1, 9)
    for as_json in (False, True):
        listen._show_notice(notice, as_json)
        listen._show_reset(reset, as_json)
    listen._show_reset(ChannelReset("CHAT", "user:u", 7, 3, 5, 3), False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("TYPING  notice  (6 bytes)")
    assert lines[1].endswith("CHAT user:u begins anew after #3")
    assert json.loads(lines[2])["payload_base64"] == "/1tyZWRd"
    assert json.loads(lines[3])["floor"] == 3
    assert lines[4].endswith("CHAT user:u goes on")


def test_what_becomes_of_the_connection(
    served: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    oplog = ReceivedOplog("CHAT", "user:u", 4, b"x")
    events: tuple[ClientEvent, ...] = (
        Connecting(1),
        Connecting(2),
        Waiting(None, "no [red] network"),
        Parked(ParkedOplog(1, oplog, "it broke", 0)),
    )
    for event in events:
        listen._say_state(event, _listening(served))
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3
    assert told[0].startswith("connecting to 127.0.0.1 port ")
    assert told[1] == "not connected: no [red] network; trying again by itself"
    assert told[2] == "parked #4: it broke"


@pytest.mark.parametrize("ms, text", [(9_999, "9999 ms"), (119_999, "119 s"), (120_000, "2 min")])
def test_spans(ms: int, text: str) -> None:
    assert listen._span(ms) == text


def test_a_server_whose_apps_have_their_own_keys_needs_a_token() -> None:
    with pytest.raises(CommandFailed, match="cannot sign"):
        listen.development_token(Development(hs256_secret=""), "u", "d")
