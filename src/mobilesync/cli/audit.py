"""`mobilesync audit`: who did what."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from mobilesync.cli.access import api_access, api_options, app_option
from mobilesync.cli.api_client import ApiClient
from mobilesync.cli.console import OUT, marked, write_json
from mobilesync.cli.options import config_option, data_option, json_option
from mobilesync.engine.audit import ACTIONS

LIMIT_MAX = 1000


@click.command(
    "audit",
    epilog="""
    \b
    Examples:
      mobilesync audit
      mobilesync audit --action biz_removed
      mobilesync audit --server --json
    """,
)
@click.option("--action", type=click.Choice([*ACTIONS]), help="Only these.")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=50, show_default=True)
@click.option("--before", type=click.IntRange(min=0), help="Only below this id: the next page.")
@click.option("--after", type=click.IntRange(min=0), help="Only above this id.")
@click.option("--server", is_flag=True, help="What concerns no app: API keys for all apps.")
@app_option
@api_options
@config_option
@data_option
@json_option
def command(
    action: str | None,
    limit: int,
    before: int | None,
    after: int | None,
    server: bool,
    app: str,
    api_url: str,
    api_key: str,
    config: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Show who changed bizzes, made keys or ended sessions, newest first.

    Ids are times, in microseconds since 1970 UTC.
    """
    access = api_access(app, api_url, api_key, config, data)
    given: dict[str, str | int | None] = {"action": action, "before": before, "after": after}
    asked = {name: value for name, value in given.items() if value is not None}
    path = "/v1/audit" if server else f"/v1/apps/{access.app}/audit"
    with ApiClient(access) as api:
        entries = api.get(path, limit=limit, **asked)["entries"]
    if as_json:
        for entry in entries:
            write_json(entry)
        return
    table = Table("when (UTC)", "who", "action", "what")
    for entry in entries:
        when = datetime.fromtimestamp(entry["at_ms"] / 1000, UTC)
        what = marked(told(entry["details"]), 300)
        table.add_row(f"{when:%Y-%m-%d %H:%M:%S}", marked(entry["who"]), entry["action"], what)
    OUT.print(table if entries else "Nobody did anything.")
    if len(entries) == limit:
        OUT.print(f"There may be more: go on with --before {entries[-1]['id']}.")


def told(details: dict[str, Any]) -> str:
    """The details of an entry on one line."""
    parts: list[str] = []
    for name, value in details.items():
        if name == "rules" and isinstance(value, list):
            parts += [
                f"{each['rule']} {_side(each['from'])} → {_side(each['to'])}" for each in value
            ]
        elif isinstance(value, list):
            parts.append(f"{name} {','.join(map(str, value))}")
        elif value != "":
            parts.append(f"{name} {value}")
    return "; ".join(parts)


def _side(value: object) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)
