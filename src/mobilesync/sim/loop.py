"""An asyncio event loop whose time is virtual, and processes on it that can be killed.

Strategy: when no callback is ready, time jumps to the next timer; nothing ever blocks, so hours
pass in milliseconds and one run is the same as the next. Every callback belongs to the `Process`
in whose context it was scheduled (a context variable, so tasks and timers inherit it). A killed
process runs no callback any more: no `finally`, no cancellation, as after `kill -9`; its tasks are
kept until the loop is closed, or the garbage collector would run their clean-up at its own time.

Not here: sockets, threads, signals; whoever asks this loop for them gets NotImplementedError.

Invariants:
- callbacks of one moment run in the order in which they were scheduled;
- a run that can never end raises Deadlock or Runaway, it does not hang.
"""

import asyncio
import heapq
import sys
import weakref
from asyncio.events import _set_running_loop
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar, TypeVarTuple, cast

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

STEPS_MAX = 300_000


class Deadlock(Exception):
    """Nothing is ready and no timer is set, but somebody still waits."""


class Runaway(Exception):
    """More steps, or more virtual time, than a run may have: it spins, or waits for ever."""


class ProcessDied(BaseException):
    """Unwinds the callback in whose middle its process was killed."""


class Process:
    """What a kill ends: a server, an app, a publisher."""

    __slots__ = ("alive", "name", "steps", "steps_left")

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.steps = 0
        """Callbacks it has run."""
        self.steps_left = -1
        """Callbacks until it dies in the middle of what it does; negative while it need not."""


_process: ContextVar[Process | None] = ContextVar("mobilesync_sim_process", default=None)


def current_process() -> Process | None:
    """The process whose callback runs; None outside all of them."""
    return _process.get()


class _Handle(asyncio.Handle):
    __slots__ = ("process",)
    process: Process | None


