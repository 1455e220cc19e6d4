"""Offering again from the command line, on a real server."""

from tests.cli.conftest import Cli, ServerProcess


def test_one_device_gets_it_again(cli: Cli, served: ServerProcess) -> None:
    data = ("--data", served.data)
    listen = (
        *("listen", "CHAT", "--user", "offered", "--device", "of-phone", "--count", "1"),
        *("--timeout-s", "20", "--json", *data),
    )
    cli("publish", "CHAT", "user:offered", "hi", "--message-id", "o1", *data)
    assert [each["payload"] for each in cli(*listen).lines()] == ["hi"]
    told = cli("offer", "CHAT", "user:offered", "o1", "of-phone", *data)
    assert told.out == "It is offered to of-phone again, as CHAT user:offered #2.\n"
    assert [each["payload"] for each in cli(*listen).lines()] == ["hi"]
    (row,) = cli("offer", "CHAT", "user:offered", "1", "of-phone", "--json", *data).lines()
    assert row == {"biz": "CHAT", "target": "user:offered", "id": 3}
    shown = cli("inspect", "oplog", "CHAT", "user:offered", "2", *data).out
    assert "offers #1 of user:offered again" in shown
    assert "only on of-phone" in shown


def test_not_to_strangers(cli: Cli, served: ServerProcess) -> None:
    data = ("--data", served.data)
    cli("publish", "CHAT", "user:offered-not", "hi", *data)
    ended = cli("offer", "CHAT", "user:offered-not", "1", "stranger", *data)
    assert ended.code == 4
    assert "never connected" in ended.err
