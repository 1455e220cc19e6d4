"""Device tokens from the command line."""

from pathlib import Path
from typing import Any

import jwt
import pytest

from mobilesync.cli.development import Development, write_development
from tests.cli.conftest import Cli

SECRET = "0123456789abcdef0123456789abcdef"


def _claims(token: str, audience: str | None = None) -> dict[str, Any]:
    return dict(jwt.decode(token, SECRET, algorithms=["HS256"], audience=audience))


def test_with_the_development_servers_secret(cli: Cli, tmp_path: Path) -> None:
    write_development(tmp_path, Development(app="demo", hs256_secret=SECRET))
    ended = cli("token", "alice", "phone-1", "--data", tmp_path)
    assert ended.code == 0
    claims = _claims(ended.out.strip())
    assert (claims["app"], claims["sub"], claims["device"]) == ("demo", "alice", "phone-1")


def test_with_a_secret_of_ones_own(cli: Cli, elsewhere: Path) -> None:
    (elsewhere / "secret").write_text(f"{SECRET}\n")
    (line,) = cli(
        *("token", "", "kiosk", "--app", "shop", "--secret-file", "secret", "--json"),
        *("--valid-s", "60", "--audience", "us", "--issuer", "me", "--kid", "k1"),
    ).lines()
    claims = _claims(line["token"], audience="us")
    assert claims["iss"] == "me"
    assert claims["app"] == "shop"
    assert claims["exp"] == line["expires_at_ms"] // 1000
    assert "sub" not in claims
    assert jwt.get_unverified_header(line["token"])["kid"] == "k1"


@pytest.mark.parametrize(
    "arguments",
    [
        ("alice", ""),
        ("a\nb", "d"),
        ("alice", "d"),
        ("alice", "d", "--app", "Bad App", "--secret-file", "secret"),
        ("alice", "d", "--app", "shop", "--secret-file", "secret", "--algorithm", "ES256"),
    ],
)
def test_what_cannot_be_signed(cli: Cli, elsewhere: Path, arguments: tuple[str, ...]) -> None:
    (elsewhere / "secret").write_text(SECRET)
    ended = cli("token", *arguments)
    assert ended.code == 4
    assert ended.out == ""
    assert "Hint: " in ended.err


def test_a_secret_file_that_is_not_there(cli: Cli, elsewhere: Path) -> None:
    assert cli("token", "alice", "d", "--app", "shop", "--secret-file", "none").code == 1
