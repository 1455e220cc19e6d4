"""ONE-POINT: what one device of a user has got no other one gets."""

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.sim import history as h
from mobilesync.sim.checkers.ledger import Ledger
from mobilesync.sim.checkers.one_point import TURN_MS, check
from tests.sim.checkers.told import CHAT, D1, D2, Tale


def findings(tale: Tale) -> list[str]:
    return [finding.sentence for finding in check(Ledger(tale.facts))]


def tale_of(*, multi_device: bool = False) -> Tale:
    tale = Tale()
    tale.rules("CHAT", multi_device=multi_device)
    tale.wait(10)
    tale.publish("m1", 1)
    tale.publish("m2", 2)
    tale.hello(1)
    return tale


def late_push(tale: Tale, *ids: int) -> None:
    tale.wait(TURN_MS + 10)
    tale.hello(2, device=D2)
    tale.push(0, ids[-1], {each: f"m{each}" for each in ids}, wire=2, device=D2)


def test_what_was_not_acked_goes_to_the_next_device() -> None:
    tale = tale_of()
    tale.ack(1)
    late_push(tale, 2)
    assert not findings(tale)


def test_what_was_acked_does_not() -> None:
    tale = tale_of()
    tale.ack(1)
    late_push(tale, 1, 2)
    assert len(findings(tale)) == 1


def test_a_hello_is_an_ack() -> None:
    tale = tale_of()
    tale.hello(3, points={CHAT: 1})
    late_push(tale, 1)
    assert len(findings(tale)) == 1


def test_what_was_read_before_the_ack_still_leaves() -> None:
    tale = tale_of()
    tale.hello(2, device=D2)
    tale.ack(1)
    tale.push(0, 1, {1: "m1"}, wire=2, device=D2)
    assert not findings(tale)


def test_the_device_itself_may_get_it_again() -> None:
    tale = tale_of()
    tale.ack(1)
    tale.wait(TURN_MS + 10)
    tale.push(0, 1, {1: "m1"})
    assert not findings(tale)


def test_not_where_each_device_has_its_own() -> None:
    tale = tale_of(multi_device=True)
    tale.ack(1)
    late_push(tale, 1)
    assert not findings(tale)


def test_not_what_was_published_while_they_had() -> None:
    tale = tale_of(multi_device=True)
    tale.rules("CHAT", multi_device=False)
    tale.wait(10)
    tale.ack(1)
    late_push(tale, 1)
    assert not findings(tale)


def test_an_ack_while_the_user_changes_is_not_taken() -> None:
    tale = tale_of()
    tale.add(h.SaidUser(tale.now_ms, 1, D1, "bob"))
    tale.ack(1)
    late_push(tale, 1)
    assert not findings(tale)


@pytest.mark.parametrize("channel", [CHAT, Channel("shop", "CHAT", "user:bob")])
def test_nor_is_one_for_another_user(channel: Channel) -> None:
    tale = tale_of()
    tale.ack(1, channel=channel)
    late_push(tale, 1)
    assert len(findings(tale)) == (channel == CHAT)


def test_a_server_that_died_may_have_forgotten_it() -> None:
    tale = tale_of()
    tale.ack(1)
    tale.add(h.ServerStarted(tale.now_ms, (1,)))
    late_push(tale, 1)
    assert not findings(tale)


def test_a_rewinding_takes_it_back() -> None:
    tale = tale_of()
    tale.ack(1)
    tale.rewind(0)
    late_push(tale, 1)
    assert not findings(tale)
