"""G1: what was answered is held."""

from mobilesync.sim.checkers.g1 import check
from mobilesync.sim.checkers.ledger import Ledger
from tests.sim.checkers.told import ALL, CHAT, Tale


def findings(tale: Tale) -> list[str]:
    return [finding.sentence for finding in check(Ledger(tale.facts))]


def test_everything_is_held() -> None:
    tale = Tale()
    tale.publish("m1", 1)
    tale.ask("m2")  # never answered: it may be there or not
    tale.hold({1: "m1", 2: "m2"})
    tale.held_all()
    assert not findings(tale)


def test_an_answered_oplog_is_gone() -> None:
    tale = Tale()
    tale.publish("m1", 1)
    tale.publish("m2", 2)
    tale.hold({1: "m1"})
    tale.held_all()
    assert len(findings(tale)) == 1
    assert "m2" in findings(tale)[0]


def test_without_the_whole_store_nothing_is_said() -> None:
    tale = Tale()
    tale.publish("m1", 1)
    assert not findings(tale)


def test_what_has_ended_may_be_gone() -> None:
    tale = Tale()
    tale.publish("m1", 1, valid_ms=100)
    tale.wait(200)
    tale.held_all()
    assert not findings(tale)


def test_only_what_came_after_the_backup_may_be_lost_by_a_restore() -> None:
    tale = Tale()
    tale.publish("m1", 1)
    tale.publish("m2", 2)
    tale.restore((1, 2), {CHAT: 1})
    tale.publish("m3", 2)
    tale.hold({1: "m1", 2: "m3"})
    tale.held_all()
    assert not findings(tale)
    lost = Tale()
    lost.publish("m1", 1)
    lost.restore((1, 2), {CHAT: 1})
    lost.held_all()
    assert len(findings(lost)) == 1


def test_one_id_for_two_oplogs() -> None:
    tale = Tale()
    tale.publish("m1", 1)
    tale.publish("m2", 1)
    assert len(findings(tale)) == 1


def test_another_oplog_stands_under_the_id() -> None:
    tale = Tale()
    tale.publish("m1", 1)
    tale.ask("m2")
    tale.hold({1: "m2"})
    tale.held_all()
    assert len(findings(tale)) == 1


def test_what_nobody_published_is_held() -> None:
    tale = Tale()
    tale.hold({1: "m9"}, ALL)
    tale.held_all()
    assert len(findings(tale)) == 1


def test_what_the_service_appended_itself_is_held() -> None:
    tale = Tale()
    tale.hold({1: "mobilesync:offer:0:1"}, ALL)
    tale.held_all()
    assert not findings(tale)


def test_a_hole_in_the_middle() -> None:
    tale = Tale()
    for message_id in ("m1", "m2", "m3"):
        tale.ask(message_id)
    tale.hold({1: "m1", 3: "m3"})
    tale.held_all()
    assert len(findings(tale)) == 1
