"""Who was there when: wires with their users, and installs of devices with all that they were.

Strategy: one walk over the history. A place in it is an *order* (its index), because facts of one
millisecond have an order too. What a device was is kept for each install, since a reinstalled app
may get everything again.

Invariant: a pure function of the history.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mobilesync.domain.channel import EVERYONE, Channel, device_target, user_target
from mobilesync.domain.conditions import NO_ATTRIBUTES, Attributes
from mobilesync.domain.rules import Viewer
from mobilesync.sim import history as h

FOREVER = 2**62
"""After all places."""


@dataclass(slots=True)
class Spell:
    """A user's time on a wire: from one Welcome to the next."""

    order: int
    at_ms: int
    user: str
    session: str
    asked_ms: int
    """When the Hello, Bind or Unbind reached the server that this Welcome answers."""


@dataclass(slots=True)
class Wire:
    """One connection, from its Hello on."""

    number: int
    device: str
    order: int
    hello_ms: int
    attributes: Attributes
    asks_withdrawals: bool
    points: dict[Channel, tuple[int, int]]
    """(epoch, received) that Hello listed."""
    spells: list[Spell] = field(default_factory=list)
    asks: list[int] = field(default_factory=list)
    """When its Hello, Binds and Unbinds reached the server."""
    seen_order: int = 0
    """The last fact that shows it alive at the server."""

    def spell(self, order: int) -> Spell | None:
        """The spell that runs at `order`."""
        place = bisect_right(self.spells, order, key=lambda spell: spell.order) - 1
        return self.spells[place] if place >= 0 else None

    def viewers(self, order: int) -> list[Viewer]:
        """Everybody that the wire has been judged for until `order`."""
        users = dict.fromkeys(s.user for s in self.spells if s.order <= order)
        return [self.viewer(user) for user in users or ("",)]

    def viewer(self, user: str) -> Viewer:
        """The wire as it is judged while `user` is logged in."""
        name = self.device.partition("/")[2]
        return Viewer(name, user, self.attributes, self.asks_withdrawals)


@dataclass(slots=True)
class Install:
    """One life of a device's local store."""

    device: str
    order: int
    at_ms: int
    attributes: list[tuple[int, Attributes]] = field(default_factory=list)
    """All that it was, with their orders, the last one last."""
    users: list[tuple[int, str]] = field(default_factory=list)
    """All that it belonged to, or may have, with their orders, the last one last."""
    end_order: int = FOREVER

    @property
    def app(self) -> str:
        """Of the device."""
        return self.device.partition("/")[0]

    @property
    def name(self) -> str:
        """The device's own."""
        return self.device.partition("/")[2]

    @property
    def user(self) -> str:
        """Whom it belongs to at its end."""
        return self.users[-1][1] if self.users else ""

    def targets(self) -> set[str]:
        """What it is part of at its end."""
        mine = {device_target(self.name), EVERYONE}
        return mine | {user_target(self.user)} if self.user else mine

    def viewers(self, order: int = FOREVER) -> list[Viewer]:
        """Everybody that it may have been judged for until `order`."""
        users = dict.fromkeys(user for at, user in self.users if at <= order) or {"": None}
        seen = [each for at, each in self.attributes if at <= order] or [Attributes()]
        return [Viewer(self.name, u, a, asks_withdrawals=True) for a in seen for u in users]

    def last_viewer(self) -> Viewer:
        """Whom it is judged for at its end."""
        seen = self.attributes[-1][1] if self.attributes else Attributes()
        return Viewer(self.name, self.user, seen, asks_withdrawals=True)


