"""A draft becomes an oplog by getting an id, and changes in nothing else."""

import msgspec
import pytest
from msgspec import structs

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Conditions
from mobilesync.domain.oplog import (
    Appended,
    Details,
    Draft,
    Oplog,
    Origin,
    Withdrawal,
    WithdrawalReason,
    Withdrawn,
    may_withdraw,
    oplog_of,
    withdrawn_oplog,
)

DETAILS = Details("key", "hook", Origin("user:ada", 3, by_operator=True))
DRAFT = Draft(Channel("a", "B", "everyone"), b"x", "m", 1, 2, False, Conditions(("ios",)), DETAILS)
RECALLED = Withdrawn(9, WithdrawalReason.RECALLED, 5)
CONSUMED = Withdrawn(8, WithdrawalReason.CONSUMED, 4, "tablet")


def test_every_field_is_carried_over() -> None:
    oplog = oplog_of(DRAFT, 7)
    assert oplog.id == 7
    shared = set(Draft.__struct_fields__) & set(Oplog.__struct_fields__)
    assert shared == set(Draft.__struct_fields__) - {"channel"}
    for name in shared:
        assert getattr(oplog, name) == getattr(DRAFT, name)


def test_an_oplog_does_not_change() -> None:
    with pytest.raises(AttributeError):
        oplog_of(DRAFT, 7).id = 8  # type: ignore[misc]  # that is the point


def test_it_survives_being_stored() -> None:
    oplog = oplog_of(DRAFT, 7)
    data = msgspec.msgpack.encode(oplog)
    assert msgspec.msgpack.decode(data, type=Oplog) == oplog


def test_an_answer_is_no_duplicate_unless_it_says_so() -> None:
    assert not Appended(1).duplicate


def test_a_plain_oplog_has_no_key_and_was_not_withdrawn() -> None:
    plain = Oplog(1, b"x", "m", 1, 2)
    assert (plain.key, plain.withdrawn) == ("", None)
    assert oplog_of(DRAFT, 1).key == "key"


class TestWithdrawn:
    def test_a_recall_leaves_all_but_the_payload(self) -> None:
        oplog = oplog_of(DRAFT, 7)
        left = withdrawn_oplog(oplog, RECALLED)
        assert left.withdrawn == RECALLED
        assert left.payload == b""
        details = structs.replace(DETAILS, withdrawn=RECALLED)
        assert left == structs.replace(oplog, payload=b"", details=details)

    def test_a_consumption_leaves_the_payload_too(self) -> None:
        left = withdrawn_oplog(oplog_of(DRAFT, 7), CONSUMED)
        assert (left.payload, left.withdrawn, left.key) == (b"x", CONSUMED, "key")

    def test_one_without_details_gets_some(self) -> None:
        left = withdrawn_oplog(Oplog(1, b"x", "m", 1, 2), RECALLED)
        assert left.details == Details(withdrawn=RECALLED)

    def test_it_survives_being_stored(self) -> None:
        left = withdrawn_oplog(oplog_of(DRAFT, 7), CONSUMED)
        again = msgspec.msgpack.decode(msgspec.msgpack.encode(left), type=Oplog)
        assert again == left
        assert again.withdrawn is not None
        assert again.withdrawn.reason is WithdrawalReason.CONSUMED

    @pytest.mark.parametrize(
        "withdrawn, by_recall, by_consumption",
        [(None, True, True), (CONSUMED, True, False), (RECALLED, False, False)],
    )
    def test_once_recalled_always_recalled(
        self, withdrawn: Withdrawn | None, by_recall: bool, by_consumption: bool
    ) -> None:
        oplog = Oplog(1, b"x", "m", 1, 2, True, None, Details(withdrawn=withdrawn))
        assert may_withdraw(oplog, WithdrawalReason.RECALLED) is by_recall
        assert may_withdraw(oplog, WithdrawalReason.CONSUMED) is by_consumption

    def test_a_withdrawal_is_not_withdrawn(self) -> None:
        withdraws = Withdrawal(((1, 1),), WithdrawalReason.RECALLED)
        oplog = Oplog(2, b"", "m", 1, 2, True, None, Details(withdraws=withdraws))
        assert not any(may_withdraw(oplog, reason) for reason in WithdrawalReason)

    def test_an_oplog_without_details_is(self) -> None:
        assert all(may_withdraw(Oplog(1, b"x", "m", 1, 2), each) for each in WithdrawalReason)
