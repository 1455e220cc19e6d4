"""The rules that decide what a device gets: two tables, which the pump and `explain` share.

Strategy: a channel that rests under a rule of `CHANNEL_RULES` is not read for the device: what is
in it waits. An oplog that a rule of `OPLOG_RULES` refuses is passed over for good: the device's
sync point moves over it, and the reason goes into the journal. The first rule that applies is the
reason. The page docs/reference/rules.md is made from these tables.

Not here: which ids a device lacks (engine/pump.py), thresholds and points of users, which are about
ranges of ids and not about one oplog (engine/places.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from msgspec import Struct

from mobilesync.domain.channel import EVERYONE, Channel, is_user_target
from mobilesync.domain.conditions import Attributes
from mobilesync.domain.oplog import Oplog, WithdrawalReason
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_config import SyncConfig


class Viewer(Struct, frozen=True):
    """Who an oplog is judged for."""

    device: str
    user: str = ""
    attributes: Attributes = Attributes()
    asks_withdrawals: bool = False
    """Whether its SDK wants to be told what was withdrawn."""
    is_validated: bool = False
    """Whether the app's user check has validated its session."""
    is_newest: bool = True
    """Whether it is the device of its user that connected last."""


class Look(Struct, frozen=True):
    """What else an oplog is judged by."""

    now_ms: int
    newer: Sequence[Oplog] = ()
    """Newer oplogs of the same key, newest first."""
    is_offered: bool = False
    """Whether it offers again what the device gets, or got, at its origin."""


@dataclass(frozen=True, slots=True)
class OplogRule:
    """Passes over an oplog that `applies`."""

    reason: Reason
    when: str
    applies: Callable[[Oplog, Viewer, Look], bool]


@dataclass(frozen=True, slots=True)
class ChannelRule:
    """Withholds a channel to which it `applies`."""

    reason: Reason
    when: str
    until: str
    applies: Callable[[SyncConfig, Channel, Viewer], bool]


def refusal(oplog: Oplog, viewer: Viewer, look: Look) -> Reason | None:
    """Why `viewer` must not get `oplog` now; None when nothing speaks against it."""
    for rule in OPLOG_RULES:
        if rule.applies(oplog, viewer, look):
            return rule.reason
    return None


def withheld(config: SyncConfig | None, channel: Channel, viewer: Viewer) -> Reason | None:
    """Why nothing of `channel` may be pushed to `viewer` now; None when it may.

    Without a config the biz was removed: what it left behind is pushed until it ends.
    """
    if config is None:
        return None
    for rule in CHANNEL_RULES:
        if rule.applies(config, channel, viewer):
            return rule.reason
    return None


def is_plain(oplog: Oplog) -> bool:
    """Whether only its end can keep the oplog from a device."""
    return oplog.conditions is None and oplog.details is None


def _is_withdrawn(reason: WithdrawalReason, oplog: Oplog, _viewer: Viewer, _look: Look) -> bool:
    withdrawn = oplog.withdrawn
    return withdrawn is not None and withdrawn.reason is reason


def _is_not_asked(oplog: Oplog, viewer: Viewer, _look: Look) -> bool:
    withdraws = oplog.details.withdraws if oplog.details is not None else None
    if withdraws is None:
        return False
    return not viewer.asks_withdrawals or (bool(withdraws.by) and withdraws.by == viewer.device)


def _has_ended(oplog: Oplog, _viewer: Viewer, look: Look) -> bool:
    return look.now_ms >= oplog.expires_at_ms


def _is_refused(reason: Reason, oplog: Oplog, viewer: Viewer, _look: Look) -> bool:
    conditions = oplog.conditions
    if conditions is None:
        return False
    return conditions.refusal(viewer.attributes, viewer.user, viewer.device) is reason


def _is_superseded(_oplog: Oplog, viewer: Viewer, look: Look) -> bool:
    return any(_replaces(newer, viewer) for newer in look.newer)


