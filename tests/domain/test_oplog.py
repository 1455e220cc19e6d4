"""A draft becomes an oplog by getting an id, and changes in nothing else."""

import msgspec
import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Conditions
from mobilesync.domain.oplog import Appended, Draft, Oplog, oplog_of

DRAFT = Draft(Channel("a", "B", "everyone"), b"x", "m", 1, 2, False, Conditions(("ios",)))


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
