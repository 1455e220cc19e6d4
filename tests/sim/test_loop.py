"""Virtual time, processes and their deaths."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from mobilesync.sim.loop import (
    Deadlock,
    Process,
    ProcessDied,
    Runaway,
    VirtualLoop,
    current_process,
    pause,
    virtual_loop,
)


def run(loop: VirtualLoop, coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return loop.run_until_complete(loop.create_task(coroutine))
    finally:
        loop.close()


def test_time_jumps_to_the_next_timer_and_nothing_waits_for_real() -> None:
    loop = virtual_loop()

    async def sleep_a_day() -> float:
        await asyncio.sleep(86_400)
        await pause(1)
        return loop.time()

    assert run(loop, sleep_a_day()) == 86_401


def test_asyncio_works_on_it() -> None:
    loop = virtual_loop()
    seen: list[str] = []

    async def worker(queue: "asyncio.Queue[str]") -> None:
        while True:
            seen.append(await queue.get())

    async def main() -> None:
        queue: asyncio.Queue[str] = asyncio.Queue()
        task = asyncio.create_task(worker(queue))
        queue.put_nowait("a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(queue.put("b"))
        await asyncio.gather(pause(1), pause(2))
        task.cancel()

    run(loop, main())
    assert seen == ["a", "b"]


def test_callbacks_of_one_moment_run_in_the_order_of_scheduling() -> None:
    loop = virtual_loop()
    seen: list[int] = []
    for number in range(5):
        loop.call_at(1.0, seen.append, number)
    loop.call_later(0.5, seen.append, -1)
    run(loop, pause(2))
    assert seen == [-1, 0, 1, 2, 3, 4]


def test_a_cancelled_timer_does_not_run() -> None:
    loop = virtual_loop()
    seen: list[int] = []
    loop.call_later(1, seen.append, 1).cancel()
    run(loop, pause(2))
    assert not seen


def test_a_wait_for_nothing_is_a_deadlock() -> None:
    loop = virtual_loop()
    with pytest.raises(Deadlock):
        run(loop, asyncio.Event().wait())


def test_a_loop_that_spins_is_stopped() -> None:
    loop = virtual_loop(steps_max=100)

    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Runaway):
        run(loop, spin())


def test_a_killed_process_runs_no_finally_until_the_loop_closes() -> None:
    loop = virtual_loop()
    seen: list[str] = []
    process = Process("victim")

    async def victim() -> None:
        try:
            asyncio.get_running_loop().call_later(5, seen.append, "timer")
            await asyncio.create_task(pause(10))
        finally:
            seen.append("finally")

    async def main() -> None:
        task = loop.spawn(process, victim())
        await pause(1)
        loop.kill(process)
        await pause(100)
        assert not task.done()
        assert not seen

    run(loop, main())
    assert seen == ["finally"], "unwound by close, when nobody listens any more"


def test_a_process_dies_after_its_steps() -> None:
    loop = virtual_loop()
    seen: list[int] = []
    process = Process("victim")
    process.steps_left = 3
    told: list[Process] = []
    loop.on_killed = told.append

    async def victim() -> None:
        for number in range(10):
            seen.append(number)
            await asyncio.sleep(0)

    async def main() -> None:
        task = loop.spawn(process, victim())
        await pause(1)
        assert not task.done()

    run(loop, main())
    assert seen == [0, 1, 2]
    assert told == [process]


def test_tasks_and_timers_belong_to_the_process_that_made_them() -> None:
    loop = virtual_loop()
    process = Process("owner")
    seen: list[Process | None] = []

    async def child() -> None:
        seen.append(current_process())

    async def owner() -> None:
        await asyncio.create_task(child())
        asyncio.get_running_loop().call_later(1, lambda: seen.append(current_process()))

    async def main() -> None:
        await loop.spawn(process, owner())
        await pause(2)
        seen.append(current_process())

    run(loop, main())
    assert seen == [process, process, None]


def test_an_exception_in_a_callback_is_kept() -> None:
    loop = virtual_loop()

    def fail() -> None:
        raise ValueError("on purpose")

    def die() -> None:
        raise ProcessDied

    loop.call_soon(fail)
    loop.call_soon(die)
    run(loop, pause(1))
    assert [repr(failure["exception"]) for failure in loop.failures] == ["ValueError('on purpose')"]
