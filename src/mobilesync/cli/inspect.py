"""`mobilesync inspect`: what the server knows of a channel, an oplog, a user, a device."""

from typing import Any

import click
from rich.table import Table

from mobilesync.cli.access import access_of, asks_api
from mobilesync.cli.api_client import ApiAccess, ApiClient
from mobilesync.cli.console import OUT, marked, write_json
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.explain import show_explanation
from mobilesync.cli.failures import CommandFailed
from mobilesync.cli.inspect_devices import device, devices, user
from mobilesync.cli.moment import shown_ms
from mobilesync.cli.which import names_oplog, which_oplog

LIMIT_MAX = 1000
RECEIPTS_MAX = 200


@click.group(
    "inspect",
    epilog="""
    \b
    Examples:
      mobilesync inspect user alice
      mobilesync inspect channel CHAT user:alice --after 10
      mobilesync inspect device phone-1
      mobilesync inspect oplog CHAT user:alice 11
    """,
)
def command() -> None:
    """Look at channels, users, devices and oplogs, and at what reached whom."""


for each in (user, device, devices):
    command.add_command(each)


@command.command("channel", short_help="List the oplogs of a channel.")
@click.argument("biz")
@click.argument("target")
@click.option("--after", type=click.IntRange(min=0), default=0, help="Only above this oplog id.")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=50, show_default=True)
@asks_api
def channel(biz: str, target: str, after: int, limit: int, as_json: bool, **where: Any) -> None:
    """Show the oplogs of the channel of BIZ and TARGET (user:…, device:… or everyone)."""
    access = access_of(**where)
    with ApiClient(access) as api:
        page = api.get(access.path("oplogs"), biz=biz, target=target, after=after, limit=limit)
    if as_json:
        for oplog in page["oplogs"]:
            write_json(oplog)
        return
    table = Table("id", "published (UTC)", "message id", "what", "payload")
    for oplog in page["oplogs"]:
        table.add_row(
            str(oplog["id"]),
            shown_ms(oplog["published_at_ms"]),
            marked(oplog["message_id"], 40),
            marked("; ".join(remarks(oplog)), 60),
            _payload(oplog),
        )
    OUT.print(table)
    OUT.print(f"{len(page['oplogs'])} oplogs, complete up to {page['upto']} of {page['last']}.")
    if page["upto"] < page["last"]:
        OUT.print(f"Go on with --after {page['upto']}.")


@command.command("everyone", short_help="List the channels of everyone.")
@asks_api
def everyone(as_json: bool, **where: Any) -> None:
    """Show the channels of everyone."""
    access = access_of(**where)
    with ApiClient(access) as api:
        channels = api.get(access.path("channels"), target="everyone")["channels"]
    if as_json:
        for each in channels:
            write_json(each)
        return
    table = Table("biz", "target", "last id", "ended up to")
    for each in channels:
        table.add_row(each["biz"], each["target"], str(each["last"]), str(each["floor"]))
    OUT.print(table if channels else "Nothing was ever published to everyone.")


@command.command("oplog", short_help="Show one oplog, and what reached whom.")
@names_oplog
@click.option("--device", "device_id", default="", help="Only on this device, in full.")
@click.option("--after", default="", help="Only devices with ids above it.")
@click.option("--limit", type=click.IntRange(1, RECEIPTS_MAX), default=50, show_default=True)
@asks_api
def oplog(
    biz: str,
    target: str,
    oplog: str,
    by_message_id: bool,
    device_id: str,
    after: str,
    limit: int,
    as_json: bool,
    **where: Any,
) -> None:
    """Show OPLOG, and for each known device that it is for whether and when it was sent, received
    and processed, or why not.

    OPLOG is its id in the channel of BIZ and TARGET, or the message id of its publish.
    """
    access = access_of(**where)
    which = which_oplog(biz, target, oplog, by_message_id=by_message_id)
    with ApiClient(access) as api:
        if device_id:
            told = api.get(access.path("explain"), **which, device=device_id)
        else:
            told = api.get(access.path("receipts"), **which, after=after, limit=limit)
        found = _read(api, access, biz, target, told["id"])
    if as_json:
        proof = {name: value for name, value in told.items() if name not in found}
        write_json({**found, **proof})
        return
    _show_oplog(biz, target, found)
    if device_id:
        OUT.print(f"  on {marked(device_id)}")
        show_explanation(told)
    else:
        _show_receipts(told)


