"""G3: an oplog reaches every eligible device that connects within its validity.

Only the calm part of a history obliges: from `CalmBegan` on nothing fails, so whatever was
answered, is still in the store and stays valid for `converge_ms` must have reached the handler of
each device that it is for. And nothing is pushed after its end: that would not be within it. The
end is judged when a page is read, and pages of one turn are written together: hence the slack.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mobilesync.domain.channel import EVERYONE, Channel, device_target, user_target
from mobilesync.domain.conditions import Attributes
from mobilesync.sim import history as h
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger, Stored, admits

TURN_MS = 2_000
"""How long after an oplog's end its push may still be written."""


@dataclass(slots=True)
class _Device:
    app: str
    name: str
    user: str = ""
    attributes: list[Attributes] = field(default_factory=list)
    reached: set[tuple[Channel, str]] = field(default_factory=set)
    """(channel, message id): a restore may give an oplog another id."""

    def targets(self) -> set[str]:
        mine = {device_target(self.name), EVERYONE}
        return mine | {user_target(self.user)} if self.user else mine


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where G3 is broken."""
    yield from _check_ended(ledger)
    calm = next((fact for fact in ledger.history if isinstance(fact, h.CalmBegan)), None)
    if calm is None or not isinstance(ledger.history[-1], h.Ended):
        return
    devices = _devices(ledger)
    for stored in ledger.stored.values():
        due_ms = max(stored.answered_ms, calm.at_ms) + calm.converge_ms
        if due_ms > ledger.end_ms or ledger.may_have_ended(stored, due_ms):
            continue
        if not ledger.is_in(stored.name, ledger.epoch):
            continue
        for device in devices:
            if _is_for(stored, device) and not _has(stored, device):
                sentence = f"{stored.name} ({stored.message_id}) never reached {device.app}/"
                yield Finding("G3", due_ms, sentence + device.name)


def _check_ended(ledger: Ledger) -> Iterator[Finding]:
    valid_until_ms = {
        (call.asked.channel, call.asked.message_id): call.asked.valid_until_ms
        for call in ledger.calls.values()
        if call.asked.valid_until_ms
    }
    for fact in ledger.history:
        if not isinstance(fact, h.Pushed):
            continue
        for oplog_id, message_id in fact.oplogs:
            until_ms = valid_until_ms.get((fact.channel, message_id))
            earliest_ms = ledger.earliest_wall_ms(fact.at_ms - TURN_MS, fact.at_ms)
            if until_ms is not None and earliest_ms > until_ms:
                sentence = f"{fact.channel} {oplog_id} was pushed to {fact.device} after its end"
                yield Finding("G3", fact.at_ms, sentence)


def _devices(ledger: Ledger) -> list[_Device]:
    devices: dict[str, _Device] = {}
    for fact in ledger.history:
        match fact:
            case h.Installed():
                app, name = fact.device.split("/", 1)
                user = devices[fact.device].user if fact.device in devices else ""
                devices[fact.device] = _Device(app, name, user)
            case h.DeviceStarted():
                attributes = Attributes(fact.os, fact.app_version)
                devices[fact.device].attributes.append(attributes)
            case h.LoggedIn():
                devices[fact.device].user = fact.user
            case h.HandlerFinished() | h.Parked():
                devices[fact.device].reached.add((fact.channel, fact.message_id))
    return list(devices.values())


def _is_for(stored: Stored, device: _Device) -> bool:
    channel = stored.name.channel
    if channel.app != device.app or channel.target not in device.targets():
        return False
    return bool(device.attributes) and admits(stored.conditions, device.attributes)


def _has(stored: Stored, device: _Device) -> bool:
    return (stored.name.channel, stored.message_id) in device.reached
