"""The ticker: every so often, for ever, whatever one action does."""

import asyncio

import pytest

from mobilesync.engine.ticker import Ticker, pause
from tests.engine.world import failing, passes, simulated


@simulated
async def test_it_runs_after_each_interval() -> None:
    times: list[float] = []
    loop = asyncio.get_running_loop()

    async def note() -> None:
        times.append(loop.time())

    ticker = Ticker("test", 2.0, note)
    ticker.start()
    await passes(7.0)
    await ticker.stop()
    await passes(7.0)
    assert times == [2.0, 4.0, 6.0]


@failing("tick_failed")
async def test_an_action_that_fails_is_tried_again() -> None:
    count = 0

    async def fail() -> None:
        nonlocal count
        count += 1
        raise ZeroDivisionError

    ticker = Ticker("test", 1.0, fail)
    ticker.start()
    await passes(3.5)
    await ticker.stop()
    assert count == 3


@simulated
async def test_stop_cancels_an_action_that_hangs_and_may_be_repeated() -> None:
    cancelled = False

    async def hang() -> None:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            raise

    ticker = Ticker("test", 1.0, hang)
    ticker.start()
    await passes(2.0)
    await ticker.stop()
    await ticker.stop()
    assert cancelled


@simulated
async def test_it_is_started_once_but_may_begin_anew() -> None:
    count = 0

    async def act() -> None:
        nonlocal count
        count += 1

    ticker = Ticker("test", 1.0, act)
    await ticker.stop()
    ticker.start()
    with pytest.raises(AssertionError):
        ticker.start()
    await ticker.stop()
    ticker.start()
    await passes(1.5)
    await ticker.stop()
    assert count == 1


@simulated
async def test_pause_lets_time_pass() -> None:
    loop = asyncio.get_running_loop()
    await pause(3.0)
    assert loop.time() == 3.0
