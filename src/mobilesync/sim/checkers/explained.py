"""G9, as an operator sees it: what the service explains of an oplog and a device is true.

Everything is quiet, every device is connected and the oplog is in the store. So it was processed,
or was passed over, or waits for a rule; and each of these is checked against what the device did
and what the rules are.
"""

from collections.abc import Iterator, Sequence

from mobilesync.domain.channel import Channel
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.protocol.codes import ResetReason
from mobilesync.sim import history as h
from mobilesync.sim.checkers.excuses import EXCUSES, Case, is_in_doubt, may
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.journals import Journals
from mobilesync.sim.checkers.ledger import Ledger, OplogName, Stored

_AGAIN = {ResetReason.FUTURE, ResetReason.FOREIGN, ResetReason.REWOUND, ResetReason.RESTORED}


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where an explanation is not true."""
    done, sure = _done(ledger)
    journals = Journals(ledger)
    for fact in ledger.history:
        if not isinstance(fact, h.Explained):
            continue
        name = ledger.origin(fact.channel, ledger.epoch, fact.id)
        key = (fact.device, name)
        reason = Reason(fact.reason)
        if key in sure and reason is not Reason.PROCESSED:
            sentence = f"{fact.device} has processed {name}, the service says {reason.name}"
            yield Finding("G9", fact.at_ms, sentence)
        elif not _is_true(journals, ledger, fact, is_done=key in done):
            sentence = f"the service says {reason.name} of {name} on {fact.device}"
            yield Finding("G9", fact.at_ms, sentence)


_Key = tuple[str, OplogName]


def _done(ledger: Ledger) -> tuple[dict[_Key, None], dict[_Key, None]]:
    """What devices have finished in all their lives; and of what they have saved since their sync
    point was put back last, what they have noted as done."""
    done: dict[_Key, None] = {}
    saved: dict[_Key, None] = {}
    sure: dict[_Key, None] = {}
    for fact in ledger.history:
        match fact:
            case h.Saved():
                names = (ledger.origin(fact.channel, fact.epoch, each) for each in fact.ids)
                saved.update(((fact.device, name), None) for name in names)
            case h.HandlerFinished() | h.Parked() | h.Marked():
                name = ledger.origin(fact.channel, fact.epoch or ledger.epoch, fact.id)
                done[fact.device, name] = None
                if isinstance(fact, h.Marked) and (fact.device, name) in saved:
                    sure[fact.device, name] = None
            case h.Installed():
                _forget((saved, sure), fact.device)
            case h.WasReset() if fact.reason in _AGAIN:
                _forget((saved, sure), fact.device, fact.channel)
            case h.Restored():
                saved, sure = {}, {}
    return done, sure


def _forget(seen: Sequence[dict[_Key, None]], device: str, channel: Channel | None = None) -> None:
    for each in seen:
        for key in [key for key in each if key[0] == device]:
            if channel in (None, key[1].channel):
                del each[key]


def _is_true(journals: Journals, ledger: Ledger, fact: h.Explained, *, is_done: bool) -> bool:
    reason = Reason(fact.reason)
    stored = ledger.stored.get(ledger.origin(fact.channel, ledger.epoch, fact.id))
    if stored is None:
        return True
    word = journals.words(fact.device, fact.channel).get(fact.id)
    if reason is Reason.PROCESSED:
        # What is withdrawn, or withdraws, is done without a call.
        if is_done or stored.withdraws or stored.name in ledger.withdrawals:
            return True
        # A Hello that makes up for a lost ack cannot tell all that was passed over.
        begin_ms = ledger.census.installs[fact.device][-1].at_ms
        is_exact = word is not None and word.ack is not None and word.ack.at_ms >= begin_ms
        is_doubtful = word is not None and not is_exact
        return is_doubtful and is_in_doubt(_case(ledger, fact, stored))
    if reason in EXCUSES:
        return may(_case(ledger, fact, stored), reason)
    rules: SyncConfig = ledger.rulebook.at(fact.channel, ledger.end_ms)
    waits = {
        Reason.USER_CHECK: rules.user_check,
        Reason.NO_USER: rules.target_kind == "user",
        Reason.NOT_NEWEST: not rules.multi_device,
    }
    return waits.get(reason, False)


def _case(ledger: Ledger, fact: h.Explained, stored: Stored) -> Case:
    installs = ledger.census.installs[fact.device]
    viewers = [viewer for install in installs for viewer in install.viewers()]
    return Case(ledger, stored, viewers, 0, ledger.end_ms, ledger.epochs_of(stored))
