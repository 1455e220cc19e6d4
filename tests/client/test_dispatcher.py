"""Handlers: in order, one at a time, again after failure, parked in the end, never lost."""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from mobilesync.client.clock import SystemClock
from mobilesync.client.dispatcher import TURN_ROWS_MAX, Dispatcher
from mobilesync.client.errors import ClientError, StoreDamaged, StoreUnavailable
from mobilesync.client.events import ChannelReset, ListenerFailed, Parked, ReceivedOplog
from mobilesync.client.handlers import Handler, Handlers
from mobilesync.client.inbox import Channel, InboxRow
from mobilesync.client.local_store import LocalStore
from mobilesync.client.options import ClientOptions
from mobilesync.client.transaction import Transaction
from mobilesync.protocol import messages as m
from tests.client.scripted import EPOCH, Seen, database, eventually, push

CHAT = ("CHAT", "user:alice")
TARGETS = ("user:alice", "everyone")
QUICK = ClientOptions(handler_backoff_s=0.001, handler_backoff_max_s=0.002, attempts_max=3)


class BadStore(LocalStore):
    """Raises what `broken` says, before it changes anything."""

    broken: dict[str, Exception]

    def _check(self, name: str) -> None:
        if name in getattr(self, "broken", {}):
            raise self.broken[name]

    def take(self, channel: Channel) -> InboxRow | None:
        self._check("take")
        return super().take(channel)

    def finish(self, keys: Any) -> None:
        self._check("finish")
        super().finish(keys)

    def fail(self, key: int, error: str, parked_at_ms: int | None) -> None:
        self._check("fail")
        super().fail(key, error, parked_at_ms)


class Bench:
    """A dispatcher with what it needs."""

    def __init__(
        self, sql: sqlite3.Connection | None = None, options: ClientOptions = QUICK
    ) -> None:
        self.sql = sql or database()
        self.store = BadStore(self.sql, app="demo", device="d1")
        self.store.broken = {}
        self.handlers = Handlers()
        self.told: list[Parked | ListenerFailed] = []
        self.moved: list[Channel] = []
        self.errors: list[Exception] = []
        self.gate = asyncio.Lock()
        self.dispatcher = Dispatcher(
            self.store,
            self.gate,
            self.handlers,
            clock=SystemClock(),
            chance=random.Random(1),
            options=options,
            moved=self.moved.append,
            told=self.told.append,
            broken=self.errors.append,
        )
        self.dispatcher.switch(TARGETS)

    def on(self, function: Callable[..., Any], biz: str = "CHAT", tx: bool = False) -> None:
        self.handlers.register(biz, Handler(function, tx))

    def push(self, *pushes: m.Push) -> None:
        self.store.apply(pushes, EPOCH)
        self.dispatcher.wake([(each.biz, each.target) for each in pushes])

    async def close(self) -> None:
        await self.dispatcher.stop()
        self.dispatcher.save_marks()


async def test_a_channel_is_in_order_and_one_at_a_time() -> None:
    bench, running, ids = Bench(), 0, []

    async def handle(oplog: ReceivedOplog) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(random.Random(oplog.id).random() / 1_000)
        ids.append(oplog.id)
        running -= 1

    bench.on(handle)
    bench.dispatcher.start()
    for n in range(0, 3 * TURN_ROWS_MAX, 3):
        bench.push(push(n, n + 1, n + 2, n + 3))
    await eventually(lambda: len(ids) == 3 * TURN_ROWS_MAX)
    assert ids == sorted(ids)
    await eventually(lambda: bench.store.inbox_count == 0)


async def test_channels_run_together_up_to_the_bound() -> None:
    bench = Bench(options=ClientOptions(concurrency_max=3))
    running, most, release = 0, 0, asyncio.Event()

    async def handle(_: ReceivedOplog) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1

    for n in range(6):
        bench.on(handle, f"B{n}")
    bench.dispatcher.start()
    bench.push(*[push(0, 1, biz=f"B{n}") for n in range(6)])
    await eventually(lambda: running == 3)
    await asyncio.sleep(0.002)
    assert most == 3
    release.set()
    await eventually(lambda: bench.dispatcher.handled == 6)
    assert most == 3


