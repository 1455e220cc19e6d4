"""`mobilesync recall`: take an oplog back."""

from typing import Any

import click

from mobilesync.cli.access import access_of, asks_api
from mobilesync.cli.api_client import ApiClient
from mobilesync.cli.console import OUT, marked, write_json
from mobilesync.cli.which import names_oplog, which_oplog


@click.command(
    "recall",
    epilog="""
    \b
    Examples:
      mobilesync recall CHAT user:alice 11
      mobilesync recall NEWS everyone summer-sale
    """,
)
@names_oplog
@asks_api
def command(
    biz: str, target: str, oplog: str, by_message_id: bool, as_json: bool, **where: Any
) -> None:
    """Recall OPLOG: when the command returns 0, no device gets it any more that has not got it yet,
    and its payload is erased. Devices that hold it are told, if their SDK asks for that.

    OPLOG is its id in the channel of BIZ and TARGET, or the message id of its publish.
    """
    access = access_of(**where)
    which = which_oplog(biz, target, oplog, by_message_id=by_message_id)
    with ApiClient(access) as api:
        told = api.post(access.path("recalls"), which)
    if as_json:
        write_json(told)
        return
    what = f"{marked(biz)} {marked(target)} #{told['id']}"
    how = "had been recalled before" if told["duplicate"] else "is recalled"
    OUT.print(f"{what} {how}, by #{told['by_id']}.", soft_wrap=True)
