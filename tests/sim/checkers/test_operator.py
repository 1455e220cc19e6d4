"""OPERATOR: what was answered as done is done."""

from mobilesync.domain.sync_config import SyncConfig
from mobilesync.protocol.codes import ResetReason
from mobilesync.sim import history as h
from mobilesync.sim.checkers.ledger import Ledger
from mobilesync.sim.checkers.operator import check
from tests.sim.checkers.told import CHAT, D1, Tale


def findings(tale: Tale) -> list[str]:
    tale.end()
    return [finding.sentence for finding in check(Ledger(tale.facts))]


class TestRules:
    OLD, NEW, OTHER = (SyncConfig(biz="CHAT", repush_threshold=n) for n in (1, 2, 3))

    def ask(self, tale: Tale, call: int, rules: SyncConfig, *, done: bool = True) -> None:
        tale.add(h.RulesAsked(tale.now_ms, call, "shop", rules))
        if done:
            tale.add(h.Done(tale.now_ms, call))

    def see(self, tale: Tale, rules: SyncConfig) -> None:
        tale.add(h.BizDefined(tale.now_ms, "shop", "CHAT", 9, True, rules))

    def test_what_was_answered_is_in_force(self) -> None:
        tale = Tale()
        self.ask(tale, 1, self.OLD)
        self.ask(tale, 2, self.NEW)
        self.see(tale, self.NEW)
        assert not findings(tale)

    def test_the_one_before_is_not_any_more(self) -> None:
        tale = Tale()
        self.ask(tale, 1, self.OLD)
        self.ask(tale, 2, self.NEW)
        self.see(tale, self.OLD)
        assert len(findings(tale)) == 1

    def test_until_the_answer_either_may_be(self) -> None:
        tale = Tale()
        self.ask(tale, 1, self.OLD)
        self.ask(tale, 2, self.NEW, done=False)
        self.see(tale, self.NEW)
        self.see(tale, self.OLD)
        assert not findings(tale)
        self.see(tale, self.OTHER)
        assert len(findings(tale)) == 1

    def test_a_restore_may_bring_old_ones(self) -> None:
        tale = Tale()
        self.ask(tale, 1, self.OLD)
        self.ask(tale, 2, self.NEW)
        tale.restore((1, 2), {})
        self.see(tale, self.OLD)
        assert not findings(tale)


class TestRewinds:
    def tale(self) -> Tale:
        tale = Tale()
        tale.device()
        tale.rewind(1)
        return tale

    def test_it_was_carried_out(self) -> None:
        tale = self.tale()
        tale.reset(1, 1, ResetReason.REWOUND)
        assert not findings(tale)

    def test_it_was_not(self) -> None:
        assert len(findings(self.tale())) == 1
        tale = self.tale()
        tale.reset(1, 9, ResetReason.RENAMED)
        assert len(findings(tale)) == 1

    def test_it_changes_nothing_where_the_point_is(self) -> None:
        tale = Tale()
        tale.device()
        tale.rewind(9, before=9)
        assert not findings(tale)

    def test_a_device_with_a_new_store_gets_it_all_anyway(self) -> None:
        tale = self.tale()
        tale.device()
        assert not findings(tale)

    def test_so_does_one_that_is_below_already(self) -> None:
        tale = self.tale()
        tale.hello(1, points={CHAT: 9})
        assert len(findings(tale)) == 1
        tale = self.tale()
        tale.hello(1, points={CHAT: 3})
        assert not findings(tale)

    def test_a_restore_may_take_the_wish(self) -> None:
        tale = self.tale()
        tale.restore((1, 2), {CHAT: 9})
        assert not findings(tale)

    def test_it_waits_for_its_user(self) -> None:
        tale = self.tale()
        tale.add(h.LoggedIn(tale.now_ms, D1, "bob"))
        assert not findings(tale)
