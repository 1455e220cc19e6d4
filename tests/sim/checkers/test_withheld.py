"""WITHHELD: nothing is pushed that a rule withholds."""

from typing import Any

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.sim import history as h
from mobilesync.sim.checkers.ledger import Ledger
from mobilesync.sim.checkers.withheld import TURN_MS, check
from tests.sim.checkers.told import ALL, CHAT, D1, D2, Tale

CHECKED: dict[str, Any] = {"user_check": True, "target_kind": "user"}


def findings(tale: Tale) -> list[str]:
    return [finding.sentence for finding in check(Ledger(tale.facts))]


def tale_of(biz: str = "CHAT", user: str = "ann", **rules: Any) -> Tale:
    tale = Tale()
    tale.rules(biz, **rules)
    tale.wait(TURN_MS + 10)
    tale.hello(1, user=user, session="s1")
    return tale


def push(tale: Tale, channel: Channel = CHAT, wire: int = 1, device: str = D1) -> None:
    tale.push(0, 1, {1: "m1"}, channel=channel, wire=wire, device=device)


def test_what_no_rule_withholds() -> None:
    tale = tale_of()
    push(tale)
    assert not findings(tale)


def test_a_biz_that_is_offline() -> None:
    tale = tale_of(status="offline")
    push(tale)
    assert len(findings(tale)) == 1


def test_what_was_read_a_moment_before_still_leaves() -> None:
    tale = tale_of()
    tale.rules("CHAT", status="offline")
    push(tale)
    assert not findings(tale)
    tale.wait(TURN_MS)
    push(tale)
    assert len(findings(tale)) == 1


def test_one_without_oplogs_tells_only_what_was_passed_over() -> None:
    tale = tale_of(status="offline")
    tale.push(0, 1, {})
    assert not findings(tale)


@pytest.mark.parametrize("user, count", [("ann", 0), ("", 1)])
def test_what_is_for_users_while_nobody_is_logged_in(user: str, count: int) -> None:
    tale = tale_of("FLAGS", user, target_kind="user")
    push(tale, ALL)
    assert len(findings(tale)) == count


class TestUserCheck:
    def tale(self) -> Tale:
        return tale_of(**CHECKED)

    def judge(
        self, tale: Tale, *, valid: bool = True, user: str = "ann", session: str = "s1"
    ) -> None:
        tale.add(h.UserAsked(tale.now_ms, 1, session, user))
        tale.add(h.UserJudged(tale.now_ms, 1, valid))

    def test_a_session_that_was_validated(self) -> None:
        tale = self.tale()
        self.judge(tale)
        push(tale)
        assert not findings(tale)

    def test_one_that_was_not(self) -> None:
        tale = self.tale()
        push(tale)
        self.judge(tale, valid=False)
        push(tale)
        assert len(findings(tale)) == 2

    def test_another_session_or_another_user(self) -> None:
        tale = self.tale()
        self.judge(tale, session="s2")
        self.judge(tale, user="bob")
        push(tale)
        assert len(findings(tale)) == 1

    def test_a_verdict_is_no_good_after_the_next_welcome(self) -> None:
        tale = self.tale()
        self.judge(tale)
        tale.add(h.SaidUser(tale.now_ms, 1, D1, "ann"))
        tale.add(h.Welcomed(tale.now_ms, 1, D1, "ann", "s1"))
        push(tale)
        assert len(findings(tale)) == 1

    def test_notices_too(self) -> None:
        tale = self.tale()
        tale.add(h.Noticed(tale.now_ms, 1, D1, CHAT, "d"))
        assert len(findings(tale)) == 1


class TestNewest:
    def tale(self, *, multi_device: bool = False) -> Tale:
        tale = tale_of(multi_device=multi_device)
        tale.hello(2, device=D2)
        tale.wait(TURN_MS + 10)
        return tale

    def test_the_device_that_connected_last(self) -> None:
        tale = self.tale()
        push(tale, wire=2, device=D2)
        tale.ack(1, device=D2, wire=2)
        assert not findings(tale)

    def test_the_one_before(self) -> None:
        tale = self.tale()
        push(tale)
        tale.ack(1, device=D2, wire=2)
        assert len(findings(tale)) == 1

    def test_the_one_before_once_the_other_is_not_seen_any_more(self) -> None:
        tale = self.tale()
        push(tale)
        assert not findings(tale)

    def test_once_the_other_changes_its_user(self) -> None:
        tale = self.tale()
        tale.add(h.SaidUser(tale.now_ms, 2, D2, "bob"))
        push(tale)
        tale.ack(1, device=D2, wire=2)
        assert not findings(tale)

    def test_where_each_device_has_its_own_point(self) -> None:
        tale = self.tale(multi_device=True)
        push(tale)
        tale.ack(1, device=D2, wire=2)
        assert not findings(tale)
