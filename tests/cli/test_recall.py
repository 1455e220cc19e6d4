"""Recalling from the command line, on a real server."""

from tests.cli.conftest import Cli, ServerProcess


def test_an_oplog_is_taken_back(cli: Cli, served: ServerProcess) -> None:
    data = ("--data", served.data)
    target = "user:recalled"
    cli("publish", "CHAT", target, "oops", "--message-id", "r1", *data)
    cli("publish", "CHAT", target, "fine", *data)
    told = cli("recall", "CHAT", target, "r1", *data)
    assert told.out == "CHAT user:recalled #1 is recalled, by #3.\n"
    again = cli("recall", "CHAT", target, "1", *data)
    assert again.out == "CHAT user:recalled #1 had been recalled before, by #3.\n"
    (row,) = cli("recall", "CHAT", target, "1", "--json", *data).lines()
    assert row == {"id": 1, "by_id": 3, "duplicate": True}
    listed = cli(
        *("listen", "CHAT", "--user", "recalled", "--device", "re-phone", "--count", "1"),
        *("--timeout-s", "20", "--json", *data),
    ).lines()
    assert [each["payload"] for each in listed] == ["fine"]
    shown = cli("inspect", "channel", "CHAT", target, *data).out
    assert "recalled by #3" in shown
    assert "withdraws #1" in shown
    assert "oplog_recalled" in cli("audit", "--action", "oplog_recalled", *data).out


def test_what_is_not_there(cli: Cli, served: ServerProcess) -> None:
    ended = cli("recall", "CHAT", "user:recalled-not", "7", "--data", served.data)
    assert ended.code == 4
    assert "no such oplog" in ended.err
