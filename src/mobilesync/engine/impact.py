"""What a change of sync configs means for people, in sentences.

Strategy: one row for each rule says what its new value does; figures come from facts that are
cheap to have: the living sessions, which are in memory, and the heads of everyone's channels, which
is one prefix scan. Nothing is estimated, and no channel of a user or a device is read.

Not here: which rules differ (domain/config_change.py), what the rules do (the pump, the publisher).
"""

from collections import Counter
from collections.abc import Callable, Mapping

from msgspec import Struct

from mobilesync.domain.channel import EVERYONE
from mobilesync.domain.config_change import ConfigChange, RuleValue, own_rules
from mobilesync.domain.sync_point import Head
from mobilesync.engine.sessions import Sessions
from mobilesync.storage.contract import Store

_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"))


class Facts(Struct, frozen=True):
    """What is so on the server, now."""

    sessions: int = 0
    """Living sessions of the app."""
    logged_in: int = 0
    """Those with a user."""
    validated: int = 0
    """Those that the app's user check has validated."""
    users_with_several: int = 0
    """Users with more than one of them."""
    everyone: Mapping[str, Head] = {}
    """The heads of everyone's channels, by biz."""
    creates_on_first_use: bool = False


async def facts_of(
    app: str, sessions: Sessions, store: Store, *, creates_on_first_use: bool
) -> Facts:
    """The facts of one app. Raises StoreUnavailable."""
    heads = await store.heads(app, [EVERYONE])
    mine = [session for session in sessions.slice(0, 1) if session.app == app]
    users = Counter(session.user for session in mine if session.user)
    return Facts(
        sessions=len(mine),
        logged_in=users.total(),
        validated=sum(session.viewer.is_validated for session in mine),
        users_with_several=sum(count > 1 for count in users.values()),
        everyone={channel.biz: head for channel, head in heads.items()},
        creates_on_first_use=creates_on_first_use,
    )


def impact(change: ConfigChange, facts: Facts) -> list[str]:
    """Sentences for `change`, the one about the whole biz first."""
    if change.action == "none":
        return []
    if change.action == "remove":
        return [_removed(facts)]
    sentences: list[str] = []
    assert change.after is not None
    if change.action == "create":
        sentences.append(_created(change.biz, facts))
        named = {
            rule: f"{rule} {shown(rule, new)}" for rule, new in own_rules(change.after).items()
        }
    else:
        named = {
            each.rule: f"{each.rule} {shown(each.rule, each.before)} → "
            f"{shown(each.rule, each.after)}"
            for each in change.rules
        }
    for rule, row in _ROWS.items():
        if rule in named:
            said = row(getattr(change.after, rule), facts, change.biz)
            sentences.append(f"{named[rule]}: {said}")
    return sentences


def shown(rule: str, value: RuleValue | None) -> str:
    """A rule's value as people write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if rule == "retention_s" and isinstance(value, int):
        return _span(value)
    return str(value)


def _span(seconds: int) -> str:
    for unit_s, unit in _SPANS:
        if seconds and seconds % unit_s == 0:
            return f"{seconds // unit_s} {unit}"
    return f"{seconds} s"


def _count(number: int, one: str) -> str:
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def _living(facts: Facts) -> str:
    return _count(facts.sessions, "living session")


def _created(biz: str, facts: Facts) -> str:
    head = facts.everyone.get(biz)
    if head is None:
        return "created: publishes to it are taken from now on"
    return (
        "created: publishes to it are taken from now on; it was there before, and its channels "
        f"go on (that of everyone after {head.last})"
    )


def _removed(facts: Facts) -> str:
    sentence = "removed: publishes are refused; what is stored ends with its retention"
    if facts.creates_on_first_use:
        sentence = (
            "removed: what is stored ends with its retention; this server creates bizzes on first "
            "use, so the next publish brings it back with the default rules"
        )
    return sentence


def _scope(value: RuleValue, facts: Facts, biz: str) -> str:
    if value == "any":
        return "publishes to everyone, and to single users and devices, are taken from now on"
    if value == "global":
        return (
            "publishes to single users and devices are refused from now on; what their channels "
            "hold is pushed until it ends"
        )
    sentence = "publishes to everyone are refused from now on"
    head = facts.everyone.get(biz)
    if head is not None and head.last > head.trimmed:
        sentence += f"; what everyone's channel holds, up to {head.last}, is pushed until it ends"
    return sentence


def _target_kind(value: RuleValue, facts: Facts, _biz: str) -> str:
    if value == "user":
        return (
            "publishes to single devices are refused from now on; everyone means whoever is "
            f"logged in: {facts.logged_in} of {_living(facts)}"
        )
    if value == "device":
        return (
            "publishes to single users are refused from now on; everyone means each device, "
            "logged in or not"
        )
    return (
        "publishes to single users and to single devices are taken from now on; everyone means "
        "each device, logged in or not"
    )


def _multi_device(value: RuleValue, facts: Facts, _biz: str) -> str:
    several = f"{_count(facts.users_with_several, 'user')} with several living sessions"
    if value:
        return f"each device of a user has its own sync point, and gets what is new; now {several}"
    return (
        "the devices of a user share one sync point, and only the one that connected last gets "
        f"what is new; now {several}"
    )


def _consumed_by(value: RuleValue, _facts: Facts, _biz: str) -> str:
    if value == "one":
        return "what one device of a user has processed is withdrawn from the user's others"
    return "what one device of a user has processed stays on the user's others"


def _persistent(value: RuleValue, facts: Facts, _biz: str) -> str:
    if value:
        return "oplogs published from now on are stored, and pushed to who comes later, too"
    return (
        "oplogs published from now on go to who is online, and are kept for nobody; what is "
        f"stored is pushed until it ends; now {_living(facts)}"
    )


def _retention(_value: RuleValue, _facts: Facts, _biz: str) -> str:
    return "holds for oplogs published from now on; stored ones keep their end"


def _repush_threshold(value: RuleValue, _facts: Facts, _biz: str) -> str:
    if value:
        return (
            f"a device that connects gets only the newest {value} of a longer backlog, and never "
            "the rest"
        )
    return "a device that connects gets its whole backlog"


def _user_check(value: RuleValue, facts: Facts, _biz: str) -> str:
    if value:
        return (
            "withheld, not lost, for sessions that the app's callback has not validated: it has "
            f"{facts.validated} of {_living(facts)}"
        )
    return (
        "what was withheld for sessions that are not validated is pushed; validated are "
        f"{facts.validated} of {_living(facts)}"
    )


def _status(value: RuleValue, facts: Facts, _biz: str) -> str:
    if value == "offline":
        return (
            f"publishes are refused, and the backlog of {_living(facts)} is withheld until it is "
            "online again"
        )
    return f"publishes are taken, and what was withheld is pushed; now {_living(facts)}"


def _priority(_value: RuleValue, _facts: Facts, _biz: str) -> str:
    return (
        "while a device catches up, bizzes with a higher priority go first; the order inside a "
        "channel stays"
    )


_ROWS: dict[str, Callable[[RuleValue, Facts, str], str]] = {
    "status": _status,
    "scope": _scope,
    "target_kind": _target_kind,
    "multi_device": _multi_device,
    "consumed_by": _consumed_by,
    "persistent": _persistent,
    "retention_s": _retention,
    "repush_threshold": _repush_threshold,
    "user_check": _user_check,
    "priority": _priority,
}
"""What the new value of a rule does, by rule. A description does nothing."""
