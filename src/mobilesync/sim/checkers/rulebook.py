"""The rules of every biz as time went on, and what the app said of its users.

Strategy: a change takes effect in the server at the moment of its fact. Whoever was judged near a
change may have been judged by either: so checkers ask for all rules of a span of time.

Invariant: a biz that nobody defined has the rules that every biz begins with.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from mobilesync.domain.channel import Channel
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.sim import history as h

Test = Callable[[SyncConfig], bool]


class Rulebook:
    """What held when."""

    def __init__(self, history: Sequence[h.Fact]) -> None:
        self._rules: dict[tuple[str, str], list[tuple[int, SyncConfig]]] = {}
        self._held: dict[tuple[str, str], list[tuple[int, bool]]] = {}
        for fact in history:
            match fact:
                case h.BizDefined():
                    spells = self._rules.setdefault((fact.app, fact.biz), [])
                    spells.append((fact.at_ms, _rules_of(fact)))
                case h.UserHeld():
                    held = self._held.setdefault((fact.app, fact.user), [])
                    held.append((fact.at_ms, fact.valid))

    def at(self, channel: Channel, at_ms: int) -> SyncConfig:
        """The rules of the channel's biz at the end of that millisecond."""
        spells = self._rules.get((channel.app, channel.biz), [])
        place = bisect_right(spells, at_ms, key=_when) - 1
        return spells[place][1] if place >= 0 else SyncConfig(biz=channel.biz)

    def between(self, channel: Channel, begin_ms: int, end_ms: int) -> list[SyncConfig]:
        """All rules that held at some time from `begin_ms` to `end_ms`."""
        spells = self._rules.get((channel.app, channel.biz), [])
        # Of those of one millisecond each may have been the one that counted.
        first = bisect_right(spells, begin_ms - 1, key=_when) - 1
        last = bisect_right(spells, end_ms, key=_when)
        found = [rules for _, rules in spells[max(0, first) : last]]
        return found or [self.at(channel, begin_ms)]

    def ever(self, channel: Channel, begin_ms: int, end_ms: int, test: Test) -> bool:
        """Whether rules that pass `test` may have counted."""
        return any(map(test, self.between(channel, begin_ms, end_ms)))

    def always(self, channel: Channel, begin_ms: int, end_ms: int, test: Test) -> bool:
        """Whether only rules that pass `test` can have counted."""
        return all(map(test, self.between(channel, begin_ms, end_ms)))

    def always_good(self, app: str, user: str, begin_ms: int, end_ms: int) -> bool:
        """Whether the app held the user's sessions good all the time."""
        spells = self._held.get((app, user), [])
        first = bisect_right(spells, begin_ms - 1, key=_when) - 1
        last = bisect_right(spells, end_ms, key=_when)
        return all(valid for _, valid in spells[max(0, first) : last])


def _when(spell: tuple[int, object]) -> int:
    return spell[0]


def _rules_of(fact: h.BizDefined) -> SyncConfig:
    if fact.rules is not None:
        return fact.rules
    return SyncConfig(biz=fact.biz, retention_s=fact.retention_s, persistent=fact.persistent)
