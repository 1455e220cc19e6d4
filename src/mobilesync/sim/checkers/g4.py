"""G4: nobody else gets it.

A push or notice on a wire is for its device, for everyone, or for the user of the wire's last
Welcome, within one app; and no oplog goes to a device whose attributes do not fulfil its
conditions. What a device saves is for the user it belongs to at that time, and what its handlers
get is for a user that it has belonged to.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mobilesync.domain.channel import EVERYONE, Channel, device_target, user_target
from mobilesync.domain.conditions import Attributes, Conditions
from mobilesync.sim import history as h
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger


@dataclass(slots=True)
class _Device:
    users: set[str] = field(default_factory=lambda: {""})
    """Whom it may belong to now; two while it switches."""
    users_ever: set[str] = field(default_factory=lambda: {""})
    attributes: list[Attributes] = field(default_factory=list)


@dataclass(slots=True)
class _Wire:
    attributes: Attributes
    user: str = ""


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where G4 is broken."""
    conditions = {
        (call.asked.channel, call.asked.message_id): Conditions(
            call.asked.os, call.asked.app_version_min, call.asked.app_version_max
        )
        for call in ledger.calls.values()
    }
    follower = _Follower(conditions)
    for fact in ledger.history:
        yield from follower.follow(fact)


class _Follower:
    def __init__(self, conditions: dict[tuple[Channel, str], Conditions]) -> None:
        self._conditions = conditions
        self._devices: dict[str, _Device] = {}
        self._wires: dict[int, _Wire] = {}

    def follow(self, fact: h.Fact) -> Iterator[Finding]:
        match fact:
            case h.DeviceStarted():
                attributes = Attributes(fact.os, fact.app_version)
                self._device(fact.device).attributes.append(attributes)
            case h.LoginBegan():
                device = self._device(fact.device)
                device.users.add(fact.user)
                device.users_ever.add(fact.user)
            case h.LoggedIn():
                device = self._device(fact.device)
                device.users = {fact.user}
                device.users_ever.add(fact.user)
            case h.SaidHello():
                self._wires[fact.wire] = _Wire(Attributes(fact.os, fact.app_version))
            case h.Welcomed():
                self._wires.setdefault(fact.wire, _Wire(Attributes())).user = fact.user
            case h.Pushed():
                wire = self._wires.get(fact.wire, _Wire(Attributes()))
                yield from _check_target(fact, fact.device, fact.channel, {wire.user})
                for _, message_id in fact.oplogs:
                    yield from self._check_conditions(fact, message_id, [wire.attributes])
            case h.Noticed():
                wire = self._wires.get(fact.wire, _Wire(Attributes()))
                yield from _check_target(fact, fact.device, fact.channel, {wire.user})
            case h.Saved():
                users = self._device(fact.device).users
                yield from _check_target(fact, fact.device, fact.channel, users)
            case h.HandlerBegan():
                device = self._device(fact.device)
                yield from _check_target(fact, fact.device, fact.channel, device.users_ever)
                yield from self._check_conditions(fact, fact.message_id, device.attributes)

    def _device(self, device: str) -> _Device:
        return self._devices.setdefault(device, _Device())

    def _check_conditions(
        self, fact: h.Pushed | h.HandlerBegan, message_id: str, seen: list[Attributes]
    ) -> Iterator[Finding]:
        conditions = self._conditions.get((fact.channel, message_id))
        if conditions is None or not seen:
            return
        if not any(conditions.admits(attributes) for attributes in seen):
            sentence = f"{fact.device} got {message_id}, whose conditions it does not fulfil"
            yield Finding("G4", fact.at_ms, sentence)


def _check_target(
    fact: h.Fact, device: str, channel: Channel, users: set[str]
) -> Iterator[Finding]:
    app, _, name = device.partition("/")
    allowed = {EVERYONE, device_target(name), *(user_target(user) for user in users if user)}
    if channel.app != app or channel.target not in allowed:
        kind = type(fact).__name__
        yield Finding("G4", fact.at_ms, f"{kind}: {device} got what is for {channel}")
