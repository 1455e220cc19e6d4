"""An oplog is named by its id or by its message id."""

import click
import pytest
from click.testing import CliRunner

from mobilesync.cli.which import names_oplog, which_oplog


@pytest.mark.parametrize(
    "oplog, by_message_id, named",
    [
        ("12", False, {"id": 12}),
        ("12", True, {"message_id": "12"}),
        ("order-12", False, {"message_id": "order-12"}),
        ("１２", False, {"message_id": "１２"}),
        ("-1", False, {"message_id": "-1"}),
    ],
)
def test_a_number_is_an_id(oplog: str, by_message_id: bool, named: dict[str, str | int]) -> None:
    which = which_oplog("CHAT", "everyone", oplog, by_message_id=by_message_id)
    assert which == {"biz": "CHAT", "target": "everyone"} | named


def test_the_arguments_come_in_their_order() -> None:
    @click.command()
    @names_oplog
    @click.argument("device")
    def show(biz: str, target: str, oplog: str, device: str, by_message_id: bool) -> None:
        click.echo(f"{biz} {target} {oplog} {device} {by_message_id}")

    ended = CliRunner().invoke(show, ["CHAT", "everyone", "7", "d1", "--by-message-id"])
    assert ended.output == "CHAT everyone 7 d1 True\n"
