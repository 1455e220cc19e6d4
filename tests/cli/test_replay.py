"""Replays from the command line, on a real server."""

from tests.cli.conftest import Cli, ServerProcess


def test_a_device_gets_it_all_again(cli: Cli, served: ServerProcess) -> None:
    data = ("--data", served.data)

    def listen(count: int) -> list[str]:
        ended = cli(
            *("listen", "CHAT", "--user", "replayed", "--device", "rp-phone", "--count", count),
            *("--timeout-s", "20", "--json", *data),
        )
        return [each["payload"] for each in ended.lines() if each["type"] == "oplog"]

    for number in range(3):
        cli("publish", "CHAT", "user:replayed", str(number), *data)
    assert listen(3) == ["0", "1", "2"]
    told = cli("replay", "CHAT", "user:replayed", "rp-phone", "--to", "1", *data)
    assert told.out == "rp-phone goes back from #3 to #1, when it connects.\n"
    waits = cli("inspect", "device", "rp-phone", *data).out
    assert "back from #3 to #1 when it connects" in waits
    assert listen(2) == ["1", "2"]
    device = cli("inspect", "device", "rp-phone", *data).out
    assert "put back 1 ×" in device
    assert "when it connects" not in device
    (row,) = cli(
        "replay", "CHAT", "user:replayed", "rp-phone", "--to", "0", "--json", *data
    ).lines()
    assert row == {"floor": 0, "received_before": 3, "online": False}


def test_mistakes(cli: Cli, served: ServerProcess) -> None:
    where = ("replay", "CHAT", "user:replayed", "stranger")
    assert cli(*where, "--data", served.data).code == 2
    ended = cli(*where, "--to", "0", "--data", served.data)
    assert ended.code == 4
    assert "no sync point there" in ended.err
