"""Excuses: why a device may have been moved over an oplog, and why surely not."""

from typing import Any

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Attributes, Conditions, Rollout
from mobilesync.domain.oplog import WithdrawalReason
from mobilesync.domain.reasons import Reason
from mobilesync.domain.rules import Viewer
from mobilesync.sim.checkers.excuses import Case, excuse, is_in_doubt, may, was_recalled
from mobilesync.sim.checkers.ledger import Ledger
from tests.sim.checkers.told import CHAT, D1, Tale

ANN = Viewer("d1", "ann", Attributes("ios", "1.0"), asks_withdrawals=True)
BOB = Viewer("d1", "bob", Attributes("ios", "1.0"), asks_withdrawals=True)
OWN = Channel("shop", "CHAT", "device:d1")


def case(
    tale: Tale,
    oplog_id: int = 1,
    *viewers: Viewer,
    begin_ms: int = 0,
    at_ms: int = 0,
    channel: Channel = CHAT,
) -> Case:
    """The oplog, judged for `viewers` until now."""
    ledger = Ledger(tale.facts)
    [stored] = [
        s for s in ledger.stored.values() if (s.name.channel, s.name.id) == (channel, oplog_id)
    ]
    return Case(ledger, stored, viewers or (ANN,), begin_ms, at_ms or tale.now_ms, [1])


def test_a_plain_oplog_has_none() -> None:
    tale = Tale()
    tale.publish("m1", 1)
    assert excuse(case(tale)) is None


@pytest.mark.parametrize(
    "more, reason",
    [
        ({"os": ("android",)}, Reason.OS),
        ({"app_version_min": "2.0"}, Reason.VERSION),
        ({"users": ("bob",)}, Reason.AUDIENCE),
        ({"user_number_min": 5}, Reason.AUDIENCE),
        ({"attributes": (("lang", ("de",)),)}, Reason.ATTRIBUTES),
        ({"rollout": Rollout(0.0, "s")}, Reason.ROLLOUT),
    ],
)
def test_conditions(more: dict[str, Any], reason: Reason) -> None:
    tale = Tale()
    tale.publish("m1", 1, **more)
    assert excuse(case(tale)) is reason
    assert [each for each in Reason if may(case(tale), each)] == [reason]


def test_one_of_those_it_was_judged_for_is_enough() -> None:
    tale = Tale()
    tale.publish("m1", 1, users=("bob",))
    assert excuse(case(tale, 1, BOB)) is None
    assert excuse(case(tale, 1, BOB, ANN)) is Reason.AUDIENCE


def test_what_may_have_ended() -> None:
    tale = Tale()
    tale.publish("m1", 1, valid_ms=100)
    assert excuse(case(tale)) is None
    tale.wait(200)
    assert excuse(case(tale)) is Reason.EXPIRED
    assert is_in_doubt(case(tale))


@pytest.mark.parametrize("why", WithdrawalReason)
def test_what_was_withdrawn_by_then(why: WithdrawalReason) -> None:
    tale = Tale()
    tale.publish("m1", 1)
    tale.publish("m2", 2)
    before_ms = tale.now_ms - 1
    tale.withdraw(3, 1, why=why)
    assert excuse(case(tale)) is Reason[why.name]
    assert excuse(case(tale, at_ms=before_ms)) is None
    assert excuse(case(tale, 2)) is None
    ledger = Ledger(tale.facts)
    first = next(iter(ledger.stored.values()))
    is_recall = why is WithdrawalReason.RECALLED
    assert was_recalled(ledger, first, tale.now_ms) == is_recall
    assert not was_recalled(ledger, first, before_ms)


def test_an_offer_goes_with_its_origin() -> None:
    tale = Tale()
    tale.publish("m1", 1)
    tale.offer(1, OWN, ("user:ann", 1), by_operator=True)
    assert excuse(case(tale, channel=OWN)) is None
    tale.withdraw(2, 1)
    assert excuse(case(tale, channel=OWN)) is Reason.RECALLED


def test_an_offer_may_be_of_what_the_device_has() -> None:
    tale = Tale()
    tale.publish("m1", 1)
    tale.offer(1, OWN, ("user:ann", 1))
    assert excuse(case(tale, channel=OWN)) is Reason.OFFERED
    tale.offer(2, OWN, ("user:ann", 1), conditions=Conditions(device="d2"), by_operator=True)
    assert excuse(case(tale, 2, channel=OWN)) is Reason.OTHER_DEVICE


