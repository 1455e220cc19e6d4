"""How commands name an oplog: by its id, or by the message id of its publish."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])


def names_oplog(function: _F) -> _F:
    """Add BIZ, TARGET, OPLOG and --by-message-id; they arrive for `which_oplog`."""
    function = click.option(
        "--by-message-id", is_flag=True, help="OPLOG is a message id, though it is a number."
    )(function)
    for argument in ("oplog", "target", "biz"):
        function = click.argument(argument)(function)
    return function


def which_oplog(biz: str, target: str, oplog: str, *, by_message_id: bool) -> dict[str, str | int]:
    """How the API names it: a number is an oplog id, anything else a message id."""
    if oplog.isascii() and oplog.isdigit() and not by_message_id:
        return {"biz": biz, "target": target, "id": int(oplog)}
    return {"biz": biz, "target": target, "message_id": oplog}
