"""`mobilesync offer`: have one device get one oplog again."""

from typing import Any

import click

from mobilesync.cli.access import access_of, asks_api
from mobilesync.cli.api_client import ApiClient
from mobilesync.cli.console import OUT, marked, write_json
from mobilesync.cli.which import names_oplog, which_oplog


@click.command(
    "offer",
    epilog="""
    \b
    Examples:
      mobilesync offer CHAT user:alice 11 phone-1
      mobilesync offer FLAGS everyone dark-mode phone-1
    """,
)
@names_oplog
@click.argument("device")
@asks_api
def command(
    biz: str,
    target: str,
    oplog: str,
    device: str,
    by_message_id: bool,
    as_json: bool,
    **where: Any,
) -> None:
    """Append OPLOG anew for DEVICE alone, whatever that has had.

    OPLOG is its id in the channel of BIZ and TARGET, or the message id of its publish. To have all
    after some id come again, use replay.
    """
    access = access_of(**where)
    which = which_oplog(biz, target, oplog, by_message_id=by_message_id)
    with ApiClient(access) as api:
        told = api.post(access.path("devices", device, "offers"), which)
    if as_json:
        write_json(told)
        return
    where_now = f"{marked(told['biz'])} {marked(told['target'])} #{told['id']}"
    OUT.print(f"It is offered to {marked(device)} again, as {where_now}.", soft_wrap=True)
