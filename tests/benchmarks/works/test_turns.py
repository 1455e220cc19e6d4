"""Turns are interleaved; a missing or failing peer is told; ours may not fail."""

import pytest

from benchmarks import systems
from benchmarks.load import LoadFailed
from benchmarks.works.turns import Options, Turns
from tests.benchmarks.canned import CannedBench, silent

THREE = (systems.OURS, systems.FLOOR, systems.REDIS_STREAMS)
ASKED: dict[systems.System, Options] = {system: {"devices": 5} for system in THREE}


def _bench() -> CannedBench:
    return CannedBench({system.name: {"per_s": 2.0} for system in THREE})


def test_another_begins_in_each_round() -> None:
    bench = _bench()
    turns = Turns("W1", bench, silent)
    turns.take("few", "unicast", ASKED, 2, ("per_s",))
    order = [name for name, *_ in bench.asked]
    assert order == ["mobilesync", "floor", "redis", "floor", "redis", "mobilesync"]
    assert turns.rounds("few", "per_s") == {system.name: [2.0, 2.0] for system in THREE}


def test_a_missing_peer_is_told_and_asked_no_more() -> None:
    bench = _bench()
    bench.absent.add("redis")
    turns = Turns("W1", bench, silent)
    turns.take("few", "unicast", ASKED, 3, ("per_s",))
    assert [name for name, *_ in bench.asked].count("redis") == 1
    assert [(each.system, each.why) for each in turns.missing] == [("redis", "redis is missing")]
    assert "redis" not in turns.rounds("few", "per_s")


def test_a_peer_may_fail_once() -> None:
    bench = _bench()
    bench.failures["redis"] = 1
    turns = Turns("W1", bench, silent)
    turns.take("few", "unicast", ASKED, 1, ("per_s",))
    assert not turns.missing


def test_a_peer_that_fails_twice_is_left_out_of_the_case_and_its_rounds() -> None:
    bench = _bench()
    turns = Turns("W1", bench, silent)
    turns.take("few", "unicast", ASKED, 1, ("per_s",))
    bench.failures["redis"] = 2
    turns.take("many", "unicast", ASKED, 2, ("per_s",))
    assert "connection refused" in turns.missing[0].why
    assert set(turns.rounds("many", "per_s")) == {"mobilesync", "floor"}
    assert "redis" in turns.rounds("few", "per_s")


def test_ours_may_not_fail() -> None:
    bench = _bench()
    bench.failures["mobilesync"] = 1
    with pytest.raises(LoadFailed):
        Turns("W1", bench, silent).take("few", "unicast", ASKED, 1, ("per_s",))