def remarks(oplog: dict[str, Any]) -> list[str]:
    """What is special about an oplog, part by part."""
    found: list[str] = []
    if withdrawn := oplog.get("withdrawn"):
        found.append(f"{withdrawn['reason']} by #{withdrawn['by_id']}")
    if withdraws := oplog.get("withdraws"):
        ranges = (str(a) if a == b else f"{a}-{b}" for a, b in withdraws["ids"])
        found.append(f"withdraws #{', #'.join(ranges)}")
    if origin := oplog.get("origin"):
        found.append(f"offers #{origin['id']} of {origin['target']} again")
    if oplog.get("key"):
        found.append(f"key {oplog['key']}")
    if oplog.get("callback"):
        found.append(f"callback {oplog['callback']}")
    return found + _audience(oplog)


def _audience(oplog: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for name, words in (("os", "os"), ("users", "users")):
        if oplog.get(name):
            found.append(f"{words} {', '.join(oplog[name])}")
    for name, words in (("app_version", "version"), ("user_number", "user")):
        low, high = oplog.get(f"{name}_min"), oplog.get(f"{name}_max")
        if low:
            found.append(f"{words} ≥ {low}")
        if high:
            found.append(f"{words} ≤ {high}")
    for name, values in oplog.get("attributes", {}).items():
        found.append(f"{name} = {' or '.join(values)}")
    if "rollout_percent" in oplog:
        found.append(f"rollout {oplog['rollout_percent']:g} % ({oplog['rollout_salt']})")
    if oplog.get("device"):
        found.append(f"only on {oplog['device']}")
    return found


def _read(
    api: ApiClient, access: ApiAccess, biz: str, target: str, oplog_id: int
) -> dict[str, Any]:
    """The oplog. Raises CommandFailed when it is not there."""
    if oplog_id:
        page = api.get(access.path("oplogs"), biz=biz, target=target, after=oplog_id - 1, limit=1)
        for found in page["oplogs"]:
            if found["id"] == oplog_id:
                return dict(found)
    hint = "ids are given from 1 on, and what has ended is removed: see inspect channel"
    raise CommandFailed(
        f"there is no oplog {oplog_id}", hint=hint, code="NOT_FOUND", exit_code=ExitCode.REFUSED
    )


def _show_oplog(biz: str, target: str, found: dict[str, Any]) -> None:
    OUT.print(f"{marked(biz)} {marked(target)} #{found['id']}")
    published = f"{shown_ms(found['published_at_ms'])}, message id {marked(found['message_id'])}"
    OUT.print(f"  published   {published}", soft_wrap=True)
    OUT.print(f"  ends        {shown_ms(found['expires_at_ms'])}")
    for each in remarks(found):
        OUT.print(f"  {marked(each)}", soft_wrap=True)
    OUT.print(f"  payload     {_payload(found)}", soft_wrap=True)


def _show_receipts(told: dict[str, Any]) -> None:
    if not told["receipts"]:
        OUT.print("No known device is meant.")
        return
    table = Table("device", "user", "", "reason", "sent (UTC)", "received", "processed")
    for each in told["receipts"]:
        times = (each[f"{name}_at_ms"] for name in ("sent", "received", "processed"))
        table.add_row(
            marked(each["device"], 40),
            marked(each["user"], 40),
            "online" if each["online"] else "",
            each["reason"],
            *(shown_ms(at_ms) if at_ms else "" for at_ms in times),
        )
    OUT.print(table)
    if told["after"]:
        OUT.print(f"Go on with --after {marked(told['after'])}.")


def _payload(oplog: dict[str, Any]) -> str:
    if "payload" in oplog:
        return marked(oplog["payload"], 80)
    return f"base64 {marked(oplog.get('payload_base64', ''), 60)}"
