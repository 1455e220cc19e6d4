"""Who an id belongs to after restores, and when an oplog may have ended."""

from mobilesync.sim import history as h
from mobilesync.sim.checkers.ledger import Ledger, OplogName
from tests.sim.checkers.told import ALL, CHAT, Tale


def test_an_id_from_before_the_backup_keeps_its_epoch() -> None:
    tale = Tale()
    tale.restore((1, 2), {CHAT: 3})
    tale.restore((1, 2, 3), {CHAT: 5})
    ledger = Ledger(tale.facts)
    assert ledger.origin(CHAT, 3, 2) == OplogName(CHAT, 1, 2)
    assert ledger.origin(CHAT, 3, 4) == OplogName(CHAT, 2, 4)
    assert ledger.origin(CHAT, 3, 6) == OplogName(CHAT, 3, 6)
    assert ledger.origin(ALL, 3, 1) == OplogName(ALL, 3, 1), "a channel younger than the backup"
    assert ledger.is_in(OplogName(CHAT, 1, 3), 3)
    assert not ledger.is_in(OplogName(CHAT, 1, 4), 3), "id 4 was given again in epoch 2"


def test_a_second_restore_from_the_first_backup_forgets_the_epoch_between() -> None:
    tale = Tale()
    tale.restore((1, 2), {CHAT: 3})
    tale.restore((1, 3), {CHAT: 3})
    ledger = Ledger(tale.facts)
    assert ledger.origin(CHAT, 3, 3) == OplogName(CHAT, 1, 3)
    assert not ledger.is_in(OplogName(CHAT, 2, 4), 3)


def test_ends_by_validity_and_by_retention() -> None:
    tale = Tale()
    tale.publish("m1", 1, valid_ms=500)
    tale.publish("m2", 2)
    ledger = Ledger(tale.facts)
    short, long = ledger.stored.values()
    assert not ledger.may_have_ended(short, short.since_ms)
    assert ledger.may_have_ended(short, short.since_ms + 500)
    assert not ledger.may_have_ended(long, long.since_ms + 3_500_000)
    assert ledger.may_have_ended(long, long.since_ms + 3_600_000)


def test_a_clock_that_was_ahead_for_a_while_may_have_ended_it() -> None:
    tale = Tale()
    tale.publish("m1", 1, valid_ms=5000)
    tale.add(h.ServerClock(tale.now_ms, 60_000))
    tale.add(h.ServerClock(tale.now_ms, 0))
    ledger = Ledger(tale.facts)
    (stored,) = ledger.stored.values()
    assert ledger.wall_ms(tale.now_ms) == tale.now_ms
    assert ledger.may_have_ended(stored, tale.now_ms)
    before_ms = stored.since_ms
    assert ledger.latest_wall_ms(before_ms, before_ms) == before_ms


def test_notices_are_not_stored() -> None:
    tale = Tale()
    tale.add(h.BizDefined(tale.now_ms, "shop", "CHAT", 60, persistent=False))
    tale.publish("m1", 0)
    assert not Ledger(tale.facts).stored