class _Timer(asyncio.TimerHandle):
    __slots__ = ("process",)
    process: Process | None


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs callbacks in virtual time, in one thread, in a fixed order."""

    def __init__(self, *, steps_max: int = STEPS_MAX, time_s_max: float = float("inf")) -> None:
        self._time_s_max = time_s_max
        self._now = 0.0
        self._ready: deque[_Handle | _Timer] = deque()
        self._timers: list[tuple[float, int, _Timer]] = []
        self._scheduled = 0
        self._steps_max = self._steps_left = steps_max
        self._stopping = False
        self._running = False
        self._closed = False
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._generators: weakref.WeakSet[AsyncGenerator[Any, Any]] = weakref.WeakSet()
        self._dropped: list[AsyncGenerator[Any, Any]] = []
        self.on_killed: Callable[[Process], None] | None = None
        """Told when a process dies because its steps ran out."""
        self.failures: list[dict[str, Any]] = []
        """What callbacks and tasks of living processes raised and nobody caught."""

    # --- processes

    def spawn(self, process: Process, coroutine: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Run `coroutine` as a task of `process`."""
        return self.create_task(coroutine, context=self.context_of(process))

    def context_of(self, process: Process) -> Context:
        """A context in which callbacks belong to `process`."""
        context = copy_context()
        context.run(_process.set, process)
        return context

    def kill(self, process: Process) -> None:
        """Never run a callback of `process` again."""
        process.alive = False

    @property
    def steps(self) -> int:
        """Callbacks run so far."""
        return self._steps_max - self._steps_left

    # --- what asyncio asks of a loop

    def time(self) -> float:
        return self._now

    def call_soon(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        context = copy_context() if context is None else context
        handle = _Handle(callback, args, self, context)
        handle.process = context.get(_process)
        if not self._closed:
            self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        context = copy_context() if context is None else context
        timer = _Timer(when, callback, args, self, context)
        timer.process = context.get(_process)
        if not self._closed:
            self._scheduled += 1
            heapq.heappush(self._timers, (when, self._scheduled, timer))
        return timer

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Any,
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks[task] = None
        task.add_done_callback(self._forget)
        return task

    def run_until_complete(self, future: Any) -> Any:
        """Run until `future` is done. Raises Deadlock, Runaway, and what `future` raises."""
        wanted: asyncio.Future[Any] = asyncio.ensure_future(future, loop=self)
        self._run(wanted.done)
        if not wanted.done():
            raise Deadlock("nothing is ready and no timer is set")
        return wanted.result()

    def run_forever(self) -> None:
        """Run until `stop`, or until nothing is left to do."""
        self._run(lambda: False)

    def stop(self) -> None:
        self._stopping = True

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        process = _process.get()
        if isinstance(context.get("exception"), ProcessDied):
            return
        if not self._closed and (process is None or process.alive):
            self.failures.append(context)

    async def shutdown_asyncgens(self) -> None:
        return

    def close(self) -> None:
        """End everything at once. Unfinished tasks are unwound, what they raise is dropped, and
        what they schedule never runs."""
        self._closed = True
        _set_running_loop(self)
        try:
            for task in list(self._tasks):
                coroutine = task.get_coro()
                with suppress(BaseException):
                    cast("Coroutine[Any, Any, Any]", coroutine).close()
            for generator in (*self._generators, *self._dropped):
                with suppress(BaseException):
                    generator.aclose().send(None)
        finally:
            _set_running_loop(None)
        # The tasks themselves stay pending; asyncio would warn of each when it is collected.
        self._ready.clear()
        self._timers.clear()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer stays in the heap until its time comes."""

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.pop(task, None)

    def _run(self, is_done: Callable[[], bool]) -> None:
        assert not self._running, "a loop runs once at a time"
        if self._closed:
            raise RuntimeError("the virtual loop is closed")
        self._running, self._stopping = True, False
        hooks = sys.get_asyncgen_hooks()
        # What a dead process leaves half done must not be finished by the garbage collector.
        sys.set_asyncgen_hooks(self._generators.add, self._dropped.append)
        _set_running_loop(self)
        try:
            while not self._stopping and not is_done():
                if not self._ready and not self._jump():
                    return
                self._step(self._ready.popleft())
        finally:
            self._running = False
            _set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)

    def _jump(self) -> bool:
        """Move time to the next timer and make all of that moment ready; False if there is none."""
        timers = self._timers
        while timers and _is_dead(timers[0][2]):
            heapq.heappop(timers)
        if not timers:
            return False
        self._now = max(self._now, timers[0][0])
        if self._now > self._time_s_max:
            raise Runaway(f"still running after {self._now:.0f} s of virtual time")
        while timers and timers[0][0] <= self._now:
            self._ready.append(heapq.heappop(timers)[2])
        return True

    def _step(self, handle: _Handle | _Timer) -> None:
        if _is_dead(handle):
            return
        self._steps_left -= 1
        if self._steps_left < 0:
            raise Runaway(f"too many steps by {self._now:.3f} s of virtual time")
        process = handle.process
        if process is not None:
            process.steps += 1
            if process.steps_left >= 0:
                if process.steps_left == 0:
                    process.alive = False
                    if self.on_killed is not None:
                        self.on_killed(process)
                    return
                process.steps_left -= 1
        handle._run()


def virtual_loop(*, steps_max: int = STEPS_MAX, time_s_max: float = float("inf")) -> VirtualLoop:
    """A new loop at virtual time 0."""
    # What it leaves abstract is what it does not have: sockets, threads, signals.
    make = cast("Callable[..., VirtualLoop]", VirtualLoop)
    return make(steps_max=steps_max, time_s_max=time_s_max)


def _is_dead(handle: _Handle | _Timer) -> bool:
    process = handle.process
    return handle.cancelled() or (process is not None and not process.alive)


async def pause(delay_s: float) -> None:
    """Wait for `delay_s` of virtual time."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    timer = loop.call_later(delay_s, _wake, done)
    try:
        await done
    finally:
        timer.cancel()


def _wake(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)
