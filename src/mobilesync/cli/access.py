"""How commands find the server: options first, then what a development server has left in its data
folder.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from msgspec import Struct

from mobilesync.cli.api_client import ApiAccess
from mobilesync.cli.development import Development, require_development
from mobilesync.cli.options import config_option, data_folder, data_option, json_option

_F = TypeVar("_F", bound=Callable[..., Any])

app_option = click.option("--app", default="", help="The app.  [default: the development server's]")
_API_OPTIONS = (
    click.option(
        "--api-url",
        envvar="MOBILESYNC_API_URL",
        default="",
        help="The API's address.  [default: $MOBILESYNC_API_URL, or the development server's]",
    ),
    click.option(
        "--api-key",
        envvar="MOBILESYNC_API_KEY",
        default="",
        help="Better in the environment, where others do not see it.  "
        "[default: $MOBILESYNC_API_KEY, or the development server's]",
    ),
)


class Door(Struct, frozen=True):
    """Where devices connect, and what makes the server's certificate good."""

    host: str
    port: int
    ca_file: str | None = None
    fingerprint: str | None = None


def api_options(function: _F) -> _F:
    """Add the options of the API; the values arrive as api_url and api_key."""
    for option in reversed(_API_OPTIONS):
        function = option(function)
    return function


def api_access(
    app: str, api_url: str, api_key: str, config: Path | None, data: Path | None
) -> ApiAccess:
    """Where the API is. Raises CommandFailed when nothing says so."""
    if api_url and api_key and app:
        return ApiAccess(api_url, api_key, app)
    left = require_development(data_folder(config, data))
    return ApiAccess(
        api_url or left.api_url, api_key or left.api_key, app or left.app, left.certificate
    )


def asks_api(function: _F) -> _F:
    """Add all that a command needs to ask the API: --app, the API's options, --config and --data,
    which arrive for `access_of`, and --json."""
    for option in (json_option, data_option, config_option):
        function = option(function)
    return app_option(api_options(function))


def access_of(
    *, app: str, api_url: str, api_key: str, config: Path | None, data: Path | None
) -> ApiAccess:
    """As `api_access`, for what `asks_api` has added."""
    return api_access(app, api_url, api_key, config, data)


def parse_server(text: str) -> tuple[str, int]:
    """Host and port of `host:port`; an IPv6 address stands in brackets. Raises BadParameter."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{text!r} is not HOST:PORT", param_hint="--server")
    return host, int(port)


def door_of(left: Development) -> Door:
    """The door of a development server, whose certificate is trusted by its fingerprint-file."""
    return Door(left.host, left.port, ca_file=left.certificate)
