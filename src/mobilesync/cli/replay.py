"""`mobilesync replay`: put a device's sync point back."""

from typing import Any

import click

from mobilesync.cli.access import access_of, asks_api
from mobilesync.cli.api_client import ApiClient
from mobilesync.cli.console import OUT, marked, write_json


@click.command(
    "replay",
    epilog="""
    \b
    Examples:
      mobilesync replay CHAT user:alice phone-1 --to 7
      mobilesync replay FLAGS everyone phone-1 --to 0
    """,
)
@click.argument("biz")
@click.argument("target")
@click.argument("device")
@click.option(
    "--to",
    type=click.IntRange(min=0),
    required=True,
    help="It gets again what comes after this oplog id; 0: all there is.",
)
@asks_api
def command(biz: str, target: str, device: str, to: int, as_json: bool, **where: Any) -> None:
    """Put the sync point of DEVICE in the channel of BIZ and TARGET back, so that it gets again
    what comes after and is still valid. Its app's handlers are called again.

    A connected device logs in again at once; another one follows when it connects.
    """
    access = access_of(**where)
    body = {"biz": biz, "target": target, "to": to}
    with ApiClient(access) as api:
        told = api.post(access.path("devices", device, "replays"), body)
    if as_json:
        write_json(told)
        return
    when = "at once" if told["online"] else "when it connects"
    OUT.print(
        f"{marked(device)} goes back from #{told['received_before']} to #{told['floor']}, {when}.",
        soft_wrap=True,
    )
