"""G9's foundation: the service knows how far each device is."""

from mobilesync.domain.channel import Channel
from mobilesync.sim import history as h
from mobilesync.sim.checkers.g9 import check
from mobilesync.sim.checkers.ledger import Ledger
from tests.sim.checkers.told import CHAT, D1, Tale


def findings(own: tuple[int, int], known: tuple[int, int] | None, channel: Channel = CHAT) -> int:
    tale = Tale()
    tale.device(user="ann")
    if known is not None:
        tale.add(h.KnownPoint(tale.now_ms, D1, channel, 1, *known))
    tale.add(h.OwnPoint(tale.now_ms, D1, channel, 1, *own))
    return len(list(check(Ledger(tale.facts))))


def test_they_agree() -> None:
    assert findings((5, 4), (5, 4)) == 0


def test_the_service_is_behind_or_ahead() -> None:
    assert findings((5, 4), (5, 3)) == 1
    assert findings((5, 4), (6, 4)) == 1
    assert findings((5, 4), None) == 1


def test_nothing_received_is_nothing_to_prove() -> None:
    assert findings((0, 0), None) == 0


def test_channels_of_a_user_who_left_are_not_looked_at() -> None:
    assert findings((5, 4), None, CHAT._replace(target="user:bob")) == 0
