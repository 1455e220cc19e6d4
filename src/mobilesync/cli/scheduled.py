"""`mobilesync scheduled`: what is published but not due yet."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from mobilesync.cli.access import api_access, api_options, app_option
from mobilesync.cli.api_client import ApiAccess, ApiClient
from mobilesync.cli.console import ERR, OUT, marked, write_json
from mobilesync.cli.options import config_option, data_option, json_option

LIMIT_MAX = 1000


def _options(function: Any) -> Any:
    for option in (json_option, data_option, config_option):
        function = option(function)
    return app_option(api_options(function))


@click.group(
    "scheduled",
    epilog="""
    \b
    Examples:
      mobilesync scheduled list
      mobilesync scheduled cancel CHAT user:alice greeting-7
    """,
)
def command() -> None:
    """List or cancel oplogs that were published for later and are not due yet."""


@command.command(
    "list",
    short_help="List what is scheduled, in order.",
    epilog="""
    \b
    Examples:
      mobilesync scheduled list
      mobilesync scheduled list --biz CHAT --limit 10 --json
    """,
)
@click.option("--biz", default="", help="Only of this biz.")
@click.option("--after", default="", help="From where the list before has ended.")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=50, show_default=True)
@_options
def list_(biz: str, after: str, limit: int, as_json: bool, **where: Any) -> None:
    """Show what waits, in the order in which it will be appended."""
    access = _access(**where)
    with ApiClient(access) as api:
        page = api.get(_path(access), biz=biz, after=after, limit=limit)
    if page["after"]:
        ERR.print(f"Go on with --after {marked(page['after'])}.")
    if as_json:
        for each in page["scheduled"]:
            write_json(each)
        return
    table = Table("due (UTC)", "biz", "target", "message id", "payload")
    for each in page["scheduled"]:
        table.add_row(
            f"{datetime.fromtimestamp(each['due_ms'] / 1000, UTC):%Y-%m-%d %H:%M:%S}",
            marked(each["biz"]),
            marked(each["target"]),
            marked(each["message_id"], 40),
            marked(each.get("payload", each.get("payload_base64", "")), 60),
        )
    OUT.print(table if page["scheduled"] else "Nothing is scheduled.")


@command.command(
    "cancel",
    short_help="Cancel one before it is due.",
    epilog="""
    \b
    Example:
      mobilesync scheduled cancel CHAT user:alice greeting-7
    """,
)
@click.argument("biz")
@click.argument("target")
@click.argument("message_id", metavar="MESSAGE-ID")
@_options
def cancel(biz: str, target: str, message_id: str, as_json: bool, **where: Any) -> None:
    """Have what is scheduled under MESSAGE-ID in the channel of BIZ and TARGET never appended."""
    access = _access(**where)
    with ApiClient(access) as api:
        api.delete(_path(access), biz=biz, target=target, message_id=message_id)
    if as_json:
        write_json({"cancelled": message_id})
    else:
        ERR.print(f"{marked(message_id)} is cancelled.")


def _access(
    app: str, api_url: str, api_key: str, config: Path | None, data: Path | None
) -> ApiAccess:
    return api_access(app, api_url, api_key, config, data)


def _path(access: ApiAccess) -> str:
    return f"/v1/apps/{access.app}/scheduled"