async def test_a_long_backlog_gives_way() -> None:
    bench = Bench(options=ClientOptions(concurrency_max=1))
    order: list[str] = []

    async def handle(oplog: ReceivedOplog) -> None:
        order.append(oplog.biz)

    bench.on(handle, "LONG")
    bench.on(handle, "SHORT")
    bench.store.apply([push(0, *range(1, 200), biz="LONG"), push(0, 1, biz="SHORT")], EPOCH)
    bench.dispatcher.start()
    await eventually(lambda: len(order) == 200)
    assert order.index("SHORT") == TURN_ROWS_MAX


async def test_a_biz_without_handler_waits_for_one() -> None:
    bench, seen = Bench(), Seen()
    bench.dispatcher.start()
    bench.push(push(0, 1, 2))
    await asyncio.sleep(0.002)
    assert bench.store.point(CHAT).processed == 0
    bench.on(seen)
    bench.dispatcher.wake()
    assert await seen.until(2) == [1, 2]


async def test_an_unregistered_handler_gets_no_more() -> None:
    bench = Bench()
    seen = Seen()

    async def once(oplog: ReceivedOplog) -> None:
        await seen(oplog)
        bench.handlers.unregister("CHAT")

    bench.on(once)
    bench.dispatcher.start()
    bench.push(push(0, 1, 2))
    await seen.until(1)
    await asyncio.sleep(0.002)
    assert seen.ids == [1]
    assert bench.store.inbox_count == 1


async def test_only_the_current_users_oplogs_are_handed_out() -> None:
    bench, seen = Bench(), Seen()
    bench.on(seen)
    bench.dispatcher.start()
    bench.push(push(0, 1, target="user:bob"), push(0, 1, target="everyone"))
    await seen.until(1)
    await asyncio.sleep(0.002)
    assert [each.target for each in seen.oplogs] == ["everyone"]
    bench.dispatcher.switch(("user:bob", "everyone"))
    await seen.until(2)
    assert seen.oplogs[1].target == "user:bob"


async def test_a_user_change_in_the_middle_of_a_backlog() -> None:
    bench, seen = Bench(), Seen()

    async def handle(oplog: ReceivedOplog) -> None:
        await seen(oplog)
        if oplog.id == 2:
            bench.dispatcher.switch(("everyone",))

    bench.on(handle)
    bench.dispatcher.start()
    bench.push(push(0, 1, 2, 3))
    await seen.until(2)
    await asyncio.sleep(0.002)
    assert seen.ids == [1, 2]
    bench.dispatcher.switch(TARGETS)
    assert await seen.until(3) == [1, 2, 3]


# Failures.


async def test_a_failure_is_tried_again_before_the_next_one() -> None:
    bench = Bench()
    attempts: list[tuple[int, int]] = []

    async def handle(oplog: ReceivedOplog) -> None:
        attempts.append((oplog.id, oplog.attempt))
        if oplog.id == 1 and oplog.attempt < 3:
            raise ValueError("not yet")

    bench.on(handle)
    bench.dispatcher.start()
    bench.push(push(0, 1, 2))
    await eventually(lambda: len(attempts) == 4)
    assert attempts == [(1, 1), (1, 2), (1, 3), (2, 1)]
    assert (bench.dispatcher.handled, bench.dispatcher.failed) == (2, 2)


def fails(_: ReceivedOplog) -> None:
    raise ValueError("never")


async def cancels_itself(_: ReceivedOplog) -> None:
    raise asyncio.CancelledError


async def hangs(_: ReceivedOplog) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("bad", [fails, cancels_itself, hangs])
async def test_after_enough_failures_it_is_parked_and_the_channel_goes_on(
    bad: Callable[[ReceivedOplog], Any],
) -> None:
    options = ClientOptions(
        handler_backoff_s=0.001,
        handler_backoff_max_s=0.002,
        attempts_max=3,
        handler_timeout_s=0.01,
    )
    bench, seen = Bench(options=options), Seen()

    async def handle(oplog: ReceivedOplog) -> None:
        if oplog.id == 1:
            answer = bad(oplog)
            if answer is not None:
                await answer
        await seen(oplog)

    bench.on(handle)
    bench.dispatcher.start()
    bench.push(push(0, 1, 2))
    assert await seen.until(1) == [2]
    (told,) = bench.told
    assert isinstance(told, Parked)
    assert told.parked == bench.store.parked(TARGETS)[0]
    assert told.parked.oplog.id == 1
    assert told.parked.error
    assert bench.dispatcher.failed == 3
    await eventually(lambda: bench.store.point(CHAT).processed == 2)


