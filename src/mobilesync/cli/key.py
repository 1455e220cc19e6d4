"""`mobilesync key`: the API keys of businesses and operators."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import click
from rich.table import Table

from mobilesync.api.keys import SCOPES, Scope
from mobilesync.cli.console import ERR, OUT, marked, write_json, write_line
from mobilesync.cli.control import CreateKey, ListKeys, Request, RevokeKey, operate
from mobilesync.cli.options import config_option, data_folder, data_option, json_option
from mobilesync.cli.running import run_async


@click.group("key")
def command() -> None:
    """Make, list and revoke API keys.

    Works on the data folder of this machine, whether its server runs or not. From elsewhere, use
    the API with a key of the scope admin.
    """


@command.command(
    "create",
    epilog="""
    \b
    Examples:
      mobilesync key create shop-backend --app shop --scope publish
      mobilesync key create dashboard --scope inspect
    """,
)
@click.argument("name")
@click.option("--app", default="", help="The one app that it is for.  [default: all apps]")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    default=("publish",),
    show_default=True,
    help="What it may do; may be given several times.",
)
@config_option
@data_option
@json_option
def create(
    name: str,
    app: str,
    scopes: tuple[str, ...],
    config: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Make a key called NAME (who uses it). It is shown this once."""
    wanted = [cast(Scope, scope) for scope in scopes]
    made = _operate(config, data, CreateKey(name, wanted, app), create=True)
    if as_json:
        write_json(made)
        return
    write_line(made["text"])
    ERR.print("Keep it well: only its hash is stored, so it cannot be shown again.")


@command.command("list")
@config_option
@data_option
@json_option
def list_(config: Path | None, data: Path | None, as_json: bool) -> None:
    """Show all keys, without their secrets."""
    keys = _operate(config, data, ListKeys())
    if as_json:
        for key in keys:
            write_json(key)
        return
    table = Table("id", "name", "app", "scopes", "made")
    for key in keys:
        made = datetime.fromtimestamp(key["created_at_ms"] / 1000, UTC)
        app = key["app"] or "all apps"
        table.add_row(
            key["id"], marked(key["name"]), app, ", ".join(key["scopes"]), f"{made:%Y-%m-%d %H:%M}"
        )
    OUT.print(table if keys else "There are no keys.")


@command.command("revoke")
@click.argument("key_id", metavar="ID")
@config_option
@data_option
@json_option
def revoke(key_id: str, config: Path | None, data: Path | None, as_json: bool) -> None:
    """Make the key with this ID useless, from now on."""
    answer = _operate(config, data, RevokeKey(key_id))
    if as_json:
        write_json(answer)
    else:
        ERR.print(f"Key {marked(key_id)} is revoked.")


def _operate(
    config: Path | None, data: Path | None, request: Request, *, create: bool = False
) -> Any:
    folder = data_folder(config, data)
    return run_async(operate(folder, request, lambda done, total: None, create=create))
