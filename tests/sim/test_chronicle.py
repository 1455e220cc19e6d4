"""Facts go into the history and into the hash."""

from mobilesync.sim import history as h
from mobilesync.sim.chronicle import Chronicle, digest_of
from mobilesync.sim.clock import WALL_BEGIN_MS
from mobilesync.sim.loop import virtual_loop
from mobilesync.sim.trace import Trace


def test_facts_and_lines() -> None:
    loop = virtual_loop()
    chronicle = Chronicle(loop, Trace())
    before = chronicle.trace.hash()
    chronicle.add(h.Ended(chronicle.now_ms()))
    assert chronicle.history == [h.Ended(WALL_BEGIN_MS)]
    assert chronicle.trace.hash() != before
    chronicle.say("somebody", "something")
    assert chronicle.trace.tail()[-1].split() == ["0.000000", "somebody", "something"]
    loop.close()


def test_digests_tell_payloads_apart() -> None:
    assert digest_of(b"a") == digest_of(b"a") != digest_of(b"b")
