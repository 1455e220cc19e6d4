"""What is handed to the app."""

import dataclasses

import pytest

from mobilesync.client.events import (
    ChannelReset,
    ReceivedNotice,
    ReceivedOplog,
    WithdrawnOplogs,
)
from mobilesync.protocol.codes import ResetReason, WithdrawalReason


@pytest.mark.parametrize("kind", [ReceivedOplog, ReceivedNotice])
def test_a_payload_is_bytes_text_and_json(kind: type[ReceivedOplog] | type[ReceivedNotice]) -> None:
    fields: dict[str, object] = {
        "biz": "CHAT",
        "target": "everyone",
        "payload": b'{"a": "\xc3\xa9"}',
    }
    if kind is ReceivedOplog:
        fields["id"] = 1
    item = kind(**fields)  # type: ignore[arg-type]  # one table for both kinds
    assert item.text == '{"a": "é"}'
    assert item.json() == {"a": "é"}


def test_a_payload_that_is_neither_says_so() -> None:
    oplog = ReceivedOplog("CHAT", "everyone", 1, b"\xff")
    with pytest.raises(UnicodeDecodeError):
        _ = oplog.text
    with pytest.raises(ValueError, match="utf-8"):
        oplog.json()


def test_nobody_changes_an_oplog() -> None:
    oplog = ReceivedOplog("CHAT", "everyone", 1, b"")
    with pytest.raises(dataclasses.FrozenInstanceError):
        oplog.id = 2  # type: ignore[misc]  # that is what is tested


def test_a_withdrawal_knows_its_ids_and_its_reason() -> None:
    withdrawn = WithdrawnOplogs("CHAT", "everyone", 7, ((2, 3), (7, 7)), WithdrawalReason.CONSUMED)
    assert [each for each in range(10) if each in withdrawn] == [2, 3, 7]
    assert withdrawn.consumed
    for reason in (WithdrawalReason.RECALLED, 200):
        assert not dataclasses.replace(withdrawn, reason=reason).consumed


def test_only_a_renamed_epoch_loses_nothing() -> None:
    for reason in ResetReason:
        reset = ChannelReset("CHAT", "everyone", 1, 5, reason, 5)
        assert reset.lossless == (reason is ResetReason.RENAMED)
