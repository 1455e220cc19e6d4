"""G6: heartbeats alone."""

from mobilesync.sim import history as h
from mobilesync.sim.checkers.g6 import check
from mobilesync.sim.checkers.ledger import Ledger
from tests.sim.checkers.told import D1, Tale

BEAT_MS = 10_000


def quiet(frames: list[tuple[bool, str]], every_ms: int = BEAT_MS) -> list[str]:
    tale = Tale()
    tale.add(h.QuietBegan(tale.now_ms, BEAT_MS))
    for by_server, kind in frames:
        tale.wait(every_ms)
        tale.add(h.Framed(tale.now_ms, 1, D1, by_server, kind, 20))
    tale.add(h.QuietEnded(tale.now_ms))
    tale.add(h.Framed(tale.now_ms, 1, D1, True, "Push", 20))
    return [finding.sentence for finding in check(Ledger(tale.facts))]


def test_heartbeats_are_allowed() -> None:
    assert not quiet([(False, "Ping"), (True, "Pong")] * 5)


def test_anything_else_is_not() -> None:
    assert len(quiet([(True, "Push")])) == 1
    assert len(quiet([(False, "Ack")])) == 1


def test_heartbeats_faster_than_agreed() -> None:
    assert len(quiet([(False, "Ping")] * 20, every_ms=100)) == 1
