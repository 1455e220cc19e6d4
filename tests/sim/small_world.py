"""A world without faults and rules, whose parts a test drives itself."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from mobilesync.engine.publication import Publication
from mobilesync.sim import run, world
from mobilesync.sim.bizzes import draw_bizzes
from mobilesync.sim.chronicle import Chronicle
from mobilesync.sim.history import Fact
from mobilesync.sim.loop import virtual_loop
from mobilesync.sim.trace import Trace
from mobilesync.sim.world import World

_Fact = TypeVar("_Fact", bound=Fact)


def play(act: Callable[[World], Awaitable[None]], seed: int = 0) -> World:
    """Build the world of `seed`, start its server and its devices, and let `act` play."""
    loop = virtual_loop(time_s_max=10_000)
    chronicle = Chronicle(loop, Trace(lines_max=10**6))

    async def main(built: World) -> None:
        await world.open_doors(built)
        for device in built.devices:
            device.start()
        await act(built)

    try:
        with run.logs_into(chronicle, loop):
            built = world.build(seed, "", loop, chronicle)
            bizzes = draw_bizzes(random.Random(0), frozenset())
            nothing: frozenset[str] = frozenset()
            built.scenario = replace(built.scenario, faults=nothing, rules=nothing, bizzes=bizzes)
            loop.run_until_complete(loop.create_task(main(built)))
        assert not loop.failures
    finally:
        loop.close()
    return built


def publication(target: str, message_id: str, *, payload: bytes = b"n") -> Publication:
    return Publication(biz="CHAT", target=target, payload=payload, message_id=message_id)


def of_kind(built: World, kind: type[_Fact]) -> list[_Fact]:
    """All facts of one kind."""
    return [fact for fact in built.chronicle.history if isinstance(fact, kind)]