async def test_a_resting_channel_holds_up_nobody() -> None:
    options = ClientOptions(concurrency_max=1, handler_backoff_s=1_000, handler_backoff_max_s=1_000)
    bench, seen = Bench(options=options), Seen()
    bench.on(fails)
    bench.on(seen, "PAY")
    bench.dispatcher.start()
    bench.push(push(0, 1), push(0, 1, biz="PAY"))
    await seen.until(1)
    await bench.close()


async def test_a_transactional_failure_undoes_everything() -> None:
    bench = Bench()
    bench.sql.execute("CREATE TABLE mine (id)")

    async def handle(oplog: ReceivedOplog, tx: Transaction) -> None:
        tx.execute("INSERT INTO mine VALUES (?)", (oplog.id,))
        await asyncio.sleep(0)
        if oplog.attempt == 1:
            raise ValueError("not yet")

    bench.on(handle, tx=True)
    bench.dispatcher.start()
    bench.push(push(0, 1, 2))
    await eventually(lambda: bench.dispatcher.handled == 2)
    assert bench.sql.execute("SELECT id FROM mine").fetchall() == [(1,), (2,)]


async def test_nobody_else_writes_into_a_handlers_transaction() -> None:
    bench, seen, release = Bench(), Seen(), asyncio.Event()

    async def slow(_: ReceivedOplog, tx: Transaction) -> None:
        tx.execute("SELECT 1")
        await release.wait()
        raise ValueError("undo")

    bench.on(slow, tx=True)
    bench.on(seen, "PAY")
    bench.dispatcher.start()
    bench.push(push(0, 1), push(0, 1, biz="PAY"))
    await asyncio.sleep(0.005)
    release.set()
    await eventually(lambda: bench.dispatcher.failed == 3)
    assert seen.ids == [1]
    assert [each.oplog.biz for each in bench.store.parked(TARGETS)] == ["CHAT"]


# Resets.


async def test_a_reset_is_told_between_what_came_before_and_after() -> None:
    bench = Bench()
    told: list[object] = []

    async def handle(oplog: ReceivedOplog) -> None:
        told.append(oplog.id)

    async def listen(reset: ChannelReset) -> None:
        told.append(reset.floor)
        if told.count(reset.floor) == 1:
            raise ValueError("tell me again")

    bench.handlers.reset_listeners.append(listen)
    bench.on(handle)
    bench.store.apply([push(0, 1)], EPOCH)
    bench.store.reset(m.Reset(*CHAT, EPOCH, 50, 1))
    bench.store.apply([push(50, 51)], EPOCH)
    bench.dispatcher.start()
    await eventually(lambda: len(told) == 4)
    assert told == [1, 50, 50, 51]
    assert bench.dispatcher.handled == 2


async def test_a_listener_that_never_listens_is_given_up_visibly() -> None:
    bench, seen = Bench(), Seen()
    bench.handlers.reset_listeners.append(lambda _: fails(ReceivedOplog("", "", 1, b"")))
    bench.on(seen)
    bench.store.reset(m.Reset(*CHAT, EPOCH, 50, 1))
    bench.store.apply([push(50, 51)], EPOCH)
    bench.dispatcher.start()
    assert await seen.until(1) == [51]
    (told,) = bench.told
    assert isinstance(told, ListenerFailed)
    assert told.what == ChannelReset(*CHAT, EPOCH, 50, 1, 0)
    assert "never" in told.error


# Ends and troubles.


async def test_a_call_that_is_cut_off_is_made_again_and_a_finished_one_is_not() -> None:
    sql = database()
    bench, seen = Bench(sql), Seen()

    async def handle(oplog: ReceivedOplog) -> None:
        if oplog.id == 2:
            await asyncio.Event().wait()
        await seen(oplog)

    bench.on(handle)
    bench.dispatcher.start()
    bench.push(push(0, 1, 2))
    await seen.until(1)
    await asyncio.sleep(0.002)
    await bench.close()
    again, seen_again = Bench(sql), Seen()
    again.on(seen_again)
    again.dispatcher.start()
    assert await seen_again.until(1) == [2]
    assert seen_again.oplogs[0].attempt == 2


