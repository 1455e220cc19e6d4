"""WITHDRAWN: what was withdrawn comes to nobody any more, and who knows it is told."""

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Details, WithdrawalReason, Withdrawn
from mobilesync.protocol.codes import ResetReason
from mobilesync.sim import history as h
from mobilesync.sim.checkers.ledger import Ledger
from mobilesync.sim.checkers.withdrawn import TURN_MS, check
from tests.sim.checkers.told import CHAT, D1, D2, Tale

OWN = Channel("shop", "CHAT", "device:d1")
CONSUMED = WithdrawalReason.CONSUMED


def findings(tale: Tale) -> list[str]:
    return [finding.sentence for finding in check(Ledger(tale.facts))]


@pytest.fixture
def tale() -> Tale:
    tale = Tale()
    tale.device()
    tale.publish("m1", 1)
    tale.hello(1)
    return tale


class TestPushes:
    def test_before_the_answer_it_may_still_leave(self, tale: Tale) -> None:
        tale.withdraw(2, 1)
        tale.push(0, 1, {1: "m1"})
        assert not findings(tale)

    def test_after_it_not(self, tale: Tale) -> None:
        tale.recall(1, 2)
        tale.push(0, 1, {1: "m1"})
        assert len(findings(tale)) == 1

    def test_nor_an_offer_of_it(self, tale: Tale) -> None:
        message_id = tale.offer(1, OWN, ("user:ann", 1))
        tale.recall(1, 2)
        tale.push(0, 1, {1: message_id}, channel=OWN)
        assert len(findings(tale)) == 1

    def test_what_was_consumed_may_leave_for_a_moment(self, tale: Tale) -> None:
        tale.withdraw(2, 1, why=CONSUMED, by="d2")
        tale.push(0, 1, {1: "m1"})
        assert not findings(tale)
        tale.wait(TURN_MS)
        tale.push(0, 1, {1: "m1"})
        assert len(findings(tale)) == 1

    def test_a_restore_may_have_taken_the_recall(self, tale: Tale) -> None:
        tale.recall(1, 2)
        tale.restore((1, 2), {CHAT: 1})
        tale.push(0, 1, {1: "m1"})
        assert not findings(tale)


class TestHandlers:
    def test_a_device_that_knows_does_not_begin_with_it(self, tale: Tale) -> None:
        tale.save(0, 1, 1)
        tale.recall(1, 2)
        tale.save(1, 2, 2)
        tale.begin(1, "m1")
        assert len(findings(tale)) == 1

    def test_one_that_does_not_know_yet_may(self, tale: Tale) -> None:
        tale.save(0, 1, 1)
        tale.recall(1, 2)
        tale.begin(1, "m1")
        assert not findings(tale)

    @pytest.mark.parametrize("reason, count", [(ResetReason.FOREIGN, 0), (ResetReason.RENAMED, 1)])
    def test_after_some_resets_it_means_another(
        self, tale: Tale, reason: ResetReason, count: int
    ) -> None:
        tale.save(0, 1, 1)
        tale.recall(1, 2)
        tale.save(1, 2, 2)
        tale.reset(1, 0, reason)
        tale.begin(1, "m1")
        assert len(findings(tale)) == count

    def test_after_a_new_install_too(self, tale: Tale) -> None:
        tale.save(0, 1, 1)
        tale.recall(1, 2)
        tale.save(1, 2, 2)
        tale.device()
        tale.begin(1, "m1")
        assert not findings(tale)


class TestTold:
    def end(self, tale: Tale) -> list[str]:
        tale.calm()
        tale.end()
        return findings(tale)

    def told(self, tale: Tale, *ids: int) -> None:
        ranges = tuple((each, each) for each in ids)
        tale.add(h.ToldWithdrawn(tale.now_ms, D1, CHAT, 1, ranges, 1))

    def test_who_has_begun_with_it_is_told(self, tale: Tale) -> None:
        tale.handle(1, "m1")
        tale.recall(1, 2)
        self.told(tale, 1)
        assert not self.end(tale)

    def test_who_is_not(self, tale: Tale) -> None:
        tale.handle(1, "m1")
        tale.recall(1, 2)
        self.told(tale, 7)
        assert len(self.end(tale)) == 1

    def test_who_never_began_need_not_be(self, tale: Tale) -> None:
        tale.save(0, 1, 1)
        tale.recall(1, 2)
        assert not self.end(tale)

    def test_nor_whoever_has_processed_it(self, tale: Tale) -> None:
        tale.handle(1, "m1")
        tale.withdraw(2, 1, why=CONSUMED, by="d1")
        assert not self.end(tale)
        tale.withdraw(3, 1, why=CONSUMED, by="d2")
        assert len(self.end(tale)) == 1

    def test_nor_who_is_somebody_elses_now(self, tale: Tale) -> None:
        tale.handle(1, "m1")
        tale.recall(1, 2)
        tale.add(h.LoggedIn(tale.now_ms, D1, "bob"))
        assert not self.end(tale)

    def test_other_devices_are_others(self, tale: Tale) -> None:
        tale.device(D2)
        tale.handle(1, "m1", device=D2)
        tale.recall(1, 2)
        self.told(tale, 1)
        assert len(self.end(tale)) == 1


@pytest.mark.parametrize("is_kept", [True, False])
def test_what_was_recalled_stays_so(tale: Tale, is_kept: bool) -> None:
    tale.recall(1, 2)
    withdrawn = Withdrawn(2, WithdrawalReason.RECALLED, 1) if is_kept else None
    tale.add(h.Held(tale.now_ms, CHAT, 1, "m1", "", Details(withdrawn=withdrawn)))
    assert len(findings(tale)) == (not is_kept)
