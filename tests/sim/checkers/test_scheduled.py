"""SCHEDULED: hand-made histories of what came too early, in time, or never."""

import pytest

from mobilesync.sim import history as h
from mobilesync.sim.checkers.ledger import Ledger
from mobilesync.sim.checkers.scheduled import COMMIT_MS, PATIENCE_MS, check
from tests.sim.checkers.told import CHAT, Tale

SOON_MS = 200_000


def findings(tale: Tale) -> list[str]:
    return [finding.sentence for finding in check(Ledger(tale.facts))]


def scheduled(tale: Tale, *, valid_ms: int = 0) -> h.Asked:
    """A publish that is answered as scheduled."""
    call = tale.ask("m1", valid_ms=valid_ms, valid_from_ms=tale.now_ms + SOON_MS)
    tale.answer(call, 0)
    [asked] = [fact for fact in tale.facts if isinstance(fact, h.Asked)]
    return asked


def store(tale: Tale, message_id: str = "m1") -> None:
    tale.add(h.Stored(tale.now_ms, CHAT, 1, message_id, "digest"))


def end(tale: Tale) -> None:
    tale.held_all()
    tale.end()


def test_stored_when_it_is_due() -> None:
    tale = Tale()
    scheduled(tale)
    tale.wait(SOON_MS)
    store(tale)
    end(tale)
    assert not findings(tale)


def test_stored_too_early() -> None:
    tale = Tale()
    scheduled(tale)
    tale.wait(SOON_MS // 2)
    store(tale)
    end(tale)
    assert len(findings(tale)) == 1


def test_what_is_not_scheduled_is_stored_at_any_time() -> None:
    tale = Tale()
    tale.ask("m2")
    store(tale, "m2")
    store(tale, "made by the service")
    end(tale)
    assert not findings(tale)


@pytest.mark.parametrize("ago_ms, count", [(COMMIT_MS // 2, 0), (COMMIT_MS * 2, 1)])
def test_a_clock_that_was_put_back_after_it_was_due(ago_ms: int, count: int) -> None:
    tale = Tale()
    tale.add(h.ServerClock(tale.now_ms, SOON_MS * 2))
    scheduled(tale)
    tale.wait(10)
    tale.add(h.ServerClock(tale.now_ms, 0))
    tale.wait(ago_ms)
    store(tale)
    end(tale)
    assert len(findings(tale)) == count


class TestNever:
    def test_it_is_lost(self) -> None:
        tale = Tale()
        scheduled(tale)
        tale.wait(SOON_MS + 2 * PATIENCE_MS)
        end(tale)
        assert len(findings(tale)) == 1

    def test_nobody_has_looked_at_the_store(self) -> None:
        tale = Tale()
        scheduled(tale)
        tale.wait(SOON_MS + 2 * PATIENCE_MS)
        tale.end()
        assert not findings(tale)

    def test_it_is_in_the_store_at_the_end(self) -> None:
        tale = Tale()
        scheduled(tale)
        tale.wait(SOON_MS + 2 * PATIENCE_MS)
        tale.hold({1: "m1"})
        end(tale)
        assert not findings(tale)

    def test_it_is_not_due_yet(self) -> None:
        tale = Tale()
        scheduled(tale)
        tale.wait(SOON_MS)
        end(tale)
        assert not findings(tale)

    def test_it_was_not_answered(self) -> None:
        tale = Tale()
        tale.ask("m1", valid_from_ms=tale.now_ms + SOON_MS)
        tale.wait(SOON_MS + 2 * PATIENCE_MS)
        end(tale)
        assert not findings(tale)

    def test_it_has_ended_meanwhile(self) -> None:
        tale = Tale()
        scheduled(tale, valid_ms=SOON_MS + 1000)
        tale.wait(SOON_MS + 2 * PATIENCE_MS)
        end(tale)
        assert not findings(tale)

    @pytest.mark.parametrize("rules", [{"status": "offline"}, {"persistent": False}])
    def test_its_biz_took_none_for_a_while(self, rules: dict[str, object]) -> None:
        tale = Tale()
        scheduled(tale)
        tale.rules("CHAT", **rules)
        tale.wait(SOON_MS + 2 * PATIENCE_MS)
        tale.rules("CHAT")
        end(tale)
        assert not findings(tale)

    @pytest.mark.parametrize("before, count", [(True, 1), (False, 0)])
    def test_a_backup_that_did_not_have_it(self, before: bool, count: int) -> None:
        tale = Tale()
        if before:
            tale.restore((1, 2), {})
        scheduled(tale)
        if not before:
            tale.restore((1, 2), {})
        tale.wait(SOON_MS + 2 * PATIENCE_MS)
        end(tale)
        assert len(findings(tale)) == count