async def test_it_is_closed_in_the_very_turn_in_which_a_channel_ends() -> None:
    bench = Bench()
    bench.on(Seen())
    bench.dispatcher.start()
    bench.push(push(0, 1))
    while not next(iter(bench.dispatcher._running.values())).done():
        await asyncio.sleep(0)
    await bench.close()  # the turn is over, its callbacks are still to come


async def test_a_call_that_finished_while_closing_is_marked() -> None:
    sql = database()
    bench, seen = Bench(sql), Seen()

    async def handle(oplog: ReceivedOplog) -> None:
        # Somebody else gets the store just before the mark.
        await bench.gate.acquire()
        await seen(oplog)

    bench.on(handle)
    bench.dispatcher.start()
    bench.push(push(0, 1))
    await seen.until(1)
    await asyncio.sleep(0.002)
    assert bench.store.inbox_count == 1
    await bench.close()
    assert Bench(sql).store.inbox_count == 0


async def test_after_abort_nothing_is_written() -> None:
    sql = database()
    bench, seen = Bench(sql), Seen()

    async def handle(oplog: ReceivedOplog) -> None:
        await seen(oplog)
        await asyncio.Event().wait()

    bench.on(handle)
    bench.dispatcher.start()
    bench.push(push(0, 1))
    await seen.until(1)
    before = list(sql.iterdump())
    bench.dispatcher.abort()
    await asyncio.sleep(0.002)
    assert list(sql.iterdump()) == before


@pytest.mark.parametrize("step", ["take", "finish", "fail"])
async def test_a_full_disk_is_waited_out_and_no_finished_call_repeated(step: str) -> None:
    bench = Bench()
    seen = Seen(lambda each: ValueError("no") if (each.id, each.attempt) == (1, 1) else None)
    bench.store.broken = {step: StoreUnavailable("full")}
    bench.on(seen)
    bench.dispatcher.start()
    bench.push(push(0, 1, 2))
    await asyncio.sleep(0.01)
    bench.store.broken = {}
    assert await seen.until(2) == [1, 2]
    await eventually(lambda: bench.store.inbox_count == 0)
    assert seen.ids == [1, 2]
    assert bench.told == []


async def test_a_damaged_store_stops_it() -> None:
    bench = Bench()
    bench.on(Seen())
    bench.store.broken = {"take": StoreDamaged("malformed")}
    bench.dispatcher.start()
    bench.push(push(0, 1))
    await eventually(lambda: len(bench.errors) == 1)
    assert isinstance(bench.errors[0], StoreDamaged)


async def test_what_died_too_often_is_parked_at_the_start() -> None:
    sql = database()
    Bench(sql).store.apply([push(0, 1)], EPOCH)
    for _ in range(QUICK.attempts_max):
        bench = Bench(sql)
        bench.dispatcher.start()
        assert bench.told == []
        assert bench.store.take(CHAT) is not None
    bench = Bench(sql)
    bench.dispatcher.start()
    assert bench.told == []
    await asyncio.sleep(0)
    assert [each.parked.oplog.id for each in bench.told if isinstance(each, Parked)] == [1]


async def test_a_reset_listener_that_kills_the_app_is_given_up() -> None:
    sql = database()
    bench = Bench(sql)
    bench.store.apply([push(0, 1)], EPOCH)
    bench.store.finish([1])
    bench.store.reset(m.Reset(*CHAT, EPOCH, 50, 1))
    for _ in range(QUICK.attempts_max):
        assert bench.store.take(CHAT) is not None
        bench = Bench(sql)
        bench.dispatcher.start()
    bench.on(Seen())
    bench.handlers.reset_listeners.append(lambda _: pytest.fail("it kills the app"))
    bench.dispatcher.wake()
    await eventually(lambda: len(bench.told) == 1)
    assert isinstance(bench.told[0], ListenerFailed)


async def test_a_handler_cannot_wait_for_its_own_end() -> None:
    bench = Bench()

    async def close(_: ReceivedOplog) -> None:
        bench.dispatcher.check_outside()

    bench.on(close)
    bench.dispatcher.start()
    bench.push(push(0, 1))
    await eventually(lambda: bool(bench.told))
    (told,) = bench.told
    assert isinstance(told, Parked)
    assert ClientError.__name__ in told.parked.error
    bench.dispatcher.check_outside()
