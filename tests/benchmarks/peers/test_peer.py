"""Every peer really starts, speaks TLS 1.3 to devices, costs something, and is gone afterwards."""

import os
import socket
import ssl

import psutil
import pytest

from benchmarks.peers.mosquitto import MOSQUITTO
from benchmarks.peers.nats import CORE_NATS, JETSTREAM, JETSTREAM_ALWAYS
from benchmarks.peers.peer import PeerMissing, Recipe, Running, find, running
from benchmarks.peers.redis import REDIS

ALL = (MOSQUITTO, REDIS, CORE_NATS, JETSTREAM, JETSTREAM_ALWAYS)


def _installed(recipe: Recipe) -> Recipe:
    try:
        find(Recipe(recipe.name, recipe.program, None, recipe.pypi_package, recipe.prepare))
    except PeerMissing as missing:
        pytest.skip(str(missing))
    return recipe


def _tls_version(peer: Running) -> str | None:
    context = ssl.create_default_context(cafile=str(peer.place.certificate))
    with socket.create_connection(("127.0.0.1", peer.place.device_port), timeout=5) as plain:
        if peer.name.startswith(("nats", "jetstream")):
            # NATS says INFO in the clear, and then begins TLS.
            assert plain.recv(4096).startswith(b"INFO ")
        with context.wrap_socket(plain, server_hostname="localhost") as secured:
            return secured.version()


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.name)
def test_a_peer_runs_and_is_gone_afterwards(recipe: Recipe) -> None:
    with running(_installed(recipe)) as peer:
        assert _tls_version(peer) == "TLSv1.3"
        assert peer.rss_kb() > 1000
        assert peer.cpu_s() >= 0
        for thread in psutil.Process(peer.pid).threads():
            assert os.sched_getaffinity(thread.id) == {min(os.sched_getaffinity(0))}
        socket.create_connection(("127.0.0.1", peer.place.publish_port), timeout=5).close()
    assert not psutil.pid_exists(peer.pid)
    assert not peer.place.folder.exists()


@pytest.mark.slow
def test_redis_syncs_before_it_answers() -> None:
    with running(_installed(REDIS)) as peer:
        address = ("127.0.0.1", peer.place.publish_port)
        with socket.create_connection(address, timeout=5) as line:
            line.sendall(b"CONFIG GET appendfsync\r\n")
            assert b"always" in line.recv(4096)


def test_a_missing_peer_says_how_to_install_it() -> None:
    recipe = Recipe("none", "no-such-server", None, "no-such-package", lambda _place, _path: ())
    with pytest.raises(PeerMissing, match=r"no-such-server is missing \(pip install no-such"):
        find(recipe)


def test_a_peer_that_ends_at_once_shows_its_last_words() -> None:
    recipe = Recipe("sh", "sh", None, None, lambda _place, path: (path, "-c", "echo cannot; exit"))
    with pytest.raises(RuntimeError, match="cannot"), running(recipe):
        pass
