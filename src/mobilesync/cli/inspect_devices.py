"""`mobilesync inspect user`, `device` and `devices`: who is there, and how far.

Not here: the group that these commands are in (inspect.py).
"""

from collections.abc import Iterable
from typing import Any

import click
from rich.table import Table

from mobilesync.cli.access import access_of, asks_api
from mobilesync.cli.api_client import ApiClient
from mobilesync.cli.console import OUT, marked, write_json
from mobilesync.cli.moment import shown_s

DEVICES_MAX = 1000
USER_DEVICES_MAX = 100


@click.command("devices", short_help="List the devices of the app.")
@click.option("--after", default="", help="Only ids above it.")
@click.option("--limit", type=click.IntRange(1, DEVICES_MAX), default=50, show_default=True)
@asks_api
def devices(after: str, limit: int, as_json: bool, **where: Any) -> None:
    """Show all devices that have ever connected, by id."""
    access = access_of(**where)
    with ApiClient(access) as api:
        page = api.get(access.path("devices"), after=after, limit=limit)
    if as_json:
        for each in page["devices"]:
            write_json(each)
        return
    OUT.print(_table(page["devices"]) if page["devices"] else "No device has ever connected.")
    _more(page["after"])


@click.command("device", short_help="Who a device is, and where it stands.")
@click.argument("device")
@asks_api
def device(device: str, as_json: bool, **where: Any) -> None:
    """Show what is known of DEVICE, whether it is online, and how far it is in each channel."""
    access = access_of(**where)
    with ApiClient(access) as api:
        found = api.get(access.path("devices", device))
    if as_json:
        write_json(found)
        return
    who = f", user {marked(found['user'])}" if found["user"] else ""
    OUT.print(f"{marked(device)} is {_state(found)}{who}", soft_wrap=True)
    said = " ".join(marked(found[name]) for name in ("os", "app_version", "sdk") if found[name])
    if said:
        OUT.print(f"  says        {said}", soft_wrap=True)
    for name, value in found["attributes"].items():
        OUT.print(f"  attribute   {marked(name)} = {marked(value)}", soft_wrap=True)
    if found["first_seen_ms"]:
        OUT.print(f"  first seen  {shown_s(found['first_seen_ms'])}")
    for each in found["replays"]:
        place = f"{marked(each['biz'])} {marked(each['target'])}"
        back = f"back from #{each['received_before']} to #{each['floor']}"
        OUT.print(f"  replay      {place}: {back} when it connects", soft_wrap=True)
    OUT.print(_points(found["points"]) if found["points"] else "It has received nothing yet.")


@click.command("user", short_help="A user's channels and devices.")
@click.argument("user")
@click.option("--after", default="", help="Only devices with ids above it.")
@click.option("--limit", type=click.IntRange(1, USER_DEVICES_MAX), default=20, show_default=True)
@asks_api
def user(user: str, after: str, limit: int, as_json: bool, **where: Any) -> None:
    """Show the channels of USER, and all devices on which USER was ever logged in."""
    access = access_of(**where)
    with ApiClient(access) as api:
        found = api.get(access.path("users", user), after=after, limit=limit)
        channels = api.get(access.path("channels"), target=f"user:{user}")["channels"]
    if as_json:
        write_json({**found, "channels": channels})
        return
    table = Table("biz", "last id", "ended up to", "shared sync point")
    shared = {each["biz"]: str(each["received"]) for each in found["points"]}
    for each in channels:
        point = shared.get(each["biz"], "")
        table.add_row(marked(each["biz"]), str(each["last"]), str(each["floor"]), point)
    OUT.print(table if channels else f"Nothing was ever published to user:{marked(user)}.")
    for each in found["devices"]:
        now = "" if each["user"] == user else f", now of {marked(each['user']) or 'nobody'}"
        OUT.print(f"{marked(each['device'])} is {_state(each)}{now}", soft_wrap=True)
        if each["points"]:
            OUT.print(_points(each["points"]))
    _more(found["after"])


def _state(found: dict[str, Any]) -> str:
    """Online or not, and since when."""
    if found["online"]:
        since = shown_s(found["online_since_ms"])
        return f"online since {since}" if since else "online"
    if found["offline_since_ms"]:
        return f"offline since {shown_s(found['offline_since_ms'])}"
    last = shown_s(found["online_since_ms"])
    return f"offline; it connected last at {last}" if last else "offline"


def _table(rows: Iterable[dict[str, Any]]) -> Table:
    table = Table("device", "user", "os", "version", "state (UTC)")
    for each in rows:
        cells = (marked(each[name], 40) for name in ("device", "user", "os", "app_version"))
        table.add_row(*cells, _state(each))
    return table


def _points(points: Iterable[dict[str, Any]]) -> Table:
    table = Table("biz", "target", "received", "processed", "of", "")
    for point in points:
        behind = point["last"] - point["received"]
        remarks = [
            f"{behind} behind" if behind > 0 else "",
            point["waits"].replace("_", " "),
            f"put back {point['restarts']} ×" if point["restarts"] else "",
        ]
        table.add_row(
            marked(point["biz"]),
            marked(point["target"]),
            str(point["received"]),
            str(point["processed"]),
            str(point["last"]),
            ", ".join(each for each in remarks if each),
        )
    return table


def _more(after: str) -> None:
    if after:
        OUT.print(f"Go on with --after {marked(after)}.")
