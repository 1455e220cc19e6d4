"""Devices and users, from the command line, on a real server."""

import re

import pytest

from tests.cli.conftest import Cli, ServerProcess


@pytest.fixture(scope="module")
def data(served: ServerProcess) -> tuple[str, str]:
    return ("--data", str(served.data))


@pytest.fixture
def known(cli: Cli, data: tuple[str, str]) -> None:
    """A user with two devices, of which one has all and one lacks something."""
    for number in range(2):
        cli("publish", "CHAT", "user:known", f"{number}", "--message-id", f"k{number}", *data)
    for device, count in (("known-1", "2"), ("known-2", "1")):
        cli(
            *("listen", "CHAT", "--user", "known", "--device", device, "--count", count),
            *("--timeout-s", "20", "--forget", *data),
        )


@pytest.mark.usefixtures("known")
def test_a_device(cli: Cli, data: tuple[str, str]) -> None:
    (device,) = cli("inspect", "device", "known-1", "--json", *data).lines()
    (point,) = [each for each in device["points"] if each["target"] == "user:known"]
    assert (point["received"], point["processed"], point["last"]) == (2, 2, 2)
    assert device["online"] is False
    assert device["first_seen_ms"] <= device["online_since_ms"] <= device["offline_since_ms"]
    shown = cli("inspect", "device", "known-1", *data).out
    assert re.search(r"known-1 is offline since \d{4}-.*, user known", shown)
    assert "first seen" in shown


@pytest.mark.usefixtures("known")
def test_devices_page_by_page(cli: Cli, data: tuple[str, str]) -> None:
    rows = cli("inspect", "devices", "--after", "known", "--limit", "2", "--json", *data).lines()
    assert [each["device"] for each in rows] == ["known-1", "known-2"]
    shown = cli("inspect", "devices", "--after", "known", "--limit", "1", *data).out
    assert "known-1" in shown
    assert "known-2" not in shown
    assert "Go on with --after known-1." in shown
    assert "No device" in cli("inspect", "devices", "--after", "~", *data).out


@pytest.mark.usefixtures("known")
def test_a_user(cli: Cli, data: tuple[str, str]) -> None:
    (user,) = cli("inspect", "user", "known", "--json", *data).lines()
    assert [each["device"] for each in user["devices"]] == ["known-1", "known-2"]
    assert [(each["biz"], each["last"]) for each in user["channels"]] == [("CHAT", 2)]
    shown = cli("inspect", "user", "known", *data).out
    assert "known-1 is offline since" in shown
    page = cli("inspect", "user", "known", "--limit", "1", *data).out
    assert "Go on with --after known-1." in page


def test_a_user_with_nothing_but_oplogs(cli: Cli, data: tuple[str, str]) -> None:
    cli("publish", "CHAT", "user:known-not", "x", *data)
    assert "CHAT" in cli("inspect", "user", "known-not", *data).out
