"""Publishing from the command line, to a real server."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from mobilesync.cli.root import root
from tests.cli.conftest import Cli, ServerProcess


def test_publish_and_publish_again(cli: Cli, served: ServerProcess) -> None:
    one = ("publish", "CHAT", "user:pub", "hello", "--message-id", "m1", "--data", served.data)
    assert cli(*one).out == "CHAT user:pub #1 is stored.\n"
    assert "this message id is known" in cli(*one).out
    (again,) = cli(*one, "--json").lines()
    assert again == {
        "biz": "CHAT",
        "target": "user:pub",
        "id": 1,
        "message_id": "m1",
        "code": "DUPLICATED_BIZ_ID",
    }


def test_conditions_and_validity_arrive(cli: Cli, served: ServerProcess) -> None:
    data = ("--data", served.data)
    cli(
        *("publish", "CHAT", "user:pub-conditions", "x", "--valid-s", "60", "--os", "ios"),
        *("--os", "android", "--app-version-min", "1.2", "--app-version-max", "2", *data),
    )
    (oplog,) = cli("inspect", "channel", "CHAT", "user:pub-conditions", "--json", *data).lines()
    assert oplog["os"] == ["ios", "android"]
    assert (oplog["app_version_min"], oplog["app_version_max"]) == ("1.2", "2")
    assert oplog["expires_at_ms"] - time.time() * 1000 < 61_000


def test_from_standard_input(served: ServerProcess) -> None:
    arguments = ["publish", "CHAT", "user:pub-stdin", "-", "--data", str(served.data)]
    ended = CliRunner().invoke(root, arguments, input=b"\x00\xff")
    assert ended.output == "CHAT user:pub-stdin #1 is stored.\n"


def test_a_file_of_lines(cli: Cli, served: ServerProcess, tmp_path: Path) -> None:
    lines = [
        {"biz": "CHAT", "target": f"user:lines-{number % 2}", "payload": str(number)}
        for number in range(1203)
    ]
    file = tmp_path / "lines.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    published = cli("publish", "--lines", file, "--json", "--data", served.data).lines()
    assert [each["id"] for each in published] == [number // 2 + 1 for number in range(1203)]


@pytest.mark.parametrize(
    "line",
    ["nonsense", "{}", '{"biz": "B", "target": "everyone", "payload": "x", "color": 1}', "["],
)
def test_a_bad_line_is_named(cli: Cli, served: ServerProcess, tmp_path: Path, line: str) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_text(f"\n{line}\n")
    ended = cli("publish", "--lines", file, "--data", served.data)
    assert ended.code == 2
    assert "line 2 is no publication" in ended.err


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (("CHAT",), 2, "give BIZ, TARGET and PAYLOAD"),
        (("CHAT", "alice", "x"), 4, "not a target"),
        (("no biz", "user:alice", "x"), 4, "not a biz name"),
        (("CHAT", "user:alice", "x" * 70_000), 4, "too large"),
        (("CHAT", "user:alice", "x", "--app", "nobody"), 4, "no such app"),
        (("CHAT", "user:alice", "x", "--api-key", "ms_wrong_key"), 4, "API key"),
        (("CHAT", "user:alice", "x", "--valid-s", "0"), 2, "valid-s"),
    ],
)
def test_mistakes(
    cli: Cli, served: ServerProcess, arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended = cli("publish", *arguments, "--data", served.data)
    assert ended.code == code
    assert words in ended.err
    assert ended.out == ""


def test_no_server(cli: Cli, elsewhere: Path) -> None:
    ended = cli("publish", "CHAT", "user:alice", "x", "--json")
    assert ended.code == 3
    assert json.loads(ended.err)["error"]["code"] == "NO_SERVER"
