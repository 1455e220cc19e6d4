"""`mobilesync explain`: what happened to an oplog on a device, or why not yet."""

from typing import Any

import click

from mobilesync.cli.access import access_of, asks_api
from mobilesync.cli.api_client import ApiClient
from mobilesync.cli.console import OUT, marked, write_json
from mobilesync.cli.moment import shown_ms
from mobilesync.cli.which import names_oplog, which_oplog


@click.command(
    "explain",
    epilog="""
    \b
    Examples:
      mobilesync explain CHAT user:alice 11 phone-1
      mobilesync explain PAYMENT user:bob order-42-paid phone-2
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
    """Say what happened to OPLOG on DEVICE: proven by the journal, or which rule keeps it away, or
    where it waits.

    OPLOG is its id in the channel of BIZ and TARGET, or the message id of its publish.
    """
    access = access_of(**where)
    which = which_oplog(biz, target, oplog, by_message_id=by_message_id)
    with ApiClient(access) as api:
        told = api.get(access.path("explain"), **which, device=device)
    if as_json:
        write_json(told)
        return
    name = f"#{told['id']}" if told["id"] else oplog
    OUT.print(f"{marked(biz)} {marked(target)} {marked(name)} on {marked(device)}", soft_wrap=True)
    show_explanation(told)


def show_explanation(told: dict[str, Any]) -> None:
    """The reason with its sentence, and each time that is proven."""
    OUT.print(f"  [bold]{told['reason']}[/bold]  {marked(told['sentence'], 500)}", soft_wrap=True)
    for name in ("sent", "received", "processed"):
        at_ms = told[f"{name}_at_ms"]
        if at_ms:
            OUT.print(f"  {name:<10} {shown_ms(at_ms)}")
