"""The parts together: troubles of the store, and ends of every kind."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilesync.client import (
    Connected,
    LocalStore,
    ReceivedOplog,
    Stopped,
    StoreRefused,
    StoreUnavailable,
    Waiting,
)
from mobilesync.client.errors import StoreDamaged
from mobilesync.client.inbox import Channel, InboxRow
from mobilesync.client.transaction import Transaction
from mobilesync.protocol import messages as m
from tests.client.scripted import (
    EPOCH,
    Script,
    Seen,
    States,
    client_of,
    database,
    eventually,
    push,
)


class DyingStore(LocalStore):
    """Dies at the nth seam: before or after each transaction, or inside it; then does nothing."""

    def __init__(self, sql: sqlite3.Connection, deaths_at: int) -> None:
        self.left = deaths_at
        self.killed = asyncio.Event()
        super().__init__(sql, app="demo", device="d1")

    def _seam(self) -> None:
        self.left -= 1
        if self.left <= 0:
            self.killed.set()
            raise asyncio.CancelledError

    def apply(self, pushes: Sequence[m.Push], epoch: int) -> None:
        self._seam()
        super().apply(pushes, epoch)
        self._seam()

    def take(self, channel: Channel) -> InboxRow | None:
        self._seam()
        return super().take(channel)

    def finish(self, keys: Sequence[int]) -> None:
        self._seam()
        super().finish(keys)
        self._seam()

    @contextmanager
    def handling(self, key: int) -> Iterator[Transaction]:
        self._seam()
        with super().handling(key) as transaction:
            yield transaction
            self._seam()
        self._seam()


@settings(max_examples=40)
@given(deaths=st.lists(st.integers(1, 60), max_size=6))
async def test_whenever_it_dies_nothing_is_lost_and_transactions_happen_once(
    deaths: list[int],
) -> None:
    script, kept, calls = Script(), database(), []
    kept.execute("CREATE TABLE paid (id INTEGER)")

    async def life(store: LocalStore, killed: asyncio.Event | None) -> None:
        client = client_of(script, store)

        @client.on("PAY", transactional=True)
        async def pay(oplog: ReceivedOplog, tx: Transaction) -> None:
            tx.execute("INSERT INTO paid VALUES (?)", (oplog.id,))
            await asyncio.sleep(0)

        @client.on("CHAT")
        async def chat(oplog: ReceivedOplog) -> None:
            calls.append(oplog.id)
            await asyncio.sleep(0)

        await client.start()
        talk = await script.accept()
        hello = await talk.hear(m.Hello)
        held = {each.biz: each.received for each in hello.points}
        pushes = [
            push(after, after + 1, biz=biz)
            for biz in ("CHAT", "PAY")
            for after in range(held.get(biz, 0), 6)
        ]
        talk.say(m.Welcome(1, EPOCH, "s", "alice", 0, 60, 540), *pushes)
        done = asyncio.ensure_future(eventually(lambda: store.points(["user:alice"]) == DONE))
        waiting = [done] if killed is None else [done, asyncio.ensure_future(killed.wait())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        client.abort()
        for each in waiting:
            each.cancel()
        await asyncio.sleep(0)

    for death in deaths:
        store = DyingStore(kept, death)
        await life(store, store.killed)
    await life(LocalStore(kept, app="demo", device="d1"), None)
    assert kept.execute("SELECT id FROM paid").fetchall() == [(n,) for n in range(1, 7)]
    # Ascending, complete; repeated only where a call was cut off.
    assert sorted(set(calls)) == [1, 2, 3, 4, 5, 6]
    assert calls == sorted(calls)
    assert len(calls) <= 6 + len(deaths)


DONE = [m.SyncPoint(biz, "user:alice", EPOCH, 6, 6) for biz in ("CHAT", "PAY")]


class FullStore(LocalStore):
    """Cannot save while `error` is set."""

    error: Exception | None = None

    def apply(self, pushes: Sequence[m.Push], epoch: int) -> None:
        if self.error is not None:
            raise self.error
        super().apply(pushes, epoch)


async def test_a_full_disk_closes_visibly_and_heals() -> None:
    script, seen, states = Script(), Seen(), States()
    store = FullStore(":memory:", app="demo", device="d1")
    store.error = StoreUnavailable("the local store cannot be written: disk is full")
    async with client_of(script, store) as client:
        client.on("CHAT")(seen)
        client.on_state(states)
        for _ in range(3):
            talk = await script.accept()
            await talk.welcome(push(0, 1))
            assert "disk is full" in (await states.until(Waiting)).why
            heard = await talk.ended()
            assert not any(isinstance(each, m.Ack) for each in heard)
            assert isinstance(heard[-1], m.Close)
        store.error = None
        await (await script.accept()).welcome(push(0, 1))
        assert await seen.until(1) == [1]


async def test_a_damaged_store_stops_visibly() -> None:
    script, states = Script(), States()
    store = FullStore(":memory:", app="demo", device="d1")
    store.error = StoreDamaged("malformed", hint="move it away")
    async with client_of(script, store) as client:
        client.on_state(states)
        await (await script.accept()).welcome(push(0, 1))
        stopped = await states.until(Stopped)
        assert (stopped.code, stopped.reason, stopped.hint) == (0, "malformed", "move it away")


class BrokenTake(LocalStore):
    """Fails handlers in a way that nobody foresaw."""

    def take(self, channel: object) -> None:
        raise StoreDamaged("malformed")


async def test_handlers_that_cannot_go_on_stop_the_client() -> None:
    script, states = Script(), States()
    async with client_of(script, BrokenTake(":memory:", app="demo", device="d1")) as client:
        client.on_state(states)
        client.on("CHAT")(Seen())
        await (await script.accept()).welcome(push(0, 1))
        assert (await states.until(Stopped)).reason == "malformed"
        client.resume()
        await states.until(Stopped)
        assert script.connects == 1


class BrokenPoint(LocalStore):
    """Cannot be read when an ack is due."""

    broken = False

    def point(self, channel: tuple[str, str]) -> m.SyncPoint:
        if self.broken:
            raise StoreDamaged("malformed")
        return super().point(channel)

    def apply(self, pushes: Sequence[m.Push], epoch: int) -> None:
        super().apply(pushes, epoch)
        self.broken = True


async def test_a_store_that_breaks_under_an_ack_stops_the_client() -> None:
    script, states = Script(), States()
    store = BrokenPoint(":memory:", app="demo", device="d1")
    client = client_of(script, store)
    client.on_state(states)
    await client.start()
    await (await script.accept()).welcome(push(0, 1))
    assert (await states.until(Stopped)).reason == "malformed"
    store.broken = False
    await client.close()


async def test_a_file_is_used_by_one_client_and_given_back(tmp_path: Path) -> None:
    path, script, seen = tmp_path / "store.sqlite", Script(), Seen()
    async with client_of(script, path) as client:
        client.on("CHAT")(seen)
        with pytest.raises(StoreRefused, match="in use"):
            await client_of(script, path).start()
        with pytest.raises(StoreRefused, match="in use"):
            await client_of(script, path).start()
        await (await script.accept()).welcome(push(0, 1))
        await seen.until(1)
    again = client_of(script, str(path))
    await again.start()
    again.abort()
    await asyncio.sleep(0)
    async with client_of(script, path, device="d1"):
        pass


async def test_the_listener_hears_the_end() -> None:
    script, states = Script(), States()
    async with client_of(script) as client:
        client.on_state(states)
        await (await script.accept()).welcome()
        await states.until(Connected)
    assert (await states.until(Stopped)).reason == "closed by the app"
