"""Run seeds: one, or many on several processor cores.

Strategy: a run is a pure function of (seed, options, source code). Its trace's hash says so: the
same hash in another process, with another hash seed of Python. The garbage collector's cycle
search is off while a run lasts, since it would run clean-up code at moments of its own.
"""

import gc
import logging
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from mobilesync.sim import history as h
from mobilesync.sim.checkers import check_all
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.chronicle import Chronicle
from mobilesync.sim.loop import Deadlock, Runaway, VirtualLoop, virtual_loop
from mobilesync.sim.plants import PLANTS
from mobilesync.sim.trace import TAIL_LINES_MAX, Trace
from mobilesync.sim.world import World, build, live, own_findings

TIME_S_MAX = 3_000.0
"""Of virtual time: several times what a run takes."""
_CLIENT_LOG = "mobilesync.client"


@dataclass(frozen=True, slots=True)
class SimOptions:
    """How to run a seed."""

    plant: str = ""
    """The name of a planted bug (plants.py); empty for none."""
    trace_lines_max: int = TAIL_LINES_MAX
    keeps_history: bool = False
    """Whether the report carries the whole history."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one seed."""

    seed: int
    findings: tuple[Finding, ...]
    trace_hash: str
    trace_tail: tuple[str, ...]
    """The last lines, oldest first; empty when nothing was found, unless they were asked for."""
    steps: int
    virtual_s: float
    facts: int
    faults: tuple[str, ...]
    history: tuple[h.Fact, ...] = field(default=(), repr=False)

    @property
    def passed(self) -> bool:
        """Whether no guarantee was broken."""
        return not self.findings

    def guarantees(self) -> set[str]:
        """The guarantees that were broken."""
        return {finding.guarantee for finding in self.findings}


def run_seed(seed: int, options: SimOptions | None = None) -> Report:
    """Run one seed to its end. Never raises for what the system does wrong: that is a finding."""
    options = options or SimOptions()
    loop = virtual_loop(time_s_max=TIME_S_MAX)
    trace = Trace(lines_max=options.trace_lines_max)
    chronicle = Chronicle(loop, trace)
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        with logs_into(chronicle, loop), _planted(options.plant):
            world = build(seed, options.plant, loop, chronicle)
            fault = _run(world)
            trace_hash, tail = trace.hash(), trace.tail()
            loop.close()
        # Without the planted bug: it must not fool those who are to find it.
        findings = [fault] if fault is not None else _judge(world)
    finally:
        if was_enabled:
            gc.enable()
    keeps_tail = bool(findings) or options.trace_lines_max != TAIL_LINES_MAX
    return Report(
        seed=seed,
        findings=tuple(findings),
        trace_hash=trace_hash,
        trace_tail=tuple(tail) if keeps_tail else (),
        steps=loop.steps,
        virtual_s=loop.time(),
        facts=len(chronicle.history),
        faults=tuple(sorted(world.scenario.faults)),
        history=tuple(chronicle.history) if options.keeps_history else (),
    )


def run_seeds(
    first: int, count: int, jobs: int = 1, options: SimOptions | None = None
) -> Iterator[Report]:
    """Reports of the seeds `first` … `first + count - 1`, in order, as they come."""
    options = options or SimOptions()
    work = [(seed, options) for seed in range(first, first + count)]
    if jobs <= 1 or count <= 1:
        for seed, each in work:
            yield run_seed(seed, each)
        return
    # A fresh interpreter per worker: a fork would copy whatever threads the caller has.
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(jobs, count)) as pool:
        yield from pool.imap(_run_one, work, chunksize=4)


def _run_one(work: tuple[int, SimOptions]) -> Report:
    return run_seed(*work)


def _run(world: World) -> Finding | None:
    """All of it; what comes back is why it never came to its end."""
    try:
        world.loop.run_until_complete(world.loop.create_task(live(world)))
    except (Deadlock, Runaway) as error:
        return Finding("BUG", world.chronicle.now_ms(), f"{type(error).__name__}: {error}")
    return None


def _judge(world: World) -> list[Finding]:
    findings = own_findings(world) + check_all(world.chronicle.history)
    return sorted(findings, key=lambda finding: finding.at_ms)


@contextmanager
def _planted(name: str) -> Iterator[None]:
    patches = PLANTS[name].patches if name else ()
    was = [getattr(module, attribute) for module, attribute, _ in patches]
    for module, attribute, value in patches:
        setattr(module, attribute, value)
    try:
        yield
    finally:
        for (module, attribute, _), value in zip(patches, was, strict=True):
            setattr(module, attribute, value)


@contextmanager
def logs_into(chronicle: Chronicle, loop: VirtualLoop) -> Iterator[None]:
    """The service's and the SDK's logs become lines of the trace; an error there is a failure."""

    def note(logger: Any, method: str, entry: Any) -> Any:
        exception = entry.pop("exc_info", None)
        text = " ".join(f"{key}={value}" for key, value in sorted(entry.items()))
        chronicle.say("log", f"{method} {text}")
        if method in {"error", "exception", "critical"}:
            loop.failures.append({"message": text, "exception": exception})
        raise structlog.DropEvent

    config = structlog.get_config()
    structlog.configure(processors=[structlog.processors.format_exc_info, note])
    log = logging.getLogger(_CLIENT_LOG)
    handler = _LogHandler(chronicle, loop)
    was = (log.level, log.propagate)
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(handler)
    try:
        yield
    finally:
        structlog.configure(**config)
        log.removeHandler(handler)
        log.level, log.propagate = was


class _LogHandler(logging.Handler):
    def __init__(self, chronicle: Chronicle, loop: VirtualLoop) -> None:
        super().__init__()
        self._chronicle = chronicle
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self._chronicle.say("sdk-log", text)
        if record.levelno >= logging.ERROR:
            self._loop.failures.append({"message": text, "exception": record.exc_info})
