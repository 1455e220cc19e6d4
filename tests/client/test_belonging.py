"""Whose a session is while logins and logouts cross."""

import pytest

from mobilesync.client.belonging import Belonging, targets_of
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.errors import ProtocolFault


def opened(user: str = "alice") -> Belonging:
    belonging = Belonging("d1", user, "t1")
    belonging.check(user)
    belonging.answered()
    return belonging


def test_targets() -> None:
    assert targets_of("alice", "d1") == {"user:alice", "device:d1", "everyone"}
    assert targets_of("", "d1") == {"device:d1", "everyone"}


def test_between_asking_and_the_answer_no_user_counts() -> None:
    belonging = opened()
    assert belonging.takes("user:alice")
    belonging.wish("bob", "t2")
    assert belonging.due()
    belonging.ask()
    for user in ("user:alice", "user:bob", "user:carol"):
        assert not belonging.takes(user)
        assert not belonging.tells(user)
    assert belonging.takes("everyone")
    assert belonging.tells("device:d1")
    belonging.check("bob")
    belonging.answered()
    assert belonging.takes("user:bob")
    assert not belonging.tells("user:alice")
    with pytest.raises(ProtocolFault):
        belonging.takes("user:alice")


def test_the_last_wish_wins_one_at_a_time() -> None:
    belonging = opened()
    belonging.wish("bob", "t2")
    belonging.ask()
    belonging.wish("carol", "t3")
    belonging.wish("", "")
    assert not belonging.due()
    belonging.check("bob")
    belonging.answered()
    assert belonging.due()
    belonging.ask()
    assert (belonging.user, belonging.token) == ("", "")
    belonging.check("")
    belonging.answered()
    assert not belonging.due()


def test_the_same_user_with_a_new_token_is_a_wish() -> None:
    belonging = opened()
    belonging.wish("alice", "t1")
    assert not belonging.due()
    belonging.wish("alice", "t2")
    assert belonging.due()


def test_a_wish_before_welcome_waits_for_it() -> None:
    belonging = Belonging("d1", "alice", "t1")
    belonging.wish("bob", "t2")
    assert not belonging.due()


def test_a_welcome_must_answer_something() -> None:
    with pytest.raises(ProtocolFault) as unasked:
        opened().check("alice")
    assert unasked.value.code is CloseCode.UNEXPECTED_MESSAGE
    with pytest.raises(ProtocolFault) as other:
        Belonging("d1", "alice", "t1").check("bob")
    assert other.value.code is CloseCode.UNEXPECTED_MESSAGE


def test_what_never_was_ours_is_a_fault() -> None:
    with pytest.raises(ProtocolFault):
        opened().takes("device:d2")
