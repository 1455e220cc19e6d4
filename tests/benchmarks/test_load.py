"""The load generator with every protocol: nothing lost, nothing out of order, all acked."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.load import Load, LoadFailed, Report
from benchmarks.native.build import BuildError, build
from benchmarks.peers.floor import FLOOR
from benchmarks.peers.mosquitto import MOSQUITTO
from benchmarks.peers.nats import CORE_NATS, JETSTREAM
from benchmarks.peers.ours import Ours, ours
from benchmarks.peers.peer import PeerMissing, Recipe, Running, running
from benchmarks.peers.redis import REDIS

DEVICES = 20


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        pytest.skip("there is no C compiler")
    try:
        build("load")
    except BuildError as error:
        if "libssl-dev" in str(error):
            pytest.skip(str(error))
        raise


def _check_nothing_is_lost(report: Report) -> None:
    assert report.delivered
    assert report.delivered == report.published
    assert (report.lost, report.out_of_order, report.repeated, report.foreign) == (0, 0, 0, 0)
    assert report.p50_us is not None
    assert report.p99_us is not None
    assert 0 < report.p50_us <= report.p99_us < 10e6
    assert report.server_cpu_us_per_oplog is not None


@pytest.mark.slow
def test_mobilesync_unicast() -> None:
    with ours() as server:
        fast = Load.against(server, devices=DEVICES, seconds=1, warm_seconds=0.2)
        report = fast.run(30)
        _check_nothing_is_lost(report)
        assert report.acks == report.delivered
        # Merged: each device acks about ten times a second.
        assert report.ack_writes
        assert report.ack_writes <= DEVICES * 15
        _check_a_second_run(server)
        _check_bare_publishes(server)
        _check_a_refusal(server)


def _check_a_second_run(server: Ours) -> None:
    """The same devices, with nothing in their hands, get the first run's oplogs again."""
    again = Load.against(
        server, devices=DEVICES, seconds=1, warm_seconds=0, rate=500, payload=20, batch=10
    )
    report = again.run(30)
    assert report.delivered == 500
    assert (report.lost, report.out_of_order, report.repeated) == (0, 0, 0)
    assert report.foreign


def _check_bare_publishes(server: Ours) -> None:
    publish = Load.against(
        server, devices=DEVICES, work="publish", seconds=0.5, warm_seconds=0, publishers=8, batch=1
    )
    report = publish.run(30)
    assert report.published
    assert report.published_per_s
    assert report.refused == 0


def _check_a_refusal(server: Ours) -> None:
    tokens = Path(server.place.folder) / "wrong-tokens.txt"
    tokens.write_text("nonsense\n" * DEVICES)
    with pytest.raises(LoadFailed, match="Close"):
        Load.against(server, devices=DEVICES, tokens=tokens).run(30)
    with pytest.raises(LoadFailed, match="HTTP 401"):
        Load.against(server, devices=DEVICES, api_key="wrong", warm_seconds=1).run(30)


@contextmanager
def _peer(recipe: Recipe) -> Iterator[Running]:
    """A peer that is there already: a test installs nothing."""
    try:
        with running(replace(recipe, debian_package=None)) as peer:
            yield peer
    except PeerMissing as missing:
        pytest.skip(str(missing))


def test_floor_unicast() -> None:
    with _peer(FLOOR) as floor:
        report = Load.against(floor, devices=DEVICES, seconds=1, warm_seconds=0.2).run(30)
        _check_nothing_is_lost(report)
        assert report.acks == report.delivered


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [MOSQUITTO, REDIS, JETSTREAM], ids=lambda each: each.name)
def test_unicast_of_a_peer(recipe: Recipe) -> None:
    with _peer(recipe) as peer:
        told = Load.against(peer, devices=DEVICES, seconds=1, warm_seconds=0.2, outstanding=500)
        report = told.run(30)
        _check_nothing_is_lost(report)
        assert report.acks == report.delivered
        assert report.ack_writes
        assert report.ack_writes <= DEVICES * 15


@pytest.mark.slow
def test_nats_unicast_and_broadcast() -> None:
    with _peer(CORE_NATS) as nats:
        unicast = Load.against(nats, devices=DEVICES, seconds=0.5, warm_seconds=0.1)
        report = unicast.run(30)
        _check_nothing_is_lost(report)
        assert report.acks == 0
        broadcast = replace(unicast, work="broadcast", count=3, pause_ms=10)
        assert broadcast.run(30).delivered == 3 * DEVICES
        with pytest.raises(LoadFailed, match="keeps nothing"):
            replace(unicast, work="storm", behind=1).run(30)


@pytest.mark.slow
def test_jetstream_publishes() -> None:
    with _peer(JETSTREAM) as jetstream:
        told = Load.against(
            jetstream, devices=DEVICES, work="publish", seconds=0.5, warm_seconds=0, batch=1
        )
        assert told.run(30).published


@contextmanager
def _server(name: str) -> Iterator[Running]:
    if name == "mobilesync":
        with ours() as server:
            yield server
    else:
        with _peer({"floor": FLOOR, "mqtt": MOSQUITTO}[name]) as peer:
            yield peer


EVERY_WORK = pytest.mark.parametrize("name", ["mobilesync", "floor", "mqtt"])


@pytest.mark.slow
@EVERY_WORK
def test_broadcast(name: str) -> None:
    with _server(name) as server:
        told = Load.against(
            server, devices=DEVICES, work="broadcast", count=3, pause_ms=20, ack_ms=10
        )
        report = told.run(30)
        assert report.published == 3
        assert report.delivered == report.acks == 3 * DEVICES
        assert (report.lost, report.out_of_order, report.repeated) == (0, 0, 0)
        assert report.last_device_ms is not None
        assert report.last_device_ms_most is not None
        assert 0 < report.last_device_ms <= report.last_device_ms_most
        both = replace(told, unicast_rate=200).run(30)
        assert both.delivered == 3 * DEVICES
        assert both.unicast_delivered
        assert both.lost == 0


@pytest.mark.slow
@EVERY_WORK
def test_storm(name: str) -> None:
    with _server(name) as server:
        report = Load.against(server, devices=DEVICES, work="storm", behind=5).run(30)
        assert report.delivered == report.acks == 5 * DEVICES
        assert (report.lost, report.out_of_order, report.repeated, report.away) == (0, 0, 0, 0)
        assert report.caught_up_s


@pytest.mark.slow
@EVERY_WORK
def test_idle(name: str) -> None:
    with _server(name) as server:
        idle = Load.against(server, devices=DEVICES, beat_s=1, seconds=20)
        with idle.held() as held:
            assert held.connected.connected == DEVICES
            assert held.connected.server_rss_kb_after > 1000
        assert held.report is not None
        assert held.report.cpu_s_per_minute is not None
        assert held.report.seconds is not None
        assert held.report.seconds < 2


def test_no_server_is_said_in_a_sentence() -> None:
    nobody = Load(speak="floor", device_port=1, publish_port=1, devices=1)
    with pytest.raises(LoadFailed, match="refused"):
        nobody.run(30)
