"""Proofs: what steps of a journal say of one oplog, however often its device began anew."""

from typing import Any

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import Advance, Sent, Skip, SyncPoint
from mobilesync.engine import proof
from mobilesync.engine.proof import Proof, Proofs, last_words, prove
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.engine.world import simulated

CHAT = Channel("demo", "CHAT", "everyone")
EPOCH = 7


def step(before: int, received: int, processed: int, at_ms: int, **more: Any) -> Advance:
    return Advance(CHAT, "d1", EPOCH, received, processed, at_ms, before=before, **more)


def test_nothing_is_proven_by_nothing() -> None:
    assert prove([], 1, None) == Proof()


def test_sent_saved_and_done_each_have_their_time() -> None:
    steps = [
        step(0, 3, 1, 20, sends=(Sent(2, 10), Sent(3, 11))),
        step(3, 3, 2, 30),
        step(3, 3, 3, 40),
    ]
    assert prove(steps, 1, None) == Proof(10, 20, 20)
    assert prove(steps, 2, None) == Proof(10, 20, 30)
    assert prove(steps, 3, None) == Proof(11, 20, 40)


def test_later_pushes_are_of_later_oplogs() -> None:
    steps = [step(0, 1, 1, 20, sends=(Sent(1, 10),)), step(1, 2, 2, 40, sends=(Sent(2, 30),))]
    assert prove(steps, 1, None).sent_at_ms == 10
    assert prove(steps, 2, None).sent_at_ms == 30


def test_what_was_sent_and_never_acked_is_known_and_the_push_that_was_acked_counts() -> None:
    lost = step(1, 1, 1, 20, sent=3, sends=(Sent(3, 15),))
    assert prove([lost], 2, SyncPoint(EPOCH, 1)) == Proof(15, is_current=False)
    again = step(1, 3, 3, 40, sends=(Sent(3, 35),))
    assert prove([lost, again], 2, SyncPoint(EPOCH, 3)) == Proof(35, 40, 40)


def test_what_was_passed_over_was_not_received() -> None:
    skips = (Skip(2, 3, Reason.OS), Skip(5, 5, Reason.EXPIRED))
    steps = [step(0, 6, 6, 20, skips=skips)]
    found = [prove(steps, oplog_id, None).skipped for oplog_id in range(1, 7)]
    assert found == [None, Reason.OS, Reason.OS, None, Reason.EXPIRED, None]
    assert prove(steps, 3, None) == Proof(skipped=Reason.OS, skipped_at_ms=20)


class TestLaps:
    STEPS = (
        step(0, 3, 3, 20, sends=(Sent(3, 10),)),
        step(1, 1, 1, 50, lap=1),
        step(1, 3, 2, 70, lap=1, sends=(Sent(3, 60),)),
        step(3, 3, 3, 80, lap=1),
    )

    def test_the_last_pass_that_covers_the_id_counts(self) -> None:
        point = SyncPoint(EPOCH, 3, 3, restarts=1)
        assert prove([*self.STEPS], 1, point) == Proof(10, 20, 20)
        assert prove([*self.STEPS], 2, point) == Proof(60, 70, 70, lap=1)
        assert prove([*self.STEPS], 3, point) == Proof(60, 70, 80, lap=1)

    def test_until_it_comes_again_the_proof_is_of_before(self) -> None:
        point = SyncPoint(EPOCH, 1, 1, restarts=1)
        assert prove([*self.STEPS[:2]], 2, point) == Proof(10, 20, 20, is_current=False)

    def test_a_pass_may_end_otherwise_than_the_one_before(self) -> None:
        steps = [
            step(0, 2, 2, 20, skips=(Skip(2, 2, Reason.VERSION),)),
            step(0, 0, 0, 30, lap=1),
            step(0, 2, 2, 40, lap=1),
        ]
        assert prove(steps, 2, None).received_at_ms == 40
        steps = [steps[0], *steps[1:2], step(0, 2, 2, 40, lap=1, skips=(Skip(1, 2, 7),))]
        assert prove(steps, 1, None).skipped is Reason.EXPIRED

    def test_a_handler_may_end_in_a_later_pass_that_has_kept_the_oplog(self) -> None:
        # The device came back with less than was known of it, but with this one.
        steps = [step(0, 5, 1, 20), step(3, 3, 1, 30, lap=1), step(3, 3, 3, 40, lap=1)]
        assert prove(steps, 3, SyncPoint(EPOCH, 3, 3, restarts=1)) == Proof(0, 20, 40)


def test_the_last_words_on_a_range_of_ids() -> None:
    steps = [
        step(0, 4, 4, 20, skips=(Skip(2, 3, Reason.OS),)),
        step(1, 1, 1, 30, lap=1),
        step(1, 3, 3, 40, lap=1, skips=(Skip(3, 3, Reason.EXPIRED),)),
        step(6, 8, 8, 50, skips=(Skip(7, 9, Reason.VERSION),)),
    ]
    words = {1: 0, 2: 0, 3: Reason.EXPIRED, 4: 0, 7: Reason.VERSION, 8: Reason.VERSION}
    assert last_words(steps, 0, 10) == words
    assert last_words(steps, 2, 7) == {i: words[i] for i in (3, 4, 7)}
    for oplog_id, reason in words.items():
        assert (prove(steps, oplog_id, None).skipped or 0) == reason


class TestReading:
    @simulated
    async def test_few_steps_are_read_when_they_say_it_all(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = MemoryStore(Disk((EPOCH,)))
        store.advance([Advance(CHAT, "d1", EPOCH, n, n, n) for n in range(1, 101)])
        await store.put_documents([])
        asked: list[int] = []
        journal = store.journal

        async def counting(channel: Channel, owner: str, after: int, count: int) -> list[Advance]:
            asked.append(count)
            return await journal(channel, owner, after, count)

        monkeypatch.setattr(store, "journal", counting)
        proofs = Proofs(store)
        point = (await store.points("demo", "d1"))[CHAT]
        assert (await proofs.of(CHAT, "d1", 10, point)).processed_at_ms == 10
        assert asked == [proof.FIRST_STEPS]
        # Put back, and not there again: the first steps are not the last word.
        store.advance([Advance(CHAT, "d1", EPOCH, 2, 2, 500, restarts=True)])
        store.advance([Advance(CHAT, "d1", EPOCH, 50, 50, 600)])
        await store.put_documents([])
        point = (await store.points("demo", "d1"))[CHAT]
        assert (await proofs.of(CHAT, "d1", 10, point)).processed_at_ms == 600
        assert asked[1:] == [proof.FIRST_STEPS, proof.STEPS_MAX]
        await store.close()

    @simulated
    async def test_a_handler_that_ends_late_is_found(self) -> None:
        store = MemoryStore(Disk((EPOCH,)))
        store.advance([Advance(CHAT, "d1", EPOCH, n, 0, n) for n in range(1, 101)])
        store.advance([Advance(CHAT, "d1", EPOCH, 100, 100, 700)])
        await store.put_documents([])
        point = (await store.points("demo", "d1"))[CHAT]
        assert await Proofs(store).of(CHAT, "d1", 10, point) == Proof(0, 10, 700)
        await store.close()
