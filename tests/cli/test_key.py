"""API keys from the command line."""

from pathlib import Path

from tests.cli.conftest import Cli, ServerProcess


def test_make_list_and_revoke_without_a_server(cli: Cli, tmp_path: Path) -> None:
    data = ("--data", tmp_path)
    made = cli("key", "create", "shop", "--app", "demo", "--scope", "publish", *data)
    assert made.code == 0
    assert made.out.startswith("ms_")
    assert made.out.count("\n") == 1
    assert "Keep it well" in made.err
    (key,) = cli("key", "list", "--json", *data).lines()
    assert (key["name"], key["app"], key["scopes"]) == ("shop", "demo", ["publish"])
    assert made.out.strip() not in cli("key", "list", *data).out
    assert cli("key", "revoke", key["id"], *data).code == 0
    assert "no keys" in cli("key", "list", *data).out
    assert cli("key", "revoke", key["id"], *data).code == 4


def test_while_the_server_runs(cli: Cli, served: ServerProcess) -> None:
    data = ("--data", served.data)
    (made,) = cli("key", "create", "shop", "--scope", "inspect", "--json", *data).lines()
    url = served.ready["api_url"]
    where = ("--app", "demo", "--api-url", url, "--api-key", made["text"], "--json")
    assert cli("inspect", "everyone", *where).code == 0
    refused = cli("publish", "CHAT", "user:key-user", "x", *where)
    assert refused.code == 4
    assert "FORBIDDEN" in refused.err
    (gone,) = cli("key", "revoke", made["id"], "--json", *data).lines()
    assert gone == {"id": made["id"]}
    assert cli("inspect", "everyone", *where).code == 4


def test_mistakes(cli: Cli, tmp_path: Path) -> None:
    assert cli("key", "create", "x", "--scope", "everything", "--data", tmp_path).code == 2
    assert cli("key", "create", "", "--data", tmp_path).code == 4
    assert cli("key", "list", "--data", tmp_path / "none").code == 1
