"""PostgreSQL: oplogs as rows, each transaction synced before it is answered.

It is what a team has already, so it is W5's peer: it takes publishes and pushes to nobody. It gets
more than its defaults where that helps it (memory, room for its log, so that no checkpoint falls
into the seconds that are measured), and syncs as it does by default: one fsync for all transactions
that wait for one.

The table has what is needed to hand a channel's oplogs out in order and to drop expired ones, and
no more: no index of message ids, which would cost it more than it costs us.

pgbench is the load: prepared statements on as many connections as the publishers of the others,
each with one statement in flight. One statement is one transaction, of one row or of a batch.
"""

import os
import pwd
import re
import resource
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.load import pin
from benchmarks.peers.peer import HOST, PeerMissing, Place, Recipe, Running

USER = "postgres"
CHANNELS = 100_000
TABLE = """
CREATE TABLE oplogs (
    channel bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    payload bytea NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    valid_until timestamptz NOT NULL DEFAULT now() + interval '30 days',
    PRIMARY KEY (channel, id)
)
"""
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
}
_PREPARE_TIMEOUT_S = 60.0
_BACKENDS_TIMEOUT_S = 5.0
_TRANSACTIONS = re.compile(r"number of transactions actually processed: (\d+)")
_PER_S = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
_MEAN_MS = re.compile(r"^latency average = ([\d.]+) ms", re.MULTILINE)


class PostgresqlFailed(Exception):
    """A program of PostgreSQL ended with an error; the text is its own."""


@dataclass(frozen=True)
class Inserted:
    """What pgbench did. Rows, not transactions."""

    rows: int
    rows_per_s: float
    mean_ms: float
    """From a statement to its answer."""
    load_cpu_share: float
    server_cpu_s: float


def _prepare(place: Place, program: str) -> Sequence[str]:
    # It refuses to run as root, and whoever it runs as must be able to reach its folder.
    place.folder.chmod(0o711)
    data = place.folder / "data"
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        try:
            owner = pwd.getpwnam(USER)
        except KeyError:
            raise PeerMissing(f"it does not run as root, and there is no user {USER}") from None
        os.chown(data, owner.pw_uid, owner.pw_gid)
    options = ("--auth=trust", "--no-sync", f"--username={USER}", "--encoding=UTF8")
    _run(
        [*_as_user(), _beside(program, "initdb"), *options, "--locale=C", "-D", str(data)],
        place.folder,
    )
    settings = {
        **SETTINGS,
        "listen_addresses": HOST,
        "port": str(place.publish_port),
        "unix_socket_directories": "",
    }
    flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
    return (*_as_user(), program, "-D", str(data), *flags)


def _as_user() -> Sequence[str]:
    if os.geteuid() != 0:
        return ()
    return ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups")


POSTGRESQL = Recipe(
    "postgresql",
    "postgres",
    "postgresql",
    None,
    _prepare,
    publishes_on_device_port=True,
)


def make_table(peer: Running, program: str) -> None:
    """Make the table. `program` is the path of `postgres`; its companions are beside it."""
    quiet = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command")
    end_s = time.monotonic() + _PREPARE_TIMEOUT_S
    while True:
        try:
            _run([_beside(program, "psql"), *_address(peer), *quiet, TABLE], peer.place.folder)
        except PostgresqlFailed as failed:
            # It accepts connections a moment before it lets anybody in.
            if "starting up" not in str(failed) or time.monotonic() > end_s:
                raise
            time.sleep(0.05)
        else:
            return


def insert(
    peer: Running, program: str, *, connections: int, batch: int, seconds: float, payload_bytes: int
) -> Inserted:
    """Insert rows for some seconds, `batch` in each transaction."""
    script = peer.place.folder / f"insert-{batch}.sql"
    script.write_text(statement(batch))
    # Letters are themselves in bytea's text form: as many bytes on the wire as are stored.
    payload = f"--define=payload={'x' * payload_bytes}"
    load = (f"--client={connections}", "--jobs=1", f"--time={max(1, round(seconds))}")
    ways = ("--protocol=prepared", "--no-vacuum", f"--file={script}", payload)
    command = [_beside(program, "pgbench"), *_address(peer), *load, *ways, "postgres"]
    _wait_for_backends(peer)
    server_s = peer.cpu_s()
    before, begin_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    printed = _run(command, peer.place.folder, timeout_s=seconds + _PREPARE_TIMEOUT_S)
    after, took_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - begin_s
    busy_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    _wait_for_backends(peer)
    return inserted(printed, batch, busy_s / took_s, peer.cpu_s() - server_s)


def _wait_for_backends(peer: Running) -> None:
    """Until those whose connection has ended are gone, and their time is with their parent."""
    end_s = time.monotonic() + _BACKENDS_TIMEOUT_S
    while _backends(peer) and time.monotonic() < end_s:
        time.sleep(0.02)


def _backends(peer: Running) -> int:
    count = 0
    for process in psutil.Process(peer.pid).children():
        with suppress(psutil.NoSuchProcess):
            # A backend's title names the user whom it serves; one that ended has none any more.
            title = " ".join(process.cmdline())
            count += not title or f" {USER} " in title
    return count


def statement(batch: int) -> str:
    """pgbench's script: one insert of `batch` rows for channels at random."""
    chances = [f"\\set c{row} random(1, {CHANNELS})" for row in range(batch)]
    rows = ", ".join(f"(:c{row}, :payload)" for row in range(batch))
    return "\n".join((*chances, f"INSERT INTO oplogs (channel, payload) VALUES {rows};")) + "\n"


def inserted(printed: str, batch: int, load_cpu_share: float, server_cpu_s: float) -> Inserted:
    """What pgbench's report says. Raises PostgresqlFailed if it is none."""
    count, per_s, mean = (each.search(printed) for each in (_TRANSACTIONS, _PER_S, _MEAN_MS))
    if not (count and per_s and mean):
        raise PostgresqlFailed(f"pgbench said: {printed[-1000:]}")
    rows, rows_per_s = int(count[1]) * batch, float(per_s[1]) * batch
    return Inserted(rows, rows_per_s, float(mean[1]), load_cpu_share, server_cpu_s)


def _beside(program: str, name: str) -> str:
    """A companion of `postgres`; where only a link to that is on the path, follow it."""
    return str(Path(program).resolve().with_name(name))


def _address(peer: Running) -> Sequence[str]:
    return ("-h", HOST, "-p", str(peer.place.publish_port), "-U", USER)


def _run(command: Sequence[str], folder: Path, timeout_s: float = _PREPARE_TIMEOUT_S) -> str:
    with subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PGOPTIONS": "", "LC_ALL": "C"},
    ) as process:
        pin(process.pid)
        try:
            output, errors = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    if process.returncode:
        raise PostgresqlFailed(f"{Path(command[0]).name}: {(errors or output)[-1000:]}")
    return output