def _replaces(newer: Oplog, viewer: Viewer) -> bool:
    """Whether `viewer` gets, or would have got, `newer`. One that has ended still replaces: the
    older value is no truer for that."""
    if newer.withdrawn is not None and newer.withdrawn.reason is WithdrawalReason.RECALLED:
        return False
    conditions = newer.conditions
    return conditions is None or conditions.admits(viewer.attributes, viewer.user, viewer.device)


def _is_offered(_oplog: Oplog, _viewer: Viewer, look: Look) -> bool:
    return look.is_offered


OPLOG_RULES: tuple[OplogRule, ...] = (
    OplogRule(
        Reason.RECALLED,
        "the oplog was recalled before it was pushed to the device",
        partial(_is_withdrawn, WithdrawalReason.RECALLED),
    ),
    OplogRule(
        Reason.CONSUMED,
        "the biz is consumed by one device, and another device of the user has processed it",
        partial(_is_withdrawn, WithdrawalReason.CONSUMED),
    ),
    OplogRule(
        Reason.NOT_ASKED,
        "it withdraws other oplogs, and the device's SDK does not ask for that, or the device "
        "itself has processed them",
        _is_not_asked,
    ),
    OplogRule(
        Reason.EXPIRED, "its validity, or the biz's retention, ended before its push", _has_ended
    ),
    OplogRule(
        Reason.OTHER_DEVICE,
        "it offers an oplog again to one device of the user, and this is another",
        partial(_is_refused, Reason.OTHER_DEVICE),
    ),
    OplogRule(
        Reason.AUDIENCE,
        "it names users, or a range of user numbers, and the user on the device is none of them",
        partial(_is_refused, Reason.AUDIENCE),
    ),
    OplogRule(
        Reason.OS,
        "it names operating systems, and the device's is none of them, or not known",
        partial(_is_refused, Reason.OS),
    ),
    OplogRule(
        Reason.VERSION,
        "the app's version is below app_version_min or above app_version_max, compared as versions",
        partial(_is_refused, Reason.VERSION),
    ),
    OplogRule(
        Reason.ATTRIBUTES,
        "it names custom attributes, and one of the device's has none of the values",
        partial(_is_refused, Reason.ATTRIBUTES),
    ),
    OplogRule(
        Reason.ROLLOUT,
        "it is for a share of the devices, and the hash of (salt, device id) is outside it",
        partial(_is_refused, Reason.ROLLOUT),
    ),
    OplogRule(
        Reason.SUPERSEDED,
        "it has a key, and the channel holds a newer oplog of that key that the device may see and "
        "that was not recalled",
        _is_superseded,
    ),
    OplogRule(
        Reason.OFFERED,
        "it offers again what the device gets, or got, at its origin",
        _is_offered,
    ),
)

CHANNEL_RULES: tuple[ChannelRule, ...] = (
    ChannelRule(
        Reason.CONFIG_OFFLINE,
        "the biz is offline",
        "it is online again",
        lambda config, _channel, _viewer: config.status == "offline",
    ),
    ChannelRule(
        Reason.NO_USER,
        "the channel is `everyone`, the biz is for users, and nobody is logged in",
        "somebody logs in",
        lambda config, channel, viewer: (
            config.target_kind == "user" and channel.target == EVERYONE and not viewer.user
        ),
    ),
    ChannelRule(
        Reason.USER_CHECK,
        "the biz asks for a user check, and the device's session is not validated",
        "the app's callback validates the session",
        lambda config, _channel, viewer: config.user_check and not viewer.is_validated,
    ),
    ChannelRule(
        Reason.NOT_NEWEST,
        "the user's sync point is shared, and another device of the user connected later",
        "that device is gone",
        lambda config, channel, viewer: (
            config.has_user_points and is_user_target(channel.target) and not viewer.is_newest
        ),
    ),
)
