"""OPERATOR: what an operator was told is done, is done, whatever dies meanwhile.

- A change of rules that was answered is in force until somebody wants another, or a restore.
- A rewinding that was answered has been carried out in the end, unless the device's store or the
  server's was replaced, or its sync point was below the place anyway.
- An offer that was answered is an oplog like any other: G1 and G3 look after it.
"""

from collections.abc import Iterator

from mobilesync.domain.channel import Channel
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
    asked: dict[int, h.RewindAsked] = {}
    waiting: dict[tuple[str, Channel], h.RewindAsked] = {}
    for fact in ledger.history:
        match fact:
            case h.RewindAsked():
                asked[fact.call] = fact
            case h.Done() if fact.call in asked:
                rewind = asked[fact.call]
                waiting[rewind.device, rewind.channel] = rewind
            case h.Restored():
                waiting.clear()
            case h.Installed():
                for key in [key for key in waiting if key[0] == fact.device]:
                    del waiting[key]
            case h.WasReset() if fact.reason != ResetReason.RENAMED:
                waiting.pop((fact.device, fact.channel), None)
    for install in ledger.census.last_installs():
        for (device, channel), rewind in waiting.items():
            if device == install.device and channel.target in install.targets():
                sentence = f"{device} was never rewound in {channel} to {rewind.to}"
                yield Finding("OPERATOR", rewind.at_ms, sentence)
