"""OPERATOR: what an operator was told is done, is done, whatever dies meanwhile.

- A change of rules that was answered is in force until somebody wants another, or a restore.
- A rewinding that was answered has been carried out in the end, unless the device's store or the
  server's was replaced, or its sync point was below the place anyway.
- An offer that was answered is an oplog like any other: G1 and G3 look after it.
"""

from collections.abc import Callable, Iterator

from mobilesync.domain.channel import Channel, session_targets
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.protocol.codes import ResetReason
from mobilesync.sim import history as h
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where a wish was not fulfilled."""
    yield from _check_rules(ledger)
    if isinstance(ledger.history[-1], h.Ended):
        yield from _check_rewinds(ledger)


def _check_rules(ledger: Ledger) -> Iterator[Finding]:
    wanted: dict[tuple[str, str], list[SyncConfig]] = {}
    """Since the last answer: what may be in force."""
    asked: dict[int, h.RulesAsked] = {}
    for fact in ledger.history:
        match fact:
            case h.RulesAsked():
                asked[fact.call] = fact
                wanted.setdefault((fact.app, fact.rules.biz), []).append(fact.rules)
            case h.Done() if fact.call in asked:
                done = asked[fact.call]
                line = wanted[done.app, done.rules.biz]
                del line[: line.index(done.rules)]
            case h.Restored():
                wanted.clear()
            case h.BizDefined() if fact.rules is not None:
                line = wanted.get((fact.app, fact.biz), [fact.rules])
                if fact.rules not in line:
                    sentence = f"{fact.app}/{fact.biz} has rules that nobody wants any more"
                    yield Finding("OPERATOR", fact.at_ms, sentence)


def _check_rewinds(ledger: Ledger) -> Iterator[Finding]:
    follower = _Rewinds()
    for fact in ledger.history:
        follower.follow(fact)
    for install in ledger.census.last_installs():
        for (device, channel), (rewind, _) in follower.waiting.items():
            if device == install.device and channel.target in install.targets():
                sentence = f"{device} was never rewound in {channel} to {rewind.to}"
                yield Finding("OPERATOR", rewind.at_ms, sentence)


class _Rewinds:
    """What was answered and is not carried out."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[str, Channel], tuple[h.RewindAsked, int]] = {}
        """Each with the sync point that the device had."""
        self._asked: dict[int, h.RewindAsked] = {}
        self._said: dict[int, dict[Channel, int]] = {}
        """By wire: what its last Hello or Bind listed."""

    def follow(self, fact: h.Fact) -> None:
        match fact:
            case h.RewindAsked():
                self._asked[fact.call] = fact
            case h.Done() if fact.call in self._asked and fact.id < fact.before:
                rewind = self._asked[fact.call]
                self.waiting[rewind.device, rewind.channel] = (rewind, fact.before)
            case h.Restored():
                self.waiting.clear()
            case h.Installed():
                self._forget(lambda device, _: device == fact.device)
            case h.WasReset() if fact.reason != ResetReason.RENAMED:
                self.waiting.pop((fact.device, fact.channel), None)
            case h.SaidHello() | h.SaidUser():
                self._said[fact.wire] = {channel: upto for channel, _, upto in fact.points}
            case h.Welcomed():
                self._welcome(fact)

    def _welcome(self, fact: h.Welcomed) -> None:
        """A device that is below its place, because its store is new, gets it all anyway."""
        said = self._said.pop(fact.wire, {})
        targets = session_targets(fact.user, fact.device.partition("/")[2])

        def is_below(device: str, channel: Channel) -> bool:
            before = self.waiting[device, channel][1]
            is_mine = device == fact.device and channel.target in targets
            return is_mine and said.get(channel, 0) < before

        self._forget(is_below)

    def _forget(self, test: Callable[[str, Channel], bool]) -> None:
        for key in [key for key in self.waiting if test(*key)]:
            del self.waiting[key]
