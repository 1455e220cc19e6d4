"""G3: an oplog reaches every eligible device that connects within its validity.

Only the calm part of a history obliges: from `CalmBegan` on nothing fails, so whatever was stored,
is still in the store and stays valid for `converge_ms` must have reached the handler of each device
that it is owed (owed.py).
A device that could not get it before must have got it then, at its origin or as an offer: so this
is G5's better half, too.

Where the sync point is the user's, one device must have got it.

And nothing is pushed after its end: that would not be within it. The end is judged when a page is
read, and pages of one turn are written together: hence the slack.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mobilesync.domain.channel import Channel, is_user_target, user_target
from mobilesync.sim import history as h
from mobilesync.sim.checkers.census import Install
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger, OplogName, Stored
from mobilesync.sim.checkers.owed import is_owed

TURN_MS = 2_000
"""How long after an oplog's end its push may still be written."""


@dataclass(slots=True)
class Reach:
    """What has come to one install of a device."""

    messages: set[tuple[Channel, str]] = field(default_factory=set)
    """(channel, message id) of what was handled: a restore may give an oplog another id."""
    roots: set[OplogName] = field(default_factory=set)
    """What was handled, at its origin or as an offer."""
    offered_ms: dict[OplogName, int] = field(default_factory=dict)
    """By root: when the latest of the service's own offers was made that was handled."""
    saved: set[OplogName] = field(default_factory=set)


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where G3 is broken."""
    yield from _check_ended(ledger)
    calm = next((fact for fact in ledger.history if isinstance(fact, h.CalmBegan)), None)
    if calm is None or not isinstance(ledger.history[-1], h.Ended):
        return
    yield from _Debts(ledger, calm).check()


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


class _Debts:
    """What is owed to whom at the end."""

    def __init__(self, ledger: Ledger, calm: h.CalmBegan) -> None:
        self._ledger = ledger
        self._calm = calm
        self._installs = ledger.census.last_installs()
        self._reaches = reaches(ledger)
        self._saved = _ever_saved(ledger)

    def check(self) -> Iterator[Finding]:
        ledger = self._ledger
        for stored in ledger.stored.values():
            due_ms = max(stored.since_ms, self._calm.at_ms) + self._calm.converge_ms
            if due_ms > ledger.end_ms or ledger.may_have_ended(stored, due_ms):
                continue
            if not ledger.is_in(stored.name, ledger.epoch) or self._is_offer(stored):
                continue
            yield from self._check(stored, due_ms)

    def _check(self, stored: Stored, due_ms: int) -> Iterator[Finding]:
        ledger, channel = self._ledger, stored.name.channel
        if is_user_target(channel.target) and ledger.rulebook.ever(
            channel, stored.asked_ms, ledger.end_ms, lambda rules: not rules.multi_device
        ):
            yield from self._check_shared(stored, due_ms)
            return
        for install in self._installs:
            if is_owed(ledger, stored, install) and not self._has(stored, install):
                sentence = f"{stored.name} ({stored.message_id}) never reached {install.device}"
                yield Finding("G3", due_ms, sentence)

    def _check_shared(self, stored: Stored, due_ms: int) -> Iterator[Finding]:
        """With one sync point for the user, somebody must have got it, if all may see it."""
        ledger, channel = self._ledger, stored.name.channel
        if not ledger.rulebook.always(
            channel, stored.asked_ms, ledger.end_ms, lambda rules: not rules.multi_device
        ):
            return
        mine = [each for each in self._installs if user_target(each.user) == channel.target]
        everybody = [
            viewer
            for installs in ledger.census.installs.values()
            for install in installs
            for viewer in install.viewers()
            if install.app == channel.app and user_target(viewer.user) == channel.target
        ]
        newest = [each for each in mine if self._is_newest(each)]
        may_all = all(stored.conditions.admits(v.attributes, v.user, v.device) for v in everybody)
        if not newest or not may_all or stored.name in self._saved:
            return
        install = newest[0]
        if is_owed(ledger, stored, install) and not self._has(stored, install):
            sentence = f"{stored.name} ({stored.message_id}) reached no device of its user"
            yield Finding("G3", due_ms, sentence)

    def _is_newest(self, install: Install) -> bool:
        census = self._ledger.census
        wire = census.last_wire(install.device)
        others = (
            census.last_wire(each.device)
            for each in self._installs
            if each is not install and each.app == install.app and each.user == install.user
        )
        return wire is not None and all(
            other is None or other.spells[-1].order < wire.spells[-1].order for other in others
        )

    def _is_offer(self, stored: Stored) -> bool:
        """Whether it is owed only in place of its origin."""
        return stored.origin is not None and not stored.by_operator

    def _has(self, stored: Stored, install: Install) -> bool:
        reach = self._reaches[install.device]
        if stored.withdraws:
            return stored.name in reach.saved
        if (stored.name.channel, stored.message_id) in reach.messages:
            return True
        if not stored.by_operator:
            return stored.root in reach.roots
        # What the device could not get of an operator's was offered to it again.
        return reach.offered_ms.get(stored.root, -1) >= stored.since_ms


def reaches(ledger: Ledger) -> dict[str, Reach]:
    """What has come to the last install of each device."""
    found: dict[str, Reach] = {}
    for fact in ledger.history:
        match fact:
            case h.Installed():
                found[fact.device] = Reach()
            case h.HandlerFinished() | h.Parked():
                reach = found.setdefault(fact.device, Reach())
                reach.messages.add((fact.channel, fact.message_id))
                name = ledger.origin(fact.channel, fact.epoch or ledger.epoch, fact.id)
                stored = ledger.stored.get(name)
                reach.roots.add(stored.root if stored is not None else name)
                if stored is not None and stored.origin is not None and not stored.by_operator:
                    before_ms = reach.offered_ms.get(stored.root, -1)
                    reach.offered_ms[stored.root] = max(before_ms, stored.since_ms)
            case h.Saved():
                reach = found.setdefault(fact.device, Reach())
                names = (ledger.origin(fact.channel, fact.epoch, each) for each in fact.ids)
                reach.saved.update(names)
    return found


def _ever_saved(ledger: Ledger) -> set[OplogName]:
    """What has come to any install of any device."""
    saved = (fact for fact in ledger.history if isinstance(fact, h.Saved))
    return {
        ledger.origin(fact.channel, fact.epoch, oplog_id) for fact in saved for oplog_id in fact.ids
    }