class Census:
    """All wires and installs of a history."""

    def __init__(self, history: Sequence[h.Fact]) -> None:
        self.wires: dict[int, Wire] = {}
        self.installs: dict[str, list[Install]] = {}
        self._asked_ms: dict[int, int] = {}
        for order, fact in enumerate(history):
            self._read_wire(order, fact)
            self._read_device(order, fact)

    def install(self, device: str, order: int) -> Install | None:
        """The install of `device` that runs at `order`."""
        installs = self.installs.get(device, [])
        place = bisect_right(installs, order, key=lambda install: install.order) - 1
        return installs[place] if place >= 0 else None

    def last_installs(self) -> list[Install]:
        """The install of each device at the end, if its app ever ran."""
        return [installs[-1] for installs in self.installs.values() if installs[-1].attributes]

    def last_wire(self, device: str) -> Wire | None:
        """The wire on which the device was welcomed last."""
        mine = [w for w in self.wires.values() if w.device == device and w.spells]
        return max(mine, key=lambda wire: wire.spells[-1].order, default=None)

    def first_hello(self, device: str, at_ms: int) -> int:
        """The order of the device's first Hello after `at_ms`; FOREVER if there is none."""
        mine = (w.order for w in self.wires.values() if w.device == device and w.hello_ms >= at_ms)
        return min(mine, default=FOREVER)

    def _read_wire(self, order: int, fact: h.Fact) -> None:
        match fact:
            case h.SaidHello():
                attributes = Attributes(fact.os, fact.app_version, _custom(fact.attributes))
                points = {channel: (epoch, received) for channel, epoch, received in fact.points}
                said = (attributes, fact.asks_withdrawals, points)
                wire = Wire(fact.wire, fact.device, order, fact.at_ms, *said, seen_order=order)
                wire.asks.append(order)
                self.wires[fact.wire] = wire
                self._asked_ms[fact.wire] = fact.at_ms
            case h.SaidUser():
                self._asked_ms[fact.wire] = fact.at_ms
                self._see(fact.wire, order)
                if fact.wire in self.wires:
                    self.wires[fact.wire].asks.append(order)
            case h.Welcomed():
                asked_ms = self._asked_ms.get(fact.wire, fact.at_ms)
                spell = Spell(order, fact.at_ms, fact.user, fact.session, asked_ms)
                wire = self._wire(fact, order)
                wire.spells.append(spell)
                wire.seen_order = order
            case h.SaidAck() | h.Pushed() | h.Framed():
                self._see(fact.wire, order)

    def _wire(self, fact: h.Welcomed, order: int) -> Wire:
        wire = self.wires.get(fact.wire)
        if wire is None:
            # A history that has not seen the Hello.
            wire = Wire(fact.wire, fact.device, order, fact.at_ms, Attributes(), False, {})
            self.wires[fact.wire] = wire
        return wire

    def _see(self, number: int, order: int) -> None:
        if number in self.wires:
            self.wires[number].seen_order = order

    def _read_device(self, order: int, fact: h.Fact) -> None:
        match fact:
            case h.Installed():
                installs = self.installs.setdefault(fact.device, [])
                users: list[tuple[int, str]] = []
                if installs:
                    installs[-1].end_order = order
                    users = installs[-1].users[-1:]
                installs.append(Install(fact.device, order, fact.at_ms, [], users))
            case h.DeviceStarted():
                attributes = Attributes(fact.os, fact.app_version, _custom(fact.attributes))
                self._current(order, fact).attributes.append((order, attributes))
            case h.AttributesChanged():
                seen = self._current(order, fact).attributes
                was = seen[-1][1]
                now = Attributes(was.os, was.app_version, _custom(fact.attributes))
                seen.append((order, now))
            case h.LoginBegan() | h.LoggedIn():
                self._current(order, fact).users.append((order, fact.user))

    def _current(
        self, order: int, fact: h.DeviceStarted | h.AttributesChanged | h.LoginBegan | h.LoggedIn
    ) -> Install:
        installs = self.installs.setdefault(fact.device, [])
        if not installs:
            installs.append(Install(fact.device, order, fact.at_ms))
        return installs[-1]


def _custom(attributes: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    return dict(attributes) if attributes else NO_ATTRIBUTES
