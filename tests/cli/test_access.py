"""How commands find the server."""

from pathlib import Path

import click
import pytest

from mobilesync.cli.access import api_access, door_of, parse_server
from mobilesync.cli.api_client import ApiAccess
from mobilesync.cli.development import Development, write_development
from mobilesync.cli.failures import CommandFailed

LEFT = Development(
    app="demo",
    hs256_secret="s",
    host="127.0.0.1",
    port=7443,
    certificate="/c.pem",
    api_url="http://127.0.0.1:1",
    api_key="ms_left",
)


@pytest.mark.parametrize(
    "text, host, port",
    [("sync.example.com:443", "sync.example.com", 443), ("[::1]:7443", "::1", 7443)],
)
def test_a_server_is_host_and_port(text: str, host: str, port: int) -> None:
    assert parse_server(text) == (host, port)


@pytest.mark.parametrize("text", ["host", ":1", "host:", "host:x", "host:65536", "host:-1", "h:²"])
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(click.BadParameter):
        parse_server(text)


def test_options_need_no_development_server(tmp_path: Path) -> None:
    access = api_access("shop", "https://api.example", "ms_mine", None, tmp_path)
    assert access == ApiAccess("https://api.example", "ms_mine", "shop")


def test_what_is_not_said_comes_from_the_development_server(tmp_path: Path) -> None:
    write_development(tmp_path, LEFT)
    access = api_access("", "", "ms_mine", None, tmp_path)
    assert access == ApiAccess("http://127.0.0.1:1", "ms_mine", "demo", "/c.pem")
    assert door_of(LEFT).ca_file == "/c.pem"


def test_without_either_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="no development server") as caught:
        api_access("shop", "", "", None, tmp_path)
    assert "mobilesync serve" in caught.value.failure.hint
