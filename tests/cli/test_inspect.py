"""Looking inside a real server."""

import re

import pytest

from tests.cli.conftest import Cli, ServerProcess


@pytest.fixture(scope="module")
def data(served: ServerProcess) -> tuple[str, str]:
    return ("--data", str(served.data))


def test_what_reached_whom(cli: Cli, data: tuple[str, str]) -> None:
    for number in range(3):
        cli("publish", "CHAT", "user:seen", f"hello {number}", "--message-id", f"s{number}", *data)
    listened = cli(
        *("listen", "CHAT", "--user", "seen", "--device", "seen-phone", "--count", "2"),
        *("--timeout-s", "20", "--json", *data),
    )
    assert listened.code == 0

    channel = cli("inspect", "channel", "CHAT", "user:seen", *data).out
    assert "hello 2" in channel
    assert "3 oplogs, complete up to 3 of 3." in channel
    page = cli("inspect", "channel", "CHAT", "user:seen", "--after", "1", "--limit", "1", *data)
    assert "Go on with --after 2." in page.out
    oplogs = cli("inspect", "channel", "CHAT", "user:seen", "--json", *data).lines()
    assert [oplog["id"] for oplog in oplogs] == [1, 2, 3]

    where = ("inspect", "oplog", "CHAT", "user:seen")
    (done,) = cli(*where, "2", "--device", "seen-phone", "--json", *data).lines()
    assert done["published_at_ms"] <= done["received_at_ms"] <= done["processed_at_ms"]
    assert (done["device"], done["reason"]) == ("seen-phone", "PROCESSED")
    late = cli(*where, "s2", "--device", "seen-phone", *data).out
    assert "#3" in late
    assert "PROCESSING  the device has saved it; its handler is not done yet: since" in late
    shown = cli(*where, "1", *data).out
    assert "hello 0" in shown
    assert re.search(r"seen-phone +│ seen +│ +│ PROCESSED", shown)
    (row,) = cli(*where, "1", "--limit", "1", "--json", *data).lines()
    assert row["payload"] == "hello 0"
    assert [each["device"] for each in row["receipts"]] == ["seen-phone"]
    assert row["after"] == "seen-phone"
    assert "Go on with --after seen-phone." in cli(*where, "1", "--limit", "1", *data).out
    rest = cli(*where, "1", "--after", "seen-phone", *data).out
    assert "No known device is meant." in rest


def test_all_that_is_special_about_an_oplog(cli: Cli, data: tuple[str, str]) -> None:
    cli(
        *("publish", "CHAT", "user:special", "x", "--key", "volume", "--os", "ios"),
        *("--app-version-min", "1.2", "--user", "special", "--user", "other"),
        *("--user-number-max", "9", "--attribute", "plan=gold", "--attribute", "plan=silver"),
        *("--rollout", "12.5", "--rollout-salt", "spring", *data),
    )
    shown = cli("inspect", "oplog", "CHAT", "user:special", "1", *data).out
    for words in (
        "key volume",
        "os ios",
        "version ≥ 1.2",
        "users special, other",
        "user ≤ 9",
        "plan = gold or silver",
        "rollout 12.5 % (spring)",
    ):
        assert f"  {words}\n" in shown


def test_everyone(cli: Cli, data: tuple[str, str]) -> None:
    cli("publish", "SEEN-FLAGS", "everyone", "on", *data)
    assert "SEEN-FLAGS" in cli("inspect", "everyone", *data).out


def test_payloads_cannot_paint_the_terminal(cli: Cli, data: tuple[str, str]) -> None:
    cli("publish", "CHAT", "user:seen-bell", "\a[red]", *data)
    assert "�[red]" in cli("inspect", "channel", "CHAT", "user:seen-bell", *data).out


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (("user", "nobody-at-all"), 4, "no such user"),
        (("device", "never-seen"), 4, "no such device"),
        (("oplog", "CHAT", "user:seen", "99"), 4, "no oplog 99"),
        (("oplog", "CHAT", "user:seen", "0"), 4, "no oplog 0"),
        (("oplog", "CHAT", "user:seen", "none"), 4, "no oplog has this message id"),
        (("channel", "CHAT", "nobody"), 4, "not a target"),
        (("device", "a/../../keys"), 4, "no such device"),
    ],
)
def test_what_is_not_there(
    cli: Cli, data: tuple[str, str], arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended = cli("inspect", *arguments, *data)
    assert ended.code == code
    assert words in ended.err
