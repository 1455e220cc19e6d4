"""What `explain` says to people: the sentence of a reason, and the facts that it is about.

Strategy: a table from reason to what its details say in a few words, such as `1.8 < 2.0`. Details
that are missing leave the bare sentence: it is true without them.

Not here: which reason it is (explain.py), the bare sentences (domain/reasons.py).
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from mobilesync.domain.app_version import AppVersion
from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.reasons import SENTENCES, Reason

NAMES_SHOWN = 5
"""Of a list: the rest is counted."""

Details = Mapping[str, Any]


def sentence(reason: Reason, details: Details) -> str:
    """The sentence of `reason`, with what `details` add to it."""
    said: list[str] = []
    if details.get("changed"):
        said.append("the device has changed since")
    elif reason in _FACTS:
        needed, facts = _FACTS[reason]
        said.append(facts(details) if details.get(needed) is not None else "")
    if details.get("offered_id"):
        said.append(f"offered again as #{details['offered_id']} of {details['offered_target']}")
    if details.get("put_back"):
        said.append("the device had it before, and its sync point was put back")
    told = "; ".join(each for each in said if each)
    return f"{SENTENCES[reason]}: {told}" if told else SENTENCES[reason]


def moment(at_ms: int) -> str:
    """A time as people read it."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _os(details: Details) -> str:
    return f"{details.get('os') or 'none said'}; it is for {_listed(details['admitted'])}"


def _version(details: Details) -> str:
    said, low, high = (
        str(details.get(name) or "")
        for name in ("app_version", "app_version_min", "app_version_max")
    )
    try:
        version = AppVersion(said)
    except InvalidRequest:
        bounds = " and ".join(b for b in (low and f"≥ {low}", high and f"≤ {high}") if b)
        return f"{said or 'none said'}; it must be {bounds}"
    return f"{said} < {low}" if low and version < AppVersion(low) else f"{said} > {high}"


def _attributes(details: Details) -> str:
    value = details.get("value")
    said = f"is {value}" if value is not None else "is not said"
    return f"{details.get('attribute')} {said}; it is for {_listed(details['admitted'])}"


def _audience(details: Details) -> str:
    return f"user {details['user']}" if details["user"] else "nobody is logged in"


def _rollout(details: Details) -> str:
    return f"{details['percent']:g} % by the salt {details.get('salt')}"


def _threshold(details: Details) -> str:
    return f"only the newest {details['repush_threshold']} were pushed"


def _withdrawn(details: Details) -> str:
    by = f" by {details['device']}" if details.get("device") else ""
    return f"#{details['by_id']} withdrew it at {moment(details.get('withdrawn_at_ms', 0))}{by}"


def _origin(details: Details) -> str:
    return f"#{details['origin_id']} of {details.get('origin_target')}"


def _wrong_user(details: Details) -> str:
    there = f"user:{details['user']}" if details.get("user") else "nobody"
    return f"{details['target']}; logged in there is {there}"


def _offline(details: Details) -> str:
    if details["since_ms"]:
        return f"since {moment(details['since_ms'])}"
    if details.get("last_connected_ms"):
        return f"it connected last at {moment(details['last_connected_ms'])}"
    return ""


def _waits(details: Details) -> str:
    behind = f"behind #{details['behind']}, " if details.get("behind") else ""
    return f"{behind}since {moment(details['since_ms'])}"


def _queued(details: Details) -> str:
    count = details["under_way"]
    return f"{count} oplogs are on their way" if count else ""


def _at(name: str, words: str) -> tuple[str, Callable[[Details], str]]:
    """A detail that is a time."""
    return name, lambda details: f"{words} {moment(details[name])}" if details[name] else ""


def _is(name: str, words: str = "") -> tuple[str, Callable[[Details], str]]:
    """A detail that speaks for itself."""
    return name, lambda details: f"{words}{details[name]}" if details[name] else ""


def _listed(names: Any) -> str:
    shown = [str(name) for name in names[:NAMES_SHOWN]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


_FACTS: dict[Reason, tuple[str, Callable[[Details], str]]] = {
    Reason.OS: ("admitted", _os),
    Reason.VERSION: ("app_version", _version),
    Reason.ATTRIBUTES: ("admitted", _attributes),
    Reason.AUDIENCE: ("user", _audience),
    Reason.ROLLOUT: ("percent", _rollout),
    Reason.OTHER_DEVICE: _is("device"),
    Reason.EXPIRED: _at("expired_at_ms", "at"),
    Reason.SUPERSEDED: _is("superseded_by", "superseded by #"),
    Reason.OVER_THRESHOLD: ("repush_threshold", _threshold),
    Reason.RECALLED: ("by_id", _withdrawn),
    Reason.CONSUMED: ("by_id", _withdrawn),
    Reason.ELSEWHERE: ("devices", lambda details: _listed(details["devices"])),
    Reason.OFFERED: ("origin_id", _origin),
    Reason.NO_SUCH_OPLOG: _is("last", "the last one is #"),
    Reason.SCHEDULED: _at("due_ms", "due at"),
    Reason.WRONG_USER: ("target", _wrong_user),
    Reason.WRONG_DEVICE: _is("target"),
    Reason.OFFLINE: ("since_ms", _offline),
    Reason.QUEUED: ("under_way", _queued),
    Reason.SENT: _at("sent_at_ms", "at"),
    Reason.NO_HANDLER: ("since_ms", _waits),
    Reason.HANDLER_FAILED: ("since_ms", _waits),
    Reason.PROCESSING: ("since_ms", _waits),
    Reason.PROCESSED: _at("processed_at_ms", "at"),
}
"""What a detail must be there for, and what is said of it."""
