"""Replays survive a restart, are bounded, and end when the device has followed."""

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import Overloaded
from mobilesync.engine import replays
from mobilesync.engine.replays import Replay, Replays
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.engine.world import passes, simulated

CHAT = Channel("shop", "CHAT", "everyone")
PAY = Channel("shop", "PAY", "everyone")


@simulated
async def test_they_wait_until_they_are_done() -> None:
    store = MemoryStore(Disk((7,)))
    waiting = Replays(store)
    await waiting.load()
    first = Replay(CHAT, "d1", 3, 10, 1)
    later = Replay(CHAT, "d1", 4, 10, 2)
    other = Replay(PAY, "d1", 0, 1, 3)
    for each in (first, later, other, Replay(CHAT, "d2", 0, 1, 4)):
        await waiting.put(each)
    assert waiting.of_device("shop", "d1") == {CHAT: later, PAY: other}
    again = Replays(store)
    await again.load()
    assert again.of_device("shop", "d1") == {CHAT: later, PAY: other}
    assert len(again) == 3
    again.done(CHAT, "d1")
    again.done(CHAT, "d1")
    assert again.of_device("shop", "d1") == {PAY: other}
    again.done(PAY, "d1")
    assert again.of_device("shop", "d1") == {}
    await passes(0.2)
    fresh = Replays(store)
    await fresh.load()
    assert len(fresh) == 1
    await store.close()


@simulated
async def test_no_more_than_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "WAITING_MAX", 2)
    store = MemoryStore(Disk((7,)))
    waiting = Replays(store)
    for n in range(2):
        await waiting.put(Replay(CHAT, f"d{n}", 0, 1, 1))
    with pytest.raises(Overloaded):
        await waiting.put(Replay(CHAT, "d9", 0, 1, 1))
    assert len(waiting) == len(store.disk.documents) == 2
    await store.close()
