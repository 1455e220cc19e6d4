"""Configuring bizzes of a real server, one by one and from a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mobilesync.cli.access import api_access
from mobilesync.cli.api_client import ApiAccess
from mobilesync.cli.config import TRIES_MAX, change_biz
from mobilesync.cli.failures import CommandFailed
from mobilesync.domain.config_change import rules_of
from mobilesync.domain.sync_config import SyncConfig
from tests.cli.conftest import Cli, Ended, ServerProcess


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of this module's own: what it configures is the whole app."""
    server = ServerProcess(tmp_path_factory.mktemp("configured"), "--no-create-biz-on-first-use")
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


class Configurer:
    """`mobilesync config` for that server."""

    def __init__(self, cli: Cli, server: ServerProcess, folder: Path) -> None:
        self._cli = cli
        self._data = ("--data", server.data)
        self.file = folder / "bizzes.toml"

    def __call__(self, *arguments: object) -> Ended:
        return self._cli("config", *arguments, *self._data)

    def cli(self, *arguments: object) -> Ended:
        return self._cli(*arguments, *self._data)

    def write(self, text: str) -> Path:
        self.file.write_text(text)
        return self.file

    def bizzes(self) -> dict[str, Any]:
        return {each["biz"]: each for each in self("list", "--json").lines()}


@pytest.fixture
def config(cli: Cli, own: ServerProcess, tmp_path: Path) -> Configurer:
    """Begins with an app that has CHAT only, by default rules."""
    made = Configurer(cli, own, tmp_path)
    assert made("apply", made.write("[bizzes.CHAT]\n"), "--prune").code == 0
    return made


@pytest.fixture
def access(own: ServerProcess) -> ApiAccess:
    return api_access("", "", "", None, own.data)


def test_the_life_of_a_biz(config: Configurer) -> None:
    made = config("set", "NEWS", "scope=global", "description=what is [new]", "--create")
    assert made.code == 0
    assert made.out.splitlines()[:3] == [
        "+ NEWS",
        "    description: - → what is [new]",
        "    scope: - → global",
    ]
    assert "publishes to single users and devices are refused" in made.out
    assert config.cli("publish", "NEWS", "everyone", "x").code == 0
    assert "scope=global" in config("list").out
    (told,) = config("set", "NEWS", "priority=5", "scope=", "persistent=false", "--json").lines()
    assert [rule["rule"] for rule in told["changes"][0]["rules"]] == [
        "scope",
        "persistent",
        "priority",
    ]
    (shown,) = config("show", "NEWS", "--json").lines()
    assert (shown["scope"], shown["priority"], shown["persistent"]) == ("any", 5, False)
    assert shown["description"] == "what is [new]", "other rules stay"
    table = config("show", "NEWS").out
    assert all(rule in table for rule in rules_of(SyncConfig(biz="X")))
    assert "false" in table
    assert config("remove", "NEWS", "--json").lines() == [{"biz": "NEWS", "action": "remove"}]
    assert config("remove", "NEWS").code == 4
    assert config("remove", "CHAT").err == "CHAT is removed.\n"
    assert "no bizzes" in config("list").out


def test_offline_and_online_again(config: Configurer) -> None:
    config("set", "CHAT", "retention_s=60")
    told = config("offline", "CHAT")
    assert "backlog of 0 living sessions is withheld" in told.out
    refused = config.cli("publish", "CHAT", "user:u", "x")
    assert (refused.code, "offline" in refused.err) == (4, True)
    assert config("offline", "CHAT").out == "create 0, change 0, remove 0; 1 as before.\n"
    assert config("online", "CHAT").code == 0
    assert config.cli("publish", "CHAT", "user:u", "x").code == 0
    assert config.bizzes()["CHAT"]["retention_s"] == 60


def test_from_a_file_and_back(config: Configurer) -> None:
    file = config.write('[bizzes.NEWS]\nscope = "global"\n\n[bizzes.ALERT]\npriority = 10\n')
    planned = config("plan", file, "--prune")
    assert planned.code == 0
    assert [line for line in planned.out.splitlines() if line[0] in "+~-"] == [
        "+ ALERT",
        "- CHAT",
        "+ NEWS",
    ]
    assert "create 2, change 0, remove 1; 0 as before." in planned.out
    assert [*config.bizzes()] == ["CHAT"], "a plan changes nothing"
    revision = planned.out.split()[-1]
    assert config("apply", file, "--prune", "--revision", revision).code == 0
    assert [*config.bizzes()] == ["ALERT", "NEWS"]
    exported = config("export").out
    assert exported == '[bizzes.ALERT]\npriority = 10\n\n[bizzes.NEWS]\nscope = "global"\n'
    assert config("export", "--output", config.file).out == ""
    assert config.file.read_text() == exported
    (same,) = config("apply", config.file, "--prune", "--json").lines()
    assert {change["action"] for change in same["changes"]} == {"none"}


