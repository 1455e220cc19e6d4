"""Deaths at the seams of the local store: what was durable before is durable after."""

import random
import sqlite3

import pytest

from mobilesync.client.local_store import LocalStore
from mobilesync.domain.channel import Channel
from mobilesync.protocol.messages import Push, PushedOplog
from mobilesync.sim import history as h
from mobilesync.sim.chronicle import Chronicle
from mobilesync.sim.device_store import Deadly, Moment, WatchedStore
from mobilesync.sim.loop import Process, ProcessDied, virtual_loop
from mobilesync.sim.trace import Trace

PUSH = Push(
    "CHAT", "user:ann", 0, 2, [PushedOplog(1, 5, b"a", "m1"), PushedOplog(2, 5, b"b", "m2")]
)
CHANNEL = Channel("shop", "CHAT", "user:ann")


class Bench:
    """A watched store on a connection that outlives it."""

    def __init__(self, seed: int = 0) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.chronicle = Chronicle(virtual_loop(), Trace())
        self.deadly = Deadly(Process("app"), random.Random(seed))
        self.store = WatchedStore(
            self.connection,
            app="shop",
            device="d1",
            chronicle=self.chronicle,
            deadly=self.deadly,
        )

    def received(self) -> int:
        """What the next life finds."""
        if self.connection.in_transaction:
            self.connection.rollback()
        store = LocalStore(self.connection, app="shop", device="d1")
        points = store.points(["user:ann"])
        rows = store.inbox_count
        assert rows == (2 if points else 0), "oplogs and point together or not at all"
        return points[0].received if points else 0


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_is_saved_and_marked_is_written_down(bench: Bench) -> None:
    bench.store.apply([PUSH], 1)
    row = bench.store.take(("CHAT", "user:ann"))
    assert row is not None
    bench.store.finish([row.key])
    kinds = [type(fact) for fact in bench.chronicle.history]
    assert kinds == [h.Saved, h.Marked]
    saved = bench.chronicle.history[0]
    assert isinstance(saved, h.Saved)
    assert (saved.channel, saved.upto, saved.ids) == (CHANNEL, 2, (1, 2))


@pytest.mark.parametrize("moment, received", [("before", 0), ("after", 2)])
def test_death_beside_the_transaction(bench: Bench, moment: Moment, received: int) -> None:
    bench.deadly.armed = ("apply", moment)
    with pytest.raises(ProcessDied):
        bench.store.apply([PUSH], 1)
    assert not bench.deadly.process.alive
    assert bench.received() == received
    assert len(bench.chronicle.history) == (1 if received else 0)


def test_death_inside_the_transaction_is_all_or_nothing() -> None:
    outcomes = set()
    for seed in range(40):
        bench = Bench(seed)
        bench.deadly.armed = ("apply", "inside")
        with pytest.raises(ProcessDied):
            bench.store.apply([PUSH], 1)
        outcomes.add(bench.received())
    assert 0 in outcomes, "SQLite is interrupted in the middle"
    assert outcomes <= {0, 2}


def test_the_dead_write_nothing(bench: Bench) -> None:
    bench.deadly.process.alive = False
    with pytest.raises(ProcessDied):
        bench.store.apply([PUSH], 1)
    with pytest.raises(ProcessDied), bench.store.handling(1):
        pass
    assert bench.received() == 0
