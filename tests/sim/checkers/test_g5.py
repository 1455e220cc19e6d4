"""G5: once, at its origin or as an offer."""

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.protocol.codes import ResetReason
from mobilesync.sim.checkers.g5 import check
from mobilesync.sim.checkers.ledger import Ledger
from tests.sim.checkers.told import CHAT, D1, Tale

OWN = Channel("shop", "CHAT", "device:d1")
BOBS = Channel("shop", "CHAT", "user:bob")


def findings(tale: Tale) -> list[str]:
    return [finding.sentence for finding in check(Ledger(tale.facts))]


@pytest.fixture
def tale() -> Tale:
    tale = Tale()
    tale.device()
    tale.publish("m1", 1)
    return tale


def test_an_offer_in_place_of_its_origin(tale: Tale) -> None:
    message_id = tale.offer(1, OWN, ("user:ann", 1))
    tale.handle(1, message_id, channel=OWN)
    assert not findings(tale)


def test_both(tale: Tale) -> None:
    message_id = tale.offer(1, OWN, ("user:ann", 1))
    tale.handle(1, "m1")
    tale.handle(1, message_id, channel=OWN)
    assert len(findings(tale)) == 1


def test_two_offers_of_one(tale: Tale) -> None:
    for number in (1, 2):
        message_id = tale.offer(number, OWN, ("user:ann", 1))
        tale.handle(number, message_id, channel=OWN)
    assert len(findings(tale)) == 1


def test_a_call_that_is_repeated_is_not_its_business(tale: Tale) -> None:
    tale.handle(1, "m1")
    tale.handle(1, "m1")
    assert not findings(tale)


def test_an_operator_may_want_it_again(tale: Tale) -> None:
    message_id = tale.offer(1, OWN, ("user:ann", 1), by_operator=True)
    tale.handle(1, "m1")
    tale.handle(1, message_id, channel=OWN)
    assert not findings(tale)


def test_so_may_a_new_install_and_a_rewound_one(tale: Tale) -> None:
    message_id = tale.offer(1, OWN, ("user:ann", 1))
    tale.handle(1, message_id, channel=OWN)
    tale.device()
    tale.handle(1, "m1")
    assert not findings(tale)
    tale.reset(1, 0, ResetReason.REWOUND, channel=OWN)
    tale.handle(1, message_id, channel=OWN)
    assert not findings(tale)


def test_each_user_of_a_device_is_offered_what_names_them(tale: Tale) -> None:
    for channel in (CHAT, BOBS):
        message_id = tale.offer(5, channel, ("everyone", 7))
        tale.handle(5, message_id, channel=channel, device=D1)
    assert not findings(tale)


def test_after_a_restore_nobody_knows_what_was_offered(tale: Tale) -> None:
    tale.handle(1, "m1")
    tale.restore((1, 2), {CHAT: 1})
    message_id = tale.offer(1, OWN, ("user:ann", 1))
    tale.handle(1, message_id, channel=OWN, epoch=2)
    assert not findings(tale)
