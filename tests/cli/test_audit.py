"""Who did what, on a real server."""

from typing import Any

import pytest

from mobilesync.cli.audit import told
from tests.cli.conftest import Cli, ServerProcess


def test_what_was_done_and_by_whom(cli: Cli, served: ServerProcess) -> None:
    data = ("--data", served.data)
    cli("config", "set", "AUDITED", "scope=global", "--create", *data)
    cli("config", "offline", "AUDITED", *data)
    cli("config", "remove", "AUDITED", *data)
    lines = cli("audit", "--limit", "3", "--json", *data).lines()
    assert [line["action"] for line in lines] == ["biz_removed", "biz_offline", "biz_created"]
    assert all(line["who"].startswith("development (") for line in lines)
    shown = cli("audit", "--limit", "1", *data).out
    assert "biz_removed" in shown
    assert f"go on with --before {lines[0]['id']}." in shown
    page = ("audit", "--before", lines[0]["id"], "--after", lines[2]["id"], "--json")
    assert cli(*page, *data).lines() == lines[1:2]
    assert cli("audit", "--action", "session_ended", *data).out == "Nobody did anything.\n"


def test_keys_are_noted_where_they_belong(cli: Cli, served: ServerProcess) -> None:
    data = ("--data", served.data)
    (one,) = cli("key", "create", "of demo", "--app", "demo", "--json", *data).lines()
    (every,) = cli("key", "create", "of all", "--json", *data).lines()
    cli("key", "revoke", one["id"], *data)
    cli("key", "revoke", every["id"], *data)
    for where, key in (((), one), (("--server",), every)):
        lines = cli("audit", *where, "--limit", "2", "--json", *data).lines()
        assert [line["action"] for line in lines] == ["key_revoked", "key_created"]
        assert {line["who"] for line in lines} == {"command line"}
        assert {line["details"]["key"] for line in lines} == {key["id"]}


@pytest.mark.parametrize(
    "arguments", [("--action", "nonsense"), ("--limit", "0"), ("--after", "x")]
)
def test_mistakes(cli: Cli, served: ServerProcess, arguments: tuple[str, str]) -> None:
    assert cli("audit", *arguments, "--data", served.data).code == 2


@pytest.mark.parametrize(
    "details, line",
    [
        ({"device": "d1"}, "device d1"),
        (
            {"key": "k", "scopes": ["publish", "inspect"], "app": ""},
            "key k; scopes publish,inspect",
        ),
        (
            {
                "biz": "NEWS",
                "rules": [
                    {"rule": "persistent", "from": True, "to": False},
                    {"rule": "scope", "from": None, "to": "global"},
                ],
            },
            "biz NEWS; persistent true → false; scope - → global",
        ),
        ({}, ""),
    ],
)
def test_details_on_one_line(details: dict[str, Any], line: str) -> None:
    assert told(details) == line