def test_without_prune_nothing_is_removed(config: Configurer) -> None:
    assert config("apply", config.write("[bizzes.NEWS]\n")).code == 0
    assert [*config.bizzes()] == ["CHAT", "NEWS"]


def test_a_plan_that_no_longer_holds_is_refused(config: Configurer) -> None:
    file = config.write("[bizzes.NEWS]\n")
    (planned,) = config("plan", file, "--json").lines()
    config("set", "CHAT", "priority=1")
    refused = config("apply", file, "--revision", planned["revision"])
    assert refused.code == 4
    assert "changed meanwhile" in refused.err
    assert [*config.bizzes()] == ["CHAT"]


def test_everything_that_is_wrong_in_a_file_is_told(config: Configurer) -> None:
    text = "[bizzes.A]\nretention_s = 0\n[bizzes.B]\npersistent = 1\n[bizzes.C]\n"
    for what in ("plan", "apply"):
        ended = config(what, config.write(text))
        assert ended.code == 4
        assert "A: retention_s out of range; 1 to 2592000" in ended.err
        assert "B: Expected `bool`, got `int`" in ended.err
    assert [*config.bizzes()] == ["CHAT"]


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (("set", "CHAT"), 2, "KEY=VALUE"),
        (("set", "CHAT", "scope"), 2, "'scope' is not KEY=VALUE"),
        (("set", "CHAT", "scop=any"), 2, "did you mean scope?"),
        (("set", "CHAT", "biz=X"), 2, "no rule 'biz'"),
        (("set", "CHAT", "persistent=perhaps"), 2, "persistent=perhaps is no value of this rule"),
        (("set", "CHAT", "priority=high"), 2, "priority=high is no value"),
        (("set", "CHAT", "scope=some"), 2, "scope=some is no value"),
        (("set", "CHAT", "retention_s=0"), 4, "retention_s out of range"),
        (("set", "CHAT", "multi_device=false"), 4, "contradicts other rules"),
        (("set", "CHAD", "priority=1"), 4, "there is no biz CHAD"),
        (("set", "no biz", "--create"), 4, "not a biz name"),
        (("online", "CHAD"), 4, "there is no biz CHAD"),
        (("show", "CHAD"), 4, "no biz CHAD"),
        (("show", "../../keys"), 4, "not a biz name"),
        (("plan", "none.toml"), 2, "cannot read"),
        (("list", "--app", "nobody"), 4, "no such app"),
    ],
)
def test_mistakes(config: Configurer, arguments: tuple[str, ...], code: int, words: str) -> None:
    ended = config(*arguments)
    assert ended.code == code
    assert words in ended.err
    assert [*config.bizzes()] == ["CHAT"]


def test_what_others_change_meanwhile_is_not_lost(config: Configurer, access: ApiAccess) -> None:
    tries = 0

    def edit(current: SyncConfig) -> SyncConfig:
        nonlocal tries
        tries += 1
        if tries == 1:
            config("set", "CHAT", "retention_s=60")
            config("set", "OTHER", "--create")
        return msgspec.structs.replace(current, status="offline")

    change_biz(access, "CHAT", edit)
    assert tries == 2
    chat = config.bizzes()["CHAT"]
    assert (chat["status"], chat["retention_s"]) == ("offline", 60)


def test_it_gives_up_when_somebody_always_is_faster(config: Configurer, access: ApiAccess) -> None:
    tries = 0

    def edit(current: SyncConfig) -> SyncConfig:
        nonlocal tries
        tries += 1
        config("set", "OTHER", f"priority={tries}", "--create")
        return msgspec.structs.replace(current, status="offline")

    with pytest.raises(CommandFailed) as caught:
        change_biz(access, "CHAT", edit)
    assert (caught.value.failure.code, tries) == ("CONFLICT", TRIES_MAX)
    assert config.bizzes()["CHAT"]["status"] == "online"
