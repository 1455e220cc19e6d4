"""Publishing from the command line, to a real server."""

import json
import time
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from mobilesync.cli.publish import Line
from mobilesync.cli.root import root
from mobilesync.publishing import Publication
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


def test_audiences_and_the_rest_arrive(cli: Cli, served: ServerProcess) -> None:
    data = ("--data", served.data)
    cli(
        *("publish", "CHAT", "user:pub-audience", "x", "--key", "k", "--user", "a", "--user", "b"),
        *("--user-number-min", "3", "--attribute", "plan=gold", "--attribute", "plan=a=b"),
        *("--rollout", "0.5", *data),
    )
    (oplog,) = cli("inspect", "channel", "CHAT", "user:pub-audience", "--json", *data).lines()
    assert (oplog["key"], oplog["users"], oplog["user_number_min"]) == ("k", ["a", "b"], 3)
    assert oplog["attributes"] == {"plan": ["gold", "a=b"]}
    assert (oplog["rollout_percent"], oplog["rollout_salt"]) == (0.5, "CHAT")


def test_later(cli: Cli, served: ServerProcess) -> None:
    data = ("--data", served.data)
    later = ("--message-id", "l1", "--valid-from", "+1h", "--valid-s", "60")
    one = ("publish", "CHAT", "user:pub-later", "x", *later, *data)
    assert "CHAT user:pub-later: l1 is scheduled for 20" in cli(*one).out
    assert "CHAT user:pub-later was there before" in cli(*one).out
    (waiting,) = [
        each
        for each in cli("scheduled", "list", "--json", *data).lines()
        if each["target"] == "user:pub-later"
    ]
    assert waiting["expires_at_ms"] - waiting["due_ms"] == 60_000
    (row,) = cli(*one[:4], "--valid-from", "+1h", "--json", *data).lines()
    assert (row["id"], row["code"]) == (0, "SCHEDULED")


def test_a_dry_run(cli: Cli, served: ServerProcess) -> None:
    data = ("--data", served.data)
    cli("publish", "CHAT", "user:dry", "x", "--message-id", "d1", *data)
    for device in ("dry-1", "dry-2"):
        cli(
            *("listen", "CHAT", "--user", "dry", "--device", device, "--count", "1"),
            *("--timeout-s", "20", "--forget", *data),
        )
    dry = ("publish", "CHAT", "user:dry", "x", "--dry-run", *data)
    assert cli(*dry).out == (
        "It would reach 2 of 2 known devices: 0 are online, 2 get it when they connect.\n"
        "Such as dry-1, dry-2.\n"
    )
    told = cli(*dry, "--message-id", "d1", "--os", "none", "--valid-from", "+1h").out
    assert "Its message id is there already as #1: nothing would be stored." in told
    assert "  2 not: OS, the device's operating system is not among" in told
    assert "It would be scheduled for 20" in cli(*dry, "--valid-from", "+1h").out
    (row,) = cli(*dry, "--json").lines()
    assert (row["code"], row["matching"], row["complete"]) == ("OK", 2, True)
    assert [each["device"] for each in row["samples"]] == ["dry-1", "dry-2"]
    listed = cli("inspect", "channel", "CHAT", "user:dry", "--json", *data).lines()
    assert len(listed) == 1


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


def test_a_line_may_say_all_that_a_publish_may(
    cli: Cli, served: ServerProcess, tmp_path: Path
) -> None:
    file = tmp_path / "lines.jsonl"
    row = {"biz": "CHAT", "target": "user:line", "payload": "x", "key": "k", "users": ["line"]}
    file.write_text(json.dumps(row | {"attributes": {"a": ["1"]}, "rollout_percent": 50}))
    cli("publish", "--lines", file, "--data", served.data)
    path = ("inspect", "channel", "CHAT", "user:line", "--json", "--data", served.data)
    (oplog,) = cli(*path).lines()
    assert (oplog["key"], oplog["users"], oplog["rollout_percent"]) == ("k", ["line"], 50)
    assert {each.name for each in fields(Publication)} == {*Line.__struct_fields__}


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
        (("CHAT", "user:alice", "x", "--valid-from", "soon"), 2, "is no time"),
        (("CHAT", "user:alice", "x", "--attribute", "gold"), 2, "is not NAME=VALUE"),
        (("CHAT", "user:alice", "x", "--rollout", "101"), 2, "rollout"),
        (("CHAT", "user:alice", "x", "--callback", "nowhere"), 4, "no such webhook"),
        (("--lines", "-", "--dry-run"), 2, "for one oplog"),
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
