"""The census: who was on which wire, and all that a device was."""

from mobilesync.domain.conditions import Attributes
from mobilesync.domain.rules import Viewer
from mobilesync.sim import history as h
from mobilesync.sim.checkers.census import FOREVER, Census
from tests.sim.checkers.told import CHAT, D1, D2, Tale


def viewer(user: str, os: str = "ios", version: str = "1.0") -> Viewer:
    return Viewer("d1", user, Attributes(os, version), asks_withdrawals=True)


def test_a_wire_and_its_users() -> None:
    tale = Tale()
    tale.hello(1, user="", points={CHAT: 3})
    first = len(tale.facts)
    tale.add(h.SaidUser(tale.now_ms, 1, D1, "ann"))
    tale.add(h.Welcomed(tale.now_ms, 1, D1, "ann"))
    census = Census(tale.facts)
    wire = census.wires[1]
    assert wire.points == {CHAT: (1, 3)}
    assert [spell.user for spell in wire.spells] == ["", "ann"]
    assert wire.spells[1].asked_ms == wire.spells[1].at_ms - 10
    spell = wire.spell(first)
    assert spell is not None
    assert spell.user == ""
    assert wire.spell(0) is None
    assert wire.viewers(first) == [viewer("")]
    assert wire.viewers(FOREVER) == [viewer(""), viewer("ann")]
    assert len(wire.asks) == 2


def test_a_welcome_without_a_hello_is_a_wire_too() -> None:
    tale = Tale()
    tale.add(h.Welcomed(tale.now_ms, 1, D1, "ann"))
    assert Census(tale.facts).wires[1].spells[0].user == "ann"


def test_the_last_sign_of_life() -> None:
    tale = Tale()
    tale.hello(1)
    tale.ack(1)
    seen = len(tale.facts) - 1
    tale.add(h.CalmBegan(tale.now_ms, 1))
    assert Census(tale.facts).wires[1].seen_order == seen


def test_what_a_device_was_in_each_life_of_its_store() -> None:
    tale = Tale()
    tale.device(os="ios")
    first = len(tale.facts) - 1
    tale.add(h.DeviceStarted(tale.now_ms, D1, "ios", "2.0"))
    tale.add(h.AttributesChanged(tale.now_ms, D1, (("lang", "de"),)))
    tale.device(user="bob")
    census = Census(tale.facts)
    old, new = census.installs[D1]
    assert old.viewers(first) == [viewer("ann")]
    attributes = [each.attributes for each in old.viewers()]
    lang = {"lang": "de"}
    assert attributes == [
        Attributes("ios", "1.0"),
        Attributes("ios", "2.0"),
        Attributes("ios", "2.0", lang),
    ]
    assert old.last_viewer().attributes == Attributes("ios", "2.0", lang)
    assert (new.user, new.name, new.app) == ("bob", "d1", "shop")
    assert {each.user for each in new.viewers()} == {"ann", "bob"}
    assert new.targets() == {"device:d1", "everyone", "user:bob"}
    assert census.install(D1, first) is old
    assert census.install(D1, FOREVER) is new
    assert census.install(D1, 0) is None
    assert census.last_installs() == [new]


def test_the_wire_that_was_welcomed_last() -> None:
    tale = Tale()
    tale.hello(1)
    tale.hello(2)
    tale.hello(3, device=D2)
    census = Census(tale.facts)
    last = census.last_wire(D1)
    assert last is not None
    assert last.number == 2
    assert census.last_wire("shop/d9") is None
    assert census.first_hello(D1, 0) == census.wires[1].order
    assert census.first_hello(D1, census.wires[1].hello_ms + 1) == census.wires[2].order
    assert census.first_hello(D1, 10**12) == FOREVER
