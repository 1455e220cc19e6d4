"""WITHHELD: while a rule withholds a channel from a session, nothing of it is pushed there.

The biz is offline; it is for users and nobody is logged in; it asks for a user check, and the app
has not held this very session of this user good; or the user's sync point is shared, and another
device of the user connected later. What a page was judged by a moment ago still leaves: hence the
slack.
"""

from collections.abc import Callable, Iterator

from mobilesync.domain.channel import EVERYONE, is_user_target
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.sim import history as h
from mobilesync.sim.checkers.census import Spell, Wire
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger

TURN_MS = 2_000
"""How long what was read before may still be written."""

_Push = h.Pushed | h.Noticed


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where something was pushed that a rule withholds."""
    follower = _Follower(ledger)
    for order, fact in enumerate(ledger.history):
        match fact:
            case h.UserAsked():
                follower.questions[fact.question] = (order, fact)
            case h.UserJudged() if fact.valid:
                follower.good.append(follower.questions[fact.question])
            case h.Noticed():
                yield from follower.check(order, fact)
            case h.Pushed() if fact.oplogs:
                # One without oplogs only tells what was passed over.
                yield from follower.check(order, fact)


class _Follower:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.questions: dict[int, tuple[int, h.UserAsked]] = {}
        self.good: list[tuple[int, h.UserAsked]] = []
        """Questions that were answered with yes so far, with their orders."""

    def check(self, order: int, fact: _Push) -> Iterator[Finding]:
        wire = self._ledger.census.wires.get(fact.wire)
        spell = wire.spell(order) if wire is not None else None
        if wire is None or spell is None:
            return
        if self._always(fact, spell, lambda rules: rules.status == "offline"):
            yield _finding(fact, "the biz is offline")
        is_for_nobody = fact.channel.target == EVERYONE and not spell.user
        if is_for_nobody and self._always(fact, spell, lambda r: r.target_kind == "user"):
            yield _finding(fact, "nobody is logged in")
        asks = self._always(fact, spell, lambda rules: rules.user_check)
        if asks and not self._is_validated(spell):
            yield _finding(fact, "the user check has not validated the session")
        is_shared = is_user_target(fact.channel.target) and self._always(
            fact, spell, lambda rules: not rules.multi_device
        )
        if is_shared and self._is_overtaken(order, fact, wire, spell):
            yield _finding(fact, "another device of the user connected later")

    def _always(self, fact: _Push, spell: Spell, test: Callable[[SyncConfig], bool]) -> bool:
        # Rules are looked at when a page is pushed, and never ones of before the session.
        begin_ms = max(fact.at_ms - TURN_MS, spell.at_ms)
        return self._ledger.rulebook.always(fact.channel, begin_ms, fact.at_ms, test)

    def _is_validated(self, spell: Spell) -> bool:
        return any(
            order > spell.order and (asked.session, asked.user) == (spell.session, spell.user)
            for order, asked in self.good
        )

    def _is_overtaken(self, order: int, fact: _Push, wire: Wire, spell: Spell) -> bool:
        """Whether a wire that is seen alive later was welcomed for the user a while ago."""
        for other in self._ledger.census.wires.values():
            if other is wire or other.device.partition("/")[0] != fact.channel.app:
                continue
            later = other.spell(order)
            if (
                later is not None
                and later.user == spell.user
                and spell.at_ms < later.asked_ms
                and later.at_ms < fact.at_ms - TURN_MS
                and other.seen_order > order
                and not any(later.order < asked < order for asked in other.asks)
            ):
                return True
        return False


def _finding(fact: _Push, why: str) -> Finding:
    kind = type(fact).__name__
    sentence = f"{kind}: {fact.device} got {fact.channel} on wire {fact.wire}, but {why}"
    return Finding("WITHHELD", fact.at_ms, sentence)
