"""Whether an oplog must have come to a device by the end of a calm history.

It is for the device as that is at the end, no rule excuses it (excuses.py), and none withholds its
biz from the device then. What is not certain is not owed.

After a restore the store has forgotten what a device was refused. What it was since, it can find
out by asking what the device is when it comes back: so of what the device was refused earlier only
that is owed which it would have been refused then, too.
"""

from mobilesync.domain.channel import EVERYONE, Channel
from mobilesync.domain.reasons import OFFERED_AGAIN, Reason
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.sim.checkers.census import Install
from mobilesync.sim.checkers.excuses import EXCUSES, Case, may
from mobilesync.sim.checkers.ledger import Ledger, Stored

_OF_CONDITIONS = {*OFFERED_AGAIN, Reason.ROLLOUT, Reason.OTHER_DEVICE}


def is_owed(ledger: Ledger, stored: Stored, install: Install) -> bool:
    """Whether the device must have got the oplog, or an offer of it."""
    channel = stored.name.channel
    if channel.app != install.app or channel.target not in install.targets():
        return False
    viewer = install.last_viewer()
    if not stored.conditions.admits(viewer.attributes, viewer.user, viewer.device):
        return False
    if not _is_open(ledger, channel, install):
        return False
    # Whom it was passed over for may have been what the device is no longer.
    epochs = ledger.epochs_of(stored)
    case = Case(ledger, stored, install.viewers(), install.at_ms, ledger.end_ms, epochs)
    if any(may(case, reason) for reason in EXCUSES if reason not in _OF_CONDITIONS):
        return False
    return not _is_forgotten(ledger, stored, install)


def _is_open(ledger: Ledger, channel: Channel, install: Install) -> bool:
    """Whether certainly no rule withholds the channel from the device at the end."""
    rules: SyncConfig = ledger.rulebook.at(channel, ledger.end_ms)
    if rules.status == "offline":
        return False
    if rules.target_kind == "user" and channel.target == EVERYONE and not install.user:
        return False
    return not rules.user_check or _is_good(ledger, install)


def _is_good(ledger: Ledger, install: Install) -> bool:
    """Whether the app must have validated the device's session."""
    wire = ledger.census.last_wire(install.device)
    if wire is None or not install.user:
        return False
    begin_ms = wire.spells[-1].at_ms
    return ledger.rulebook.always_good(install.app, install.user, begin_ms, ledger.end_ms)


def _is_forgotten(ledger: Ledger, stored: Stored, install: Install) -> bool:
    """Whether a restore may have taken the evidence that the device was refused the oplog."""
    if not any(at_ms >= install.at_ms for at_ms in ledger.restored_ms):
        return False
    conditions = stored.conditions
    until = ledger.census.first_hello(install.device, ledger.restored_ms[-1])
    refused = [
        not conditions.admits(v.attributes, v.user, v.device) for v in install.viewers(until)
    ]
    return any(refused) and not all(refused)
