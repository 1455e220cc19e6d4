"""What happened to an oplog on a device, from the command line, on a real server."""

import re

import pytest

from tests.cli.conftest import Cli, ServerProcess


@pytest.fixture(scope="module")
def data(served: ServerProcess) -> tuple[str, str]:
    return ("--data", str(served.data))


def test_delivered_and_not(cli: Cli, data: tuple[str, str]) -> None:
    target = "user:explained"
    cli("publish", "CHAT", target, "one", "--message-id", "x1", *data)
    cli("publish", "CHAT", target, "two", "--app-version-min", "99", *data)
    cli(
        *("listen", "CHAT", "--user", "explained", "--device", "ex-phone", "--count", "1"),
        *("--timeout-s", "20", *data),
    )
    (done,) = cli("explain", "CHAT", target, "x1", "ex-phone", "--json", *data).lines()
    assert (done["id"], done["reason"]) == (1, "PROCESSED")
    assert done["sent_at_ms"] <= done["received_at_ms"] <= done["processed_at_ms"]
    shown = cli("explain", "CHAT", target, "1", "ex-phone", *data).out
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.fullmatch(
        rf"CHAT user:explained #1 on ex-phone\n"
        rf"  PROCESSED  the device has saved it, and its handler is done: at {time} UTC\n"
        rf"  sent       {time}\.\d+\n  received   {time}\.\d+\n  processed  {time}\.\d+\n",
        shown,
    )
    why = cli("explain", "CHAT", target, "2", "ex-phone", *data).out
    assert "VERSION" in why
    assert "it must be ≥ 99" in why or "< 99" in why


def test_scheduled(cli: Cli, data: tuple[str, str]) -> None:
    later = ("--message-id", "77", "--valid-from", "+1h")
    cli("publish", "CHAT", "user:explained-later", "x", *later, *data)
    where = ("explain", "CHAT", "user:explained-later", "77")
    told = cli(*where, "d1", "--by-message-id", *data).out
    assert "CHAT user:explained-later 77 on d1" in told
    assert "not due yet: due at" in told
    assert "the channel never had an oplog" in cli(*where, "d1", *data).out


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (("CHAT", "user:none", "none", "d1"), 4, "no oplog has this message id"),
        (("CHAT", "nobody", "1", "d1"), 4, "not a target"),
        (("CHAT", "user:none", "1"), 2, "DEVICE"),
    ],
)
def test_mistakes(
    cli: Cli, data: tuple[str, str], arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended = cli("explain", *arguments, *data)
    assert ended.code == code
    assert words in ended.err
