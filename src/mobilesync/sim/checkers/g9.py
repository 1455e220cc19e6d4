"""G9, its foundation: in the end the service knows how far each device is.

Sync points move with acks, which may be lost with a link or a server; Hello says them again. So
once everybody is connected and calm, what the service knows of a device is what the device holds.
Points of users that no longer belong to the device are not looked at.
"""

from collections.abc import Iterator

from mobilesync.domain.channel import EVERYONE, device_target, user_target
from mobilesync.sim import history as h
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where the two disagree."""
    known = {
        (fact.device, fact.channel): (fact.epoch, fact.received, fact.processed)
        for fact in ledger.history
        if isinstance(fact, h.KnownPoint)
    }
    users = {fact.device: fact.user for fact in ledger.history if isinstance(fact, h.LoggedIn)}
    for fact in ledger.history:
        if not isinstance(fact, h.OwnPoint):
            continue
        name = fact.device.partition("/")[2]
        targets = {EVERYONE, device_target(name), user_target(users.get(fact.device, ""))}
        own = (fact.epoch, fact.received, fact.processed)
        service = known.get((fact.device, fact.channel))
        # Nothing received is nothing to prove: a service may forget a channel that it never had.
        if fact.received and fact.channel.target in targets and service != own:
            sentence = f"{fact.device} is at {own} in {fact.channel}, the service knows {service}"
            yield Finding("G9", fact.at_ms, sentence)