def test_a_withdrawal_is_for_who_asks_and_has_not_caused_it() -> None:
    tale = Tale()
    tale.publish("m1", 1)
    tale.withdraw(2, 1, why=WithdrawalReason.CONSUMED, by="d2")
    assert excuse(case(tale, 2)) is None
    assert excuse(case(tale, 2, Viewer("d1", "ann"))) is Reason.NOT_ASKED
    author = Viewer("d2", "ann", asks_withdrawals=True)
    assert excuse(case(tale, 2, author)) is Reason.NOT_ASKED


class TestKeys:
    def tale(self, **newer: Any) -> Tale:
        tale = Tale()
        tale.publish("m1", 1, key="k")
        tale.publish("m2", 2, key="other")
        tale.publish("m3", 3, key="k", **newer)
        return tale

    def test_a_newer_value_replaces_an_older_one(self) -> None:
        assert excuse(case(self.tale())) is Reason.SUPERSEDED
        assert excuse(case(self.tale(), 2)) is None
        assert excuse(case(self.tale(), 3)) is None

    def test_not_before_it_was_there(self) -> None:
        tale = self.tale()
        assert excuse(case(tale, at_ms=tale.now_ms - 20)) is None

    def test_not_for_whom_it_is_not(self) -> None:
        assert excuse(case(self.tale(os=("android",)))) is None

    def test_not_when_it_was_recalled_before(self) -> None:
        tale = self.tale()
        tale.withdraw(4, 3)
        assert excuse(case(tale)) is Reason.SUPERSEDED, "it may have been judged before that"
        assert excuse(case(tale, begin_ms=tale.now_ms)) is None

    def test_an_offer_is_judged_by_its_origins_place(self) -> None:
        tale = self.tale()
        tale.offer(1, OWN, ("user:ann", 1), by_operator=True)
        ledger = Ledger(tale.facts)
        offered = next(s for s in ledger.stored.values() if s.origin is not None)
        offered.key = "k"
        assert excuse(Case(ledger, offered, [ANN], 0, tale.now_ms, [1])) is Reason.SUPERSEDED


class TestThreshold:
    def tale(self, threshold: int, **newer: Any) -> Tale:
        tale = Tale()
        tale.rules("CHAT", repush_threshold=threshold)
        tale.publish("m1", 1)
        for number in (2, 3):
            tale.publish(f"m{number}", number, **newer)
        return tale

    def test_over_it_are_those_before_the_newest(self) -> None:
        assert excuse(case(self.tale(2))) is Reason.OVER_THRESHOLD
        assert excuse(case(self.tale(2), 2)) is None
        assert excuse(case(self.tale(3))) is None
        assert excuse(case(self.tale(0))) is None

    def test_only_what_the_device_may_see_counts(self) -> None:
        assert excuse(case(self.tale(2, os=("android",)))) is None

    def test_only_while_there_was_one(self) -> None:
        tale = self.tale(2)
        tale.rules("CHAT", repush_threshold=0)
        assert excuse(case(tale, begin_ms=tale.now_ms)) is None


class TestElsewhere:
    def tale(self, *, multi_device: bool, received: int = 1) -> Tale:
        tale = Tale()
        tale.rules("CHAT", multi_device=multi_device)
        tale.publish("m1", 1)
        tale.hello(2, device="shop/d2")
        tale.ack(received, device="shop/d2", wire=2)
        return tale

    def test_what_another_device_has_acked(self) -> None:
        assert excuse(case(self.tale(multi_device=False))) is Reason.ELSEWHERE

    def test_not_where_each_device_has_its_own_point(self) -> None:
        assert excuse(case(self.tale(multi_device=True))) is None

    def test_not_what_nobody_has_acked(self) -> None:
        assert excuse(case(self.tale(multi_device=False, received=0))) is None
        tale = self.tale(multi_device=False)
        assert excuse(case(tale, at_ms=tale.now_ms - 20)) is None

    def test_a_hello_is_an_ack(self) -> None:
        tale = self.tale(multi_device=False, received=0)
        tale.hello(3, device=D1, points={CHAT: 1})
        assert excuse(case(tale)) is Reason.ELSEWHERE
