"""`mobilesync inspect`: what the server knows of a channel, a user, a device, an oplog."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
from rich.table import Table

from mobilesync.cli.access import api_access, api_options, app_option
from mobilesync.cli.api_client import ApiAccess, ApiClient
from mobilesync.cli.console import OUT, marked, write_json
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.failures import CommandFailed
from mobilesync.cli.options import config_option, data_option, json_option

LIMIT_MAX = 1000


def _options(function: Any) -> Any:
    for option in (json_option, data_option, config_option):
        function = option(function)
    return app_option(api_options(function))


@click.group(
    "inspect",
    epilog="""
    \b
    Examples:
      mobilesync inspect user alice
      mobilesync inspect channel CHAT user:alice --after 10
      mobilesync inspect device phone-1
      mobilesync inspect oplog CHAT user:alice 11 --device phone-1
    """,
)
def command() -> None:
    """Look at channels, users, devices and oplogs, and at what reached whom."""


@command.command("channel", short_help="List the oplogs of a channel.")
@click.argument("biz")
@click.argument("target")
@click.option("--after", type=click.IntRange(min=0), default=0, help="Only above this oplog id.")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=50, show_default=True)
@_options
def channel(biz: str, target: str, after: int, limit: int, as_json: bool, **where: Any) -> None:
    """Show the oplogs of the channel of BIZ and TARGET (user:…, device:… or everyone)."""
    access = _access(**where)
    with ApiClient(access) as api:
        page = api.get(_path(access, "oplogs"), biz=biz, target=target, after=after, limit=limit)
    if as_json:
        for oplog in page["oplogs"]:
            write_json(oplog)
        return
    table = Table("id", "published (UTC)", "message id", "payload")
    for oplog in page["oplogs"]:
        table.add_row(
            str(oplog["id"]),
            _time(oplog["published_at_ms"]),
            marked(oplog["message_id"], 40),
            _payload(oplog),
        )
    OUT.print(table)
    OUT.print(f"{len(page['oplogs'])} oplogs, complete up to {page['upto']} of {page['last']}.")
    if page["upto"] < page["last"]:
        OUT.print(f"Go on with --after {page['upto']}.")


@command.command("user", short_help="List the channels of a user.")
@click.argument("user")
@_options
def user(user: str, as_json: bool, **where: Any) -> None:
    """Show the channels of USER."""
    _show_channels(f"user:{user}", as_json, _access(**where))


@command.command("everyone", short_help="List the channels of everyone.")
@_options
def everyone(as_json: bool, **where: Any) -> None:
    """Show the channels of everyone."""
    _show_channels("everyone", as_json, _access(**where))


@command.command("device", short_help="Where a device stands in each channel.")
@click.argument("device")
@_options
def device(device: str, as_json: bool, **where: Any) -> None:
    """Show whether DEVICE is online, and how far it is in each of its channels."""
    access = _access(**where)
    with ApiClient(access) as api:
        found = api.get(_path(access, "devices", device))
    if as_json:
        write_json(found)
        return
    who = f", user {marked(found['user'])}" if found.get("user") else ""
    what = " ".join(marked(found[name]) for name in ("os", "app_version") if found.get(name))
    OUT.print(f"{marked(device)} is {'online' if found['online'] else 'offline'}{who}  {what}")
    table = Table("biz", "target", "received", "processed", "of", "")
    for point in found["points"]:
        behind = point["last"] - point["received"]
        table.add_row(
            point["biz"],
            marked(point["target"]),
            str(point["received"]),
            str(point["processed"]),
            str(point["last"]),
            f"{behind} behind" if behind > 0 else "",
        )
    OUT.print(table)


@command.command("oplog", short_help="Show one oplog and the proof of its delivery.")
@click.argument("biz")
@click.argument("target")
@click.argument("oplog_id", metavar="ID", type=click.IntRange(min=1))
@click.option("--device", "device_id", default="", help="Whether and when this device has it.")
@_options
def oplog(
    biz: str, target: str, oplog_id: int, device_id: str, as_json: bool, **where: Any
) -> None:
    """Show the oplog ID of a channel and, with --device, the proof of its delivery."""
    access = _access(**where)
    after = oplog_id - 1
    with ApiClient(access) as api:
        page = api.get(_path(access, "oplogs"), biz=biz, target=target, after=after, limit=1)
        steps = []
        if device_id:
            path = _path(access, "devices", device_id, "journal")
            steps = api.get(path, biz=biz, target=target, after=after, limit=LIMIT_MAX)["steps"]
    found = next((each for each in page["oplogs"] if each["id"] == oplog_id), None)
    if found is None:
        hint = "ids are given from 1 on, and what has ended is removed: see inspect channel"
        raise CommandFailed(
            f"there is no oplog {oplog_id}", hint=hint, code="NOT_FOUND", exit_code=ExitCode.REFUSED
        )
    proof = {
        name: next((step["at_ms"] for step in steps if step[name] >= oplog_id), None)
        for name in ("received", "processed")
    }
    if as_json:
        write_json({**found, **({"device": device_id, **_named(proof)} if device_id else {})})
        return
    OUT.print(f"{marked(biz)} {marked(target)} #{oplog_id}")
    OUT.print(
        f"  published   {_time(found['published_at_ms'])},"
        f" message id {marked(found['message_id'])}",
        soft_wrap=True,
    )
    OUT.print(f"  ends        {_time(found['expires_at_ms'])}")
    OUT.print(f"  payload     {_payload(found)}", soft_wrap=True)
    if device_id:
        for name, at_ms in proof.items():
            when = _time(at_ms) if at_ms is not None else "not yet"
            OUT.print(f"  {name:<12}{when} by {marked(device_id)}")


def _show_channels(target: str, as_json: bool, access: ApiAccess) -> None:
    with ApiClient(access) as api:
        channels = api.get(_path(access, "channels"), target=target)["channels"]
    if as_json:
        for each in channels:
            write_json(each)
        return
    table = Table("biz", "target", "last id", "ended up to")
    for each in channels:
        table.add_row(each["biz"], marked(each["target"]), str(each["last"]), str(each["floor"]))
    OUT.print(table if channels else f"Nothing was ever published to {marked(target)}.")


def _access(
    app: str, api_url: str, api_key: str, config: Path | None, data: Path | None
) -> ApiAccess:
    return api_access(app, api_url, api_key, config, data)


def _path(access: ApiAccess, *parts: str) -> str:
    return "/".join(["/v1/apps", access.app, *(quote(part, safe="") for part in parts)])


def _named(proof: dict[str, int | None]) -> dict[str, int | None]:
    return {f"{name}_at_ms": at_ms for name, at_ms in proof.items()}


def _time(at_ms: int) -> str:
    when = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{when:%Y-%m-%d %H:%M:%S}.{at_ms % 1000:03d}"


def _payload(oplog: dict[str, Any]) -> str:
    if "payload" in oplog:
        return marked(oplog["payload"], 80)
    return f"base64 {marked(oplog.get('payload_base64', ''), 60)}"
