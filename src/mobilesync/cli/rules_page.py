"""The page of rules: what decides whether a device gets an oplog, from the tables that decide.

Not here: the rules (domain/rules.py, domain/reasons.py).
"""

from collections.abc import Sequence

from mobilesync.domain.reasons import OFFERED_AGAIN, SENTENCES, Reason
from mobilesync.domain.rules import CHANNEL_RULES, OPLOG_RULES

_RANGES = {
    Reason.ELSEWHERE: "the biz is not multi-device, and the ids are up to the user's sync point",
    Reason.OVER_THRESHOLD: (
        "of the backlog that the device found when it connected, or when the biz came online "
        "again, it gets the newest `repush_threshold` that it may see"
    ),
}
"""Rules about ranges of ids (engine/places.py)."""


def rules_page(made: str) -> str:
    """The whole page; `made` is the remark that it is generated."""
    return "\n\n".join(
        (
            f"# Rules\n\n{made}\n\n{_INTRODUCTION}",
            f"## What waits\n\n{_WAITS}\n\n{_channel_rules()}",
            f"## What is passed over\n\n{_PASSED}\n\n{_range_rules()}\n\n{_oplog_rules()}",
            f"## What is offered again\n\n{_OFFERED}\n\n{_offered()}",
            f"## Where an oplog and a device stand\n\n{_STANDS}\n\n{_others()}\n",
        )
    )


def _channel_rules() -> str:
    rows = [
        (f"`{rule.reason.name}`", rule.when, rule.until, SENTENCES[rule.reason])
        for rule in CHANNEL_RULES
    ]
    return _table(("reason", "a channel rests while", "until", "what `explain` says"), rows)


def _oplog_rules() -> str:
    rows = [
        (str(number), f"`{rule.reason.name}`", rule.when, SENTENCES[rule.reason])
        for number, rule in enumerate(OPLOG_RULES, 1)
    ]
    return _table(("", "reason", "an oplog is passed over when", "what `explain` says"), rows)


def _range_rules() -> str:
    rows = [(f"`{reason.name}`", when, SENTENCES[reason]) for reason, when in _RANGES.items()]
    return _table(("reason", "a range of ids is passed over when", "what `explain` says"), rows)


def _offered() -> str:
    return ", ".join(f"`{reason.name}`" for reason in Reason if reason in OFFERED_AGAIN) + "."


def _others() -> str:
    decided = {
        *(rule.reason for rule in CHANNEL_RULES),
        *(rule.reason for rule in OPLOG_RULES),
        *_RANGES,
    }
    rows = [(f"`{reason.name}`", SENTENCES[reason]) for reason in Reason if reason not in decided]
    return _table(("reason", "what `explain` says"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


_INTRODUCTION = """What decides whether a device gets an oplog, and every reason that `mobilesync
explain` can give. The tables are those that the server itself goes by. A push looks at the channel
first, then at each oplog; the first rule that applies is the reason."""

_WAITS = """Nothing of a channel is pushed while one of these applies. It is not lost: it flows, in
order, when the rule no longer applies, unless its validity has ended by then."""

_PASSED = """The device's sync point moves over these, and the journal notes the reason. First
ranges of ids, when a session begins or goes on with a channel; then each oplog by itself, in this
order."""

_OFFERED = """When a device comes back with another version, operating system, attributes or user,
what it was passed over for one of these reasons, is still valid and is for it now, is offered
once:"""

_STANDS = """All other answers of `explain`."""
