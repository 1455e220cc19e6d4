"""G4: nobody else gets it.

A push or notice on a wire is for its device, for everyone, or for the user of the wire's last
Welcome, within one app; and nothing goes to whom its conditions do not admit. What a device saves
is for the user it belongs to at that time, and what its handlers get is for a user that it has
belonged to.

An offer has the conditions of its origin, and goes to nobody whom those do not admit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mobilesync.domain.channel import EVERYONE, Channel, device_target, user_target
from mobilesync.domain.conditions import Conditions
from mobilesync.domain.rules import Viewer
from mobilesync.sim import history as h
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger


@dataclass(slots=True)
class _Device:
    users: set[str] = field(default_factory=lambda: {""})
    """Whom it may belong to now; two while it switches."""
    users_ever: set[str] = field(default_factory=lambda: {""})


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where G4 is broken."""
    follower = _Follower(ledger)
    for order, fact in enumerate(ledger.history):
        yield from follower.follow(order, fact)


class _Follower:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._conditions = _conditions(ledger)
        self._notices = {call.asked.digest: call.asked.conditions for call in ledger.calls.values()}
        self._devices: dict[str, _Device] = {}

    def follow(self, order: int, fact: h.Fact) -> Iterator[Finding]:
        match fact:
            case h.LoginBegan():
                device = self._device(fact.device)
                device.users.add(fact.user)
                device.users_ever.add(fact.user)
            case h.LoggedIn():
                device = self._device(fact.device)
                device.users = {fact.user}
                device.users_ever.add(fact.user)
            case h.Pushed():
                viewer = self._viewer(order, fact)
                yield from _check_target(fact, fact.device, fact.channel, {viewer.user})
                for _, message_id in fact.oplogs:
                    yield from self._check_conditions(fact, message_id, [viewer])
            case h.Noticed():
                viewer = self._viewer(order, fact)
                yield from _check_target(fact, fact.device, fact.channel, {viewer.user})
                conditions = [self._notices.get(fact.digest, Conditions())]
                yield from _check_admitted(fact, fact.digest, conditions, [viewer])
            case h.Saved():
                users = self._device(fact.device).users
                yield from _check_target(fact, fact.device, fact.channel, users)
            case h.HandlerBegan():
                device = self._device(fact.device)
                yield from _check_target(fact, fact.device, fact.channel, device.users_ever)
                install = self._ledger.census.install(fact.device, order)
                viewers = install.viewers() if install is not None else []
                yield from self._check_conditions(fact, fact.message_id, viewers)

    def _device(self, device: str) -> _Device:
        return self._devices.setdefault(device, _Device())

    def _viewer(self, order: int, fact: h.Pushed | h.Noticed) -> Viewer:
        wire = self._ledger.census.wires.get(fact.wire)
        if wire is None:
            return Viewer(fact.device.partition("/")[2])
        spell = wire.spell(order)
        return wire.viewer(spell.user if spell is not None else "")

    def _check_conditions(
        self, fact: h.Pushed | h.HandlerBegan, message_id: str, seen: Sequence[Viewer]
    ) -> Iterator[Finding]:
        conditions = self._conditions.get((fact.channel, message_id), ())
        yield from _check_admitted(fact, message_id, conditions, seen)


def _conditions(ledger: Ledger) -> dict[tuple[Channel, str], Sequence[Conditions]]:
    """By channel and message id; all of them must admit."""
    found: dict[tuple[Channel, str], Sequence[Conditions]] = {
        (call.asked.channel, call.asked.message_id): [call.asked.conditions]
        for call in ledger.calls.values()
    }
    for name, stored in ledger.stored.items():
        root = ledger.stored.get(stored.root)
        if stored.origin is not None and root is not None:
            found[name.channel, stored.message_id] = [stored.conditions, root.conditions]
    return found


def _check_admitted(
    fact: h.Pushed | h.Noticed | h.HandlerBegan,
    name: str,
    conditions: Sequence[Conditions],
    seen: Sequence[Viewer],
) -> Iterator[Finding]:
    for each in conditions:
        if seen and not any(each.admits(v.attributes, v.user, v.device) for v in seen):
            kind = type(fact).__name__
            sentence = f"{kind}: {fact.device} got {name}, whose conditions it does not fulfil"
            yield Finding("G4", fact.at_ms, sentence)


def _check_target(
    fact: h.Fact, device: str, channel: Channel, users: set[str]
) -> Iterator[Finding]:
    app, _, name = device.partition("/")
    allowed = {EVERYONE, device_target(name), *(user_target(user) for user in users if user)}
    if channel.app != app or channel.target not in allowed:
        kind = type(fact).__name__
        yield Finding("G4", fact.at_ms, f"{kind}: {device} got what is for {channel}")
