"""ONE-POINT: where the sync point is the user's, what one device has got no other one gets.

An ack that the server has taken counts, and so does what a Hello says: a while later no push of the
channel to another device of the user holds an oplog up to there. A server that died may have
forgotten an ack, and a rewinding takes it back; then it counts no more.
"""

from collections.abc import Iterator

from mobilesync.domain.channel import Channel
from mobilesync.sim import history as h
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger

TURN_MS = 2_000
"""How long what was read before may still be written."""

_Acked = tuple[int, int, str]
"""(when, received, device)."""
_Points = tuple[tuple[Channel, int, int], ...]


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where an oplog was pushed that another device of the user had acked."""
    follower = _Follower(ledger)
    for order, fact in enumerate(ledger.history):
        yield from follower.follow(order, fact)


class _Follower:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._epoch = ledger.epoch
        self._acked: dict[Channel, list[_Acked]] = {}
        """In this life of the server."""
        self._said: dict[int, _Points] = {}
        """By wire: what its last Hello or Bind listed."""

    def follow(self, order: int, fact: h.Fact) -> Iterator[Finding]:
        match fact:
            case h.ServerStarted():
                self._epoch = fact.lineage[-1]
                self._acked.clear()
            case h.RewindAsked():
                # From when to when it is carried out nobody knows.
                self._acked.pop(fact.channel, None)
            case h.SaidHello() | h.SaidUser():
                self._said[fact.wire] = fact.points
            case h.Welcomed():
                for channel, epoch, received in self._said.pop(fact.wire, ()):
                    if epoch == self._epoch and channel.target == f"user:{fact.user}":
                        self._note(channel, (fact.at_ms, received, fact.device))
            case h.SaidAck() if self._counts(order, fact):
                self._note(fact.channel, (fact.at_ms, fact.received, fact.device))
            case h.Pushed() if fact.channel in self._acked:
                yield from self._check(fact)

    def _note(self, channel: Channel, acked: _Acked) -> None:
        if self._is_shared(channel, acked[0], acked[0]):
            self._acked.setdefault(channel, []).append(acked)

    def _is_shared(self, channel: Channel, begin_ms: int, end_ms: int) -> bool:
        always = self._ledger.rulebook.always
        return always(channel, begin_ms, end_ms, lambda rules: not rules.multi_device)

    def _counts(self, order: int, fact: h.SaidAck) -> bool:
        """Whether the server takes it as the user's: not while the user changes."""
        wire = self._ledger.census.wires.get(fact.wire)
        spell = wire.spell(order) if wire is not None else None
        if wire is None or spell is None or f"user:{spell.user}" != fact.channel.target:
            return False
        return not any(spell.order < asked < order for asked in wire.asks)

    def _check(self, fact: h.Pushed) -> Iterator[Finding]:
        ledger = self._ledger
        for oplog_id, _ in fact.oplogs:
            stored = ledger.stored.get(ledger.origin(fact.channel, self._epoch, oplog_id))
            if stored is None or not self._is_shared(fact.channel, stored.asked_ms, fact.at_ms):
                continue
            for at_ms, received, device in self._acked[fact.channel]:
                is_old = at_ms < fact.at_ms - TURN_MS
                if device != fact.device and is_old and oplog_id <= received:
                    sentence = f"{fact.channel} {oplog_id} was pushed to {fact.device},"
                    sentence = f"{sentence} but {device} had acked {received}"
                    yield Finding("ONE-POINT", fact.at_ms, sentence)
                    return
