"""WITHDRAWN: what was recalled, or consumed by another device, comes to nobody any more.

- Once a recall was answered, no push holds the oplog, nor an offer of it; once a consumption is
  stored, a while later.
- A device that has saved the withdrawal does not begin the withdrawn oplog's handler any more.
- In the calm, the app of every device that had begun to handle it is told.
- And what was recalled stays recalled.
"""

from collections.abc import Iterator

from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import WithdrawalReason
from mobilesync.protocol.codes import ResetReason
from mobilesync.sim import history as h
from mobilesync.sim.checkers.census import Install
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger, OplogName, Stored
from mobilesync.sim.checkers.owed import is_owed

TURN_MS = 2_000
"""How long what was read before a consumption may still be written."""

_AGAIN = {*ResetReason} - {ResetReason.TRIMMED, ResetReason.RENAMED}
_Seen = dict[tuple[str, OplogName], int]


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where a withdrawal had no effect."""
    follower = _Follower(ledger)
    for fact in ledger.history:
        yield from follower.follow(fact)
    yield from _check_held(ledger, follower.recalled)
    calm = next((fact for fact in ledger.history if isinstance(fact, h.CalmBegan)), None)
    if calm is not None and isinstance(ledger.history[-1], h.Ended):
        yield from _check_told(ledger, follower, calm)


class _Follower:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._epoch = ledger.epoch
        self._asked: dict[int, h.RecallAsked] = {}
        self.recalled: dict[OplogName, int] = {}
        """When the recall was answered first."""
        self._taken_out: _Seen = {}
        """What the device has saved a withdrawal of."""
        self.begun: _Seen = {}
        """When the install's handler for it was called first."""
        self.told: _Seen = {}

    def follow(self, fact: h.Fact) -> Iterator[Finding]:
        match fact:
            case h.ServerStarted() if fact.lineage:
                self._epoch = fact.lineage[-1]
            case h.Restored():
                # The recall may have come after the backup.
                self.recalled.clear()
            case h.RecallAsked():
                self._asked[fact.call] = fact
            case h.Done() if fact.call in self._asked:
                asked = self._asked[fact.call]
                name = self._ledger.origin(asked.channel, self._epoch, asked.id)
                self.recalled.setdefault(name, fact.at_ms)
            case h.Pushed():
                yield from self._push(fact)
            case _:
                yield from self._follow_device(fact)

    def _push(self, fact: h.Pushed) -> Iterator[Finding]:
        ledger = self._ledger
        for oplog_id, message_id in fact.oplogs:
            name = ledger.origin(fact.channel, self._epoch, oplog_id)
            stored = ledger.stored.get(name)
            root = stored.root if stored is not None else name
            if self.recalled.get(root, fact.at_ms) < fact.at_ms:
                sentence = f"{fact.device} got {name} ({message_id}), which had been recalled"
                yield Finding("WITHDRAWN", fact.at_ms, sentence)
            for withdrawal in ledger.withdrawals.get(name, ()):
                is_old = withdrawal.since_ms < fact.at_ms - TURN_MS
                if is_old and ledger.is_in(withdrawal.name, self._epoch):
                    sentence = f"{fact.device} got {name} ({message_id}), withdrawn by"
                    sentence = f"{sentence} {withdrawal.name}"
                    yield Finding("WITHDRAWN", fact.at_ms, sentence)

    def _follow_device(self, fact: h.Fact) -> Iterator[Finding]:
        match fact:
            case h.Installed():
                for seen in (self._taken_out, self.begun, self.told):
                    _forget(seen, fact.device)
            case h.WasReset() if fact.reason in _AGAIN:
                # A restore may have taken the withdrawal. And what comes again, and waits, is new
                # to the SDK, whatever the app has seen before.
                _forget(self._taken_out, fact.device, fact.channel)
                _forget(self.begun, fact.device, fact.channel)
            case h.Saved():
                for oplog_id in fact.ids:
                    self._save(fact, oplog_id)
            case h.HandlerBegan():
                yield from self._begin(fact)
            case h.ToldWithdrawn():
                for first, last in fact.ranges:
                    for oplog_id in range(first, last + 1):
                        name = self._ledger.origin(fact.channel, fact.epoch, oplog_id)
                        self.told[fact.device, name] = 0

    def _save(self, fact: h.Saved, oplog_id: int) -> None:
        name = self._ledger.origin(fact.channel, fact.epoch, oplog_id)
        stored = self._ledger.stored.get(name)
        for withdrawn in stored.withdraws if stored is not None else ():
            self._taken_out[fact.device, withdrawn] = 0

    def _begin(self, fact: h.HandlerBegan) -> Iterator[Finding]:
        name = self._ledger.origin(fact.channel, fact.epoch or self._epoch, fact.id)
        if (fact.device, name) in self._taken_out:
            sentence = f"{fact.device}: handler called for {name}, which was withdrawn"
            yield Finding("WITHDRAWN", fact.at_ms, sentence)
        self.begun.setdefault((fact.device, name), fact.at_ms)


def _forget(seen: _Seen, device: str, channel: Channel | None = None) -> None:
    for key in [key for key in seen if key[0] == device]:
        if channel in (None, key[1].channel):
            del seen[key]


def _check_held(ledger: Ledger, recalled: dict[OplogName, int]) -> Iterator[Finding]:
    held = {(fact.channel, fact.id): fact for fact in ledger.history if isinstance(fact, h.Held)}
    for name, at_ms in recalled.items():
        here = held.get((name.channel, name.id))
        if here is None or not ledger.is_in(name, ledger.epoch):
            continue
        withdrawn = here.details.withdrawn if here.details is not None else None
        if withdrawn is None:
            yield Finding("WITHDRAWN", at_ms, f"{name} was recalled, and is not any more")


def _check_told(ledger: Ledger, follower: _Follower, calm: h.CalmBegan) -> Iterator[Finding]:
    installs = {install.device: install for install in ledger.census.last_installs()}
    for (device, name), begun_ms in follower.begun.items():
        for withdrawal in ledger.withdrawals.get(name, ()):
            due_ms = max(withdrawal.since_ms, calm.at_ms) + calm.converge_ms
            if due_ms > ledger.end_ms or ledger.may_have_ended(withdrawal, due_ms):
                continue
            if not _is_owed(ledger, installs[device], withdrawal, name):
                continue
            if (device, name) not in follower.told and begun_ms < withdrawal.since_ms:
                sentence = f"{device} was never told that {name} was withdrawn"
                yield Finding("WITHDRAWN", due_ms, sentence)


def _is_owed(ledger: Ledger, install: Install, withdrawal: Stored, name: OplogName) -> bool:
    is_whole = ledger.is_in(withdrawal.name, ledger.epoch) and ledger.is_in(name, ledger.epoch)
    own = withdrawal.why is WithdrawalReason.CONSUMED and withdrawal.by == install.name
    return is_whole and not own and is_owed(ledger, withdrawal, install)
