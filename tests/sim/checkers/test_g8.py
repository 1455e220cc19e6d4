"""G8: the same message id is the same oplog."""

from mobilesync.sim.checkers.g8 import check
from mobilesync.sim.checkers.ledger import Ledger
from tests.sim.checkers.told import CHAT, Tale


def findings(tale: Tale) -> list[str]:
    return [finding.sentence for finding in check(Ledger(tale.facts))]


def test_a_retry_is_a_duplicate() -> None:
    tale = Tale()
    tale.publish("m1", 1)
    tale.publish("m1", 1, duplicate=True)
    assert not findings(tale)


def test_a_retry_got_another_id() -> None:
    tale = Tale()
    tale.publish("m1", 1)
    tale.publish("m1", 2)
    assert len(findings(tale)) == 1


def test_a_retry_was_not_called_a_duplicate() -> None:
    tale = Tale()
    tale.publish("m1", 1)
    tale.publish("m1", 1)
    assert len(findings(tale)) == 1


def test_two_at_once_may_be_answered_in_any_order() -> None:
    tale = Tale()
    one, two = tale.ask("m1"), tale.ask("m1")
    tale.answer(two, 1, duplicate=True)
    tale.answer(one, 1)
    assert not findings(tale)


def test_a_first_publish_is_no_duplicate() -> None:
    tale = Tale()
    tale.publish("m1", 1, duplicate=True)
    assert len(findings(tale)) == 1


def test_after_a_restore_or_its_end_it_may_be_new() -> None:
    tale = Tale()
    tale.publish("m1", 1)
    tale.restore((1, 2), {})
    tale.publish("m1", 1)
    tale.publish("m2", 2, valid_ms=100)
    tale.wait(200)
    tale.publish("m2", 3)
    assert not findings(tale)


def test_a_restore_that_kept_it_keeps_its_message_id() -> None:
    tale = Tale()
    tale.publish("m1", 1)
    tale.restore((1, 2), {CHAT: 1})
    tale.publish("m1", 2)
    assert len(findings(tale)) == 1


def test_it_is_stored_twice() -> None:
    tale = Tale()
    tale.hold({1: "m1", 2: "m1"})
    assert len(findings(tale)) == 1
