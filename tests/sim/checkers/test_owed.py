"""What is owed: an oplog that is for a device as it is, which no rule excuses or withholds."""

from typing import Any

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.sim import history as h
from mobilesync.sim.checkers.ledger import Ledger
from mobilesync.sim.checkers.owed import is_owed
from tests.sim.checkers.told import ALL, CHAT, D1, Tale


def owed(tale: Tale, oplog_id: int = 1) -> bool:
    ledger = Ledger(tale.facts)
    stored = next(each for each in ledger.stored.values() if each.name.id == oplog_id)
    return is_owed(ledger, stored, ledger.census.installs[D1][-1])


def tale_of(channel: Channel = CHAT, user: str = "ann", **more: Any) -> Tale:
    tale = Tale()
    tale.device(user=user)
    tale.hello(1, user=user)
    tale.publish("m1", 1, channel, **more)
    return tale


def test_what_is_for_the_device() -> None:
    assert owed(tale_of())
    assert owed(tale_of(ALL))
    assert not owed(tale_of(user="bob"))
    assert not owed(tale_of(os=("android",)))
    assert not owed(tale_of(Channel("bank", "CHAT", "everyone")))


def test_what_the_device_is_at_the_end_counts() -> None:
    tale = tale_of(app_version_min="2.0")
    assert not owed(tale)
    tale.add(h.DeviceStarted(tale.now_ms, D1, "ios", "2.0"))
    assert owed(tale)


def test_what_a_rule_excuses_for_anything_that_it_was_is_not_owed() -> None:
    tale = tale_of(key="k")
    tale.publish("m2", 2, key="k", users=("bob",))
    assert owed(tale)
    tale.add(h.LoggedIn(tale.now_ms, D1, "bob"))
    tale.add(h.LoggedIn(tale.now_ms, D1, "ann"))
    assert not owed(tale), "while it was Bob's, the newer one replaced it"


@pytest.mark.parametrize(
    "rules, channel, user, expected",
    [
        ({"status": "offline"}, CHAT, "ann", False),
        ({"target_kind": "user"}, ALL, "ann", True),
        ({"target_kind": "user"}, ALL, "", False),
        ({"user_check": True, "target_kind": "user"}, CHAT, "ann", True),
        ({"user_check": True, "target_kind": "user"}, ALL, "", False),
    ],
)
def test_what_is_withheld_at_the_end_is_not_owed(
    rules: dict[str, Any], channel: Channel, user: str, expected: bool
) -> None:
    tale = tale_of(channel, user)
    tale.rules(channel.biz, **rules)
    assert owed(tale) == expected
    tale.rules(channel.biz)
    assert owed(tale)


def test_whom_the_app_does_not_hold_good_is_owed_nothing_that_asks_for_that() -> None:
    tale = tale_of()
    tale.rules("CHAT", user_check=True, target_kind="user")
    tale.add(h.UserHeld(tale.now_ms, "shop", "ann", False))
    assert not owed(tale)
    tale.add(h.UserHeld(tale.now_ms, "shop", "ann", True))
    assert not owed(tale), "the session that was there may have been judged before"
    tale.wait(10)
    tale.hello(2)
    assert owed(tale)


class TestRestores:
    def tale(self) -> Tale:
        tale = tale_of(app_version_min="2.0")
        tale.restore((1, 2), {CHAT: 1})
        return tale

    def test_what_it_would_be_refused_when_it_comes_back_is_found_out(self) -> None:
        tale = self.tale()
        tale.hello(2)
        tale.add(h.DeviceStarted(tale.now_ms, D1, "ios", "2.0"))
        assert owed(tale)

    def test_what_it_could_have_got_before_it_comes_back_is_forgotten(self) -> None:
        tale = self.tale()
        tale.add(h.DeviceStarted(tale.now_ms, D1, "ios", "2.0"))
        tale.hello(2)
        assert not owed(tale)
