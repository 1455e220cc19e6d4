"""G5: what a device could not get because of what it was, it gets once when it has changed.

That it gets it is G3's better half (g3.py). Here: it gets it *once*. In one life of its store, a
device's handlers finish a call for an oplog at its origin, or for one offer of it, and for no more;
but for what an operator wanted (an offer, a rewinding), for a user of its own (an oplog that names
users is offered to each of them), and after a restore, which forgets what was offered.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mobilesync.domain.channel import Channel, is_user_target
from mobilesync.protocol.codes import ResetReason
from mobilesync.sim import history as h
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger, OplogName

_AGAIN = {ResetReason.FUTURE, ResetReason.FOREIGN, ResetReason.REWOUND}


@dataclass(slots=True)
class _Install:
    done: dict[OplogName, list[OplogName]] = field(default_factory=dict)
    """By root: what was finished of it, without repeats of one and the same."""
    restarted: set[Channel] = field(default_factory=set)
    """Where a reset has brought some again."""


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where a device got something twice, at its origin and as an offer."""
    installs: dict[str, _Install] = {}
    epoch = 0
    for fact in ledger.history:
        match fact:
            case h.ServerStarted() if fact.lineage:
                epoch = fact.lineage[-1]
            case h.Restored():
                installs.clear()
            case h.Installed():
                installs[fact.device] = _Install()
            case h.WasReset() if fact.reason in _AGAIN:
                installs.setdefault(fact.device, _Install()).restarted.add(fact.channel)
            case h.HandlerFinished():
                install = installs.setdefault(fact.device, _Install())
                name = ledger.origin(fact.channel, fact.epoch or epoch, fact.id)
                yield from _note(ledger, install, fact, name)


def _note(
    ledger: Ledger, install: _Install, fact: h.HandlerFinished, name: OplogName
) -> Iterator[Finding]:
    stored = ledger.stored.get(name)
    if stored is None or stored.by_operator:
        return
    done = install.done.setdefault(stored.root, [])
    if name in done:
        # A repeat of the same call is G2's.
        return
    done.append(name)
    others = [each for each in done if not _is_anew(install, each, name)]
    if len(others) > 1:
        twice = " and ".join(str(each) for each in others)
        sentence = f"{fact.device} got {stored.root} as {twice}"
        yield Finding("G5", fact.at_ms, sentence)


def _is_anew(install: _Install, one: OplogName, two: OplogName) -> bool:
    """Whether it is right that both came."""
    if one.channel in install.restarted or two.channel in install.restarted:
        return one != two
    targets = one.channel.target, two.channel.target
    # An offer to another user of the device.
    return targets[0] != targets[1] and all(map(is_user_target, targets))
