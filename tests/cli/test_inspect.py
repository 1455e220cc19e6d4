"""Looking inside a real server."""

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

    (channels,) = cli("inspect", "user", "seen", "--json", *data).lines()
    assert (channels["biz"], channels["last"]) == ("CHAT", 3)
    assert "user:seen" in cli("inspect", "user", "seen", *data).out

    (device,) = cli("inspect", "device", "seen-phone", "--json", *data).lines()
    assert [point["processed"] for point in device["points"]] == [2]
    assert "seen-phone is offline" in cli("inspect", "device", "seen-phone", *data).out

    where = ("inspect", "oplog", "CHAT", "user:seen")
    (done,) = cli(*where, "2", "--device", "seen-phone", "--json", *data).lines()
    assert done["published_at_ms"] <= done["received_at_ms"] <= done["processed_at_ms"]
    late = cli(*where, "3", "--device", "seen-phone", *data).out
    assert "processed   not yet by seen-phone" in late
    assert "hello 0" in cli(*where, "1", *data).out


def test_everyone(cli: Cli, data: tuple[str, str]) -> None:
    cli("publish", "SEEN-FLAGS", "everyone", "on", *data)
    assert "SEEN-FLAGS" in cli("inspect", "everyone", *data).out


def test_payloads_cannot_paint_the_terminal(cli: Cli, data: tuple[str, str]) -> None:
    cli("publish", "CHAT", "user:seen-bell", "\a[red]", *data)
    assert "�[red]" in cli("inspect", "channel", "CHAT", "user:seen-bell", *data).out


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (("user", "nobody-at-all"), 0, ""),
        (("device", "never-seen"), 4, "no such device"),
        (("oplog", "CHAT", "user:seen", "99"), 4, "no oplog 99"),
        (("oplog", "CHAT", "user:seen", "0"), 2, "0 is not in the range"),
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
