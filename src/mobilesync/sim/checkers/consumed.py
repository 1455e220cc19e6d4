"""CONSUMED: in a biz that is consumed by one, what a device of the user has processed is withdrawn.

Only the calm obliges: an oplog that the service knows to be processed by a device that was given
it, and that was for all of the user's time consumed by one, is withdrawn in the end. And nothing is
withdrawn as consumed that its device was not given, as far as the service could know.
"""

from collections.abc import Iterator

from mobilesync.domain.channel import Channel, is_user_target
from mobilesync.domain.oplog import WithdrawalReason
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.sim import history as h
from mobilesync.sim.checkers.excuses import is_in_doubt
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.journals import Journals
from mobilesync.sim.checkers.ledger import Ledger, OplogName, Stored


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where too little or too much was withdrawn."""
    given = _given(ledger)
    yield from _check_too_much(ledger, given)
    calm = next((fact for fact in ledger.history if isinstance(fact, h.CalmBegan)), None)
    if calm is not None and isinstance(ledger.history[-1], h.Ended):
        yield from _check_too_little(ledger, given)


def _given(ledger: Ledger) -> dict[str, set[OplogName]]:
    """What each device has saved, in all its lives."""
    found: dict[str, set[OplogName]] = {}
    for fact in ledger.history:
        if isinstance(fact, h.Saved):
            names = (ledger.origin(fact.channel, fact.epoch, each) for each in fact.ids)
            found.setdefault(fact.device, set()).update(names)
    return found


def _check_too_much(ledger: Ledger, given: dict[str, set[OplogName]]) -> Iterator[Finding]:
    for stored in ledger.stored.values():
        if stored.why is not WithdrawalReason.CONSUMED:
            continue
        device = f"{stored.name.channel.app}/{stored.by}"
        for name in stored.withdraws:
            # An ack that was lost, and is made up for by a Hello, says less.
            is_sure = ledger.was_acked(device, name, stored.since_ms)
            if is_sure and name not in given.get(device, set()):
                sentence = f"{name} was withdrawn as consumed by {device}, which never had it"
                yield Finding("CONSUMED", stored.since_ms, sentence)


def _check_too_little(ledger: Ledger, given: dict[str, set[OplogName]]) -> Iterator[Finding]:
    journals = Journals(ledger)
    rewound = {
        (fact.device, fact.channel) for fact in ledger.history if isinstance(fact, h.RewindAsked)
    }
    for point in ledger.history:
        if not isinstance(point, h.KnownPoint) or not is_user_target(point.channel.target):
            continue
        # What waited on a device that was rewound may have been passed over in the new lap.
        is_known = point.device in ledger.census.installs and point.epoch == ledger.epoch
        if not is_known or (point.device, point.channel) in rewound:
            continue
        for stored in ledger.line(point.channel, ledger.epoch):
            name = stored.name
            if name.id > point.processed or name not in given.get(point.device, set()):
                continue
            if _is_to_be_withdrawn(ledger, journals, point, stored):
                sentence = f"{point.device} has processed {name}, which was not withdrawn"
                yield Finding("CONSUMED", point.at_ms, sentence)


def _is_to_be_withdrawn(
    ledger: Ledger, journals: Journals, point: h.KnownPoint, stored: Stored
) -> bool:
    if stored.withdraws or stored.name in ledger.withdrawals:
        return False
    if ledger.may_have_ended(stored, ledger.end_ms):
        return False
    if not _always_one(ledger, point.channel, stored.asked_ms):
        return False
    word = journals.words(point.device, point.channel).get(stored.name.id)
    if word is None or word.reason:
        return False
    return word.ack is not None or not is_in_doubt(journals.case(point.device, stored, word))


def _always_one(ledger: Ledger, channel: Channel, begin_ms: int) -> bool:
    def is_one(rules: SyncConfig) -> bool:
        return rules.consumed_by == "one"

    return ledger.rulebook.always(channel, begin_ms, ledger.end_ms, is_one)
