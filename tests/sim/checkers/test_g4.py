"""G4: nobody else gets it."""

from mobilesync.sim import history as h
from mobilesync.sim.checkers.g4 import check
from mobilesync.sim.checkers.ledger import Ledger
from tests.sim.checkers.told import ALL, CHAT, D1, Tale


def findings(tale: Tale) -> list[str]:
    return [finding.sentence for finding in check(Ledger(tale.facts))]


def test_each_gets_their_own() -> None:
    tale = Tale()
    tale.device()
    tale.wire()
    tale.push(0, 1, {1: "m1"})
    tale.push(0, 1, {1: "m2"}, channel=ALL)
    tale.push(0, 1, {1: "m3"}, channel=CHAT._replace(target="device:d1"))
    tale.save(0, 1, 1)
    tale.handle(1, "m1")
    assert not findings(tale)


def test_a_push_for_another_user() -> None:
    tale = Tale()
    tale.wire(user="bob")
    tale.push(0, 1, {1: "m1"})
    assert len(findings(tale)) == 1


def test_a_push_after_the_user_left() -> None:
    tale = Tale()
    tale.wire(user="ann")
    tale.add(h.Welcomed(tale.now_ms, 1, D1, ""))
    tale.push(0, 1, {1: "m1"})
    assert len(findings(tale)) == 1


def test_a_push_for_another_device_or_app() -> None:
    tale = Tale()
    tale.wire()
    tale.push(0, 1, {1: "m1"}, channel=CHAT._replace(target="device:d2"))
    tale.push(0, 1, {1: "m1"}, channel=ALL._replace(app="bank"))
    assert len(findings(tale)) == 2


def test_a_notice_for_another_user() -> None:
    tale = Tale()
    tale.wire(user="bob")
    tale.add(h.Noticed(tale.now_ms, 1, D1, CHAT, "d"))
    assert len(findings(tale)) == 1


def test_conditions_are_judged_by_what_hello_said() -> None:
    tale = Tale()
    tale.publish("m1", 1, os=("ios",))
    tale.wire(os="ios", wire=1)
    tale.wire(os="android", wire=2)
    tale.push(0, 1, {1: "m1"}, wire=1)
    assert not findings(tale)
    tale.push(0, 1, {1: "m1"}, wire=2)
    assert len(findings(tale)) == 1


def test_while_a_device_switches_it_may_save_for_either() -> None:
    tale = Tale()
    tale.device(user="ann")
    tale.add(h.LoginBegan(tale.now_ms, D1, "bob"))
    tale.save(0, 1, 1)
    tale.add(h.LoggedIn(tale.now_ms, D1, "bob"))
    assert not findings(tale)
    tale.save(1, 2, 2)
    assert len(findings(tale)) == 1


def test_a_handler_gets_what_is_for_a_user_it_never_had() -> None:
    tale = Tale()
    tale.device(user="bob")
    tale.handle(1, "m1")
    assert len(findings(tale)) == 1


def test_a_handler_gets_what_its_device_must_not_see() -> None:
    tale = Tale()
    tale.device(os="android")
    tale.publish("m1", 1, os=("ios",))
    tale.handle(1, "m1")
    assert len(findings(tale)) == 1
