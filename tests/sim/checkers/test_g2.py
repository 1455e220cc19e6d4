"""G2: order, no gaps, no repeats."""

import pytest

from mobilesync.protocol.codes import ResetReason
from mobilesync.sim import history as h
from mobilesync.sim.checkers.g2 import check
from mobilesync.sim.checkers.ledger import Ledger
from tests.sim.checkers.told import CHAT, D1, Tale


def findings(tale: Tale) -> list[str]:
    return [finding.sentence for finding in check(Ledger(tale.facts))]


@pytest.fixture
def tale() -> Tale:
    tale = Tale()
    tale.device()
    tale.wire()
    tale.publish("m1", 1)
    tale.publish("m2", 2)
    tale.publish("m3", 3)
    return tale


def test_a_good_day(tale: Tale) -> None:
    tale.push(0, 3, {1: "m1", 2: "m2", 3: "m3"})
    tale.save(0, 3, 1, 2, 3)
    for number in (1, 2, 3):
        tale.handle(number, f"m{number}")
    assert not findings(tale)


def test_a_later_publish_got_a_lower_id() -> None:
    tale = Tale()
    tale.publish("m1", 2)
    tale.publish("m2", 1)
    assert len(findings(tale)) == 1


def test_publishes_that_overlap_may_get_any_order() -> None:
    tale = Tale()
    one, two = tale.ask("m1"), tale.ask("m2")
    tale.answer(one, 2)
    tale.answer(two, 1)
    assert not findings(tale)


def test_a_retry_is_judged_by_the_call_that_may_have_stored_it() -> None:
    tale = Tale()
    tale.ask("m1")  # its answer was lost, but it was stored as 1
    tale.publish("m2", 2)
    tale.publish("m1", 1, duplicate=True)
    assert not findings(tale)


def test_a_batch_keeps_its_order() -> None:
    tale = Tale()
    one, two = tale.ask("m1", batch=1), tale.ask("m2", batch=1)
    tale.answer(one, 2)
    tale.answer(two, 1)
    assert len(findings(tale)) == 1


def test_a_push_that_leaves_an_oplog_out(tale: Tale) -> None:
    tale.push(0, 3, {1: "m1", 3: "m3"})
    assert len(findings(tale)) == 1


def test_a_save_that_leaves_an_oplog_out(tale: Tale) -> None:
    tale.save(0, 3, 1, 3)
    assert len(findings(tale)) == 1


def test_what_must_not_be_seen_is_no_gap(tale: Tale) -> None:
    tale.publish("m4", 4, os=("android",))
    tale.publish("m5", 5, valid_ms=100)
    tale.publish("m6", 6)
    tale.wait(200)
    tale.push(3, 6, {6: "m6"})
    tale.save(0, 3, 1, 2, 3)
    tale.save(3, 6, 6)
    assert not findings(tale)


def test_what_a_restore_took_is_no_gap(tale: Tale) -> None:
    tale.restore((1, 2), {CHAT: 1})
    tale.ask("m4")
    tale.publish("m5", 3)
    tale.push(1, 3, {3: "m5"})
    assert not findings(tale)


def test_a_push_out_of_order(tale: Tale) -> None:
    tale.push(0, 3, {2: "m2", 1: "m1", 3: "m3"})
    assert len(findings(tale)) == 1


def test_a_push_beyond_its_own_end(tale: Tale) -> None:
    tale.push(0, 2, {1: "m1", 2: "m2", 3: "m3"})
    assert len(findings(tale)) == 1


def test_saves_join(tale: Tale) -> None:
    tale.save(0, 1, 1)
    tale.save(2, 3, 3)
    assert len(findings(tale)) == 1


def test_after_a_reset_saves_join_at_its_floor(tale: Tale) -> None:
    tale.save(0, 3, 1, 2, 3)
    tale.restore((1, 2), {CHAT: 2})
    tale.publish("m4", 3)
    tale.reset(2, 2, ResetReason.RESTORED)
    tale.save(2, 3, 3, epoch=2)
    for number in (1, 2, 3):
        tale.handle(number, f"m{number}")
    tale.handle(3, "m4", epoch=2)
    assert not findings(tale)


def test_a_reset_that_was_not_told(tale: Tale) -> None:
    tale.save(0, 3, 1, 2, 3)
    tale.restore((1, 2), {CHAT: 2})
    tale.save(3, 4, 4, epoch=2)
    assert findings(tale)


def test_a_handler_called_out_of_order(tale: Tale) -> None:
    tale.handle(2, "m2")
    tale.handle(1, "m1")
    assert len(findings(tale)) == 1


def test_a_parked_oplog_is_called_out_of_order_when_it_is_retried(tale: Tale) -> None:
    tale.begin(1, "m1")
    tale.add(h.Parked(tale.now_ms, D1, CHAT, 1, "m1", 1))
    tale.handle(2, "m2")
    tale.handle(1, "m1")
    tale.handle(3, "m3")
    assert not findings(tale)
    tale.handle(1, "m1")
    assert len(findings(tale)) == 1


def test_a_finished_call_repeated(tale: Tale) -> None:
    tale.handle(1, "m1")
    tale.kill()
    tale.handle(1, "m1")
    assert len(findings(tale)) == 1


def test_a_call_that_was_cut_off_is_repeated(tale: Tale) -> None:
    tale.begin(1, "m1")
    tale.kill()
    tale.handle(1, "m1", marked=False)
    tale.kill()
    tale.handle(1, "m1")
    assert not findings(tale)


def test_without_marks_only_the_last_call_before_a_kill_may_be_repeated() -> None:
    tale = Tale()
    tale.device()
    tale.handle(1, "m1", marked=False)
    tale.handle(2, "m2", marked=False)
    tale.kill()
    tale.handle(2, "m2", marked=False)
    assert not findings(tale)
    tale.handle(2, "m2", marked=False)
    assert len(findings(tale)) == 1


def test_a_new_install_may_get_everything_again(tale: Tale) -> None:
    tale.save(0, 1, 1)
    tale.handle(1, "m1")
    tale.device()
    tale.save(0, 1, 1)
    tale.handle(1, "m1")
    assert not findings(tale)


@pytest.mark.parametrize("reason, count", [(ResetReason.FOREIGN, 0), (ResetReason.RENAMED, 1)])
def test_only_some_resets_allow_repeats(tale: Tale, reason: ResetReason, count: int) -> None:
    tale.handle(1, "m1")
    tale.reset(1, 0, reason)
    tale.handle(1, "m1")
    assert len(findings(tale)) == count
