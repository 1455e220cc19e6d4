"""The last word of a journal on each oplog, and whether it is exact."""

from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import Skip
from mobilesync.sim import history as h
from mobilesync.sim.checkers.journals import Journals
from mobilesync.sim.checkers.ledger import Ledger
from tests.sim.checkers.told import CHAT, D1, D2, Tale

OS = int(Reason.OS)


def test_a_later_step_has_the_last_word() -> None:
    tale = Tale()
    tale.journal(0, 4, 5, skips=(Skip(2, 3, OS),))
    tale.journal(2, 5, 6)
    words = Journals(Ledger(tale.facts)).words(D1, CHAT)
    assert {oplog_id: word.reason for oplog_id, word in words.items()} == {
        1: 0,
        2: OS,
        3: 0,
        4: 0,
        5: 0,
    }
    assert words[2].step.wall_ms == 5
    assert words[3].step.wall_ms == 6


def test_exact_is_what_was_pushed_on_the_wire_of_the_ack() -> None:
    tale = Tale()
    tale.hello(1, points={CHAT: 2})
    at_ms = tale.ack(4)
    tale.journal(0, 4, at_ms)
    tale.journal(4, 6, at_ms + 1)
    words = Journals(Ledger(tale.facts)).words(D1, CHAT)
    assert [oplog_id for oplog_id, word in words.items() if word.ack is not None] == [3, 4]


def test_a_clock_that_was_put_back_shows_the_time_of_another_ack() -> None:
    tale = Tale()
    tale.add(h.ServerClock(tale.now_ms, 60_000))
    tale.hello(1)
    wall_ms = tale.ack(1, wire=1) + 60_000
    tale.journal(0, 1, wall_ms)
    tale.hello(2, points={CHAT: 1})
    tale.add(h.ServerClock(tale.now_ms, wall_ms - tale.now_ms - 10))
    tale.ack(2, wire=2)
    tale.journal(1, 2, wall_ms)
    words = Journals(Ledger(tale.facts)).words(D1, CHAT)
    assert [word.ack and word.ack.wire for word in words.values()] == [1, 2]


def test_two_acks_that_may_be_it_are_none() -> None:
    tale = Tale()
    tale.hello(1)
    wall_ms = tale.ack(1, wire=1)
    tale.hello(2)
    tale.add(h.ServerClock(tale.now_ms, wall_ms - tale.now_ms - 10))
    tale.ack(1, wire=2)
    tale.journal(0, 1, wall_ms)
    words = Journals(Ledger(tale.facts)).words(D1, CHAT)
    assert words[1].ack is None


def test_devices_have_journals_of_their_own() -> None:
    tale = Tale()
    tale.journal(0, 4, 5)
    assert not Journals(Ledger(tale.facts)).words(D2, CHAT)


def test_whom_a_word_was_judged_for() -> None:
    tale = Tale()
    tale.device()
    tale.add(h.LoggedIn(tale.now_ms, D1, "bob"))
    tale.publish("m1", 1)
    tale.publish("m2", 2)
    tale.hello(1, points={CHAT: 1})
    at_ms = tale.ack(2)
    tale.journal(0, 2, at_ms)
    ledger = Ledger(tale.facts)
    journals = Journals(ledger)
    words = journals.words(D1, CHAT)
    first, second = ledger.stored.values()
    exact = journals.case(D1, second, words[2])
    assert [viewer.user for viewer in exact.viewers] == ["ann"]
    assert exact.at_ms == at_ms
    lost = journals.case(D1, first, words[1])
    assert [viewer.user for viewer in lost.viewers] == ["ann", "bob"]
    assert (lost.begin_ms, lost.at_ms) == (0, ledger.end_ms)
