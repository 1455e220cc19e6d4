"""Run the load generator (benchmarks/native) and read what it reports.

Strategy: the options of the program as a dataclass, and its last line as a struct; whatever a work
does not report stays None. The program runs on every processor but the server's.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import msgspec

from benchmarks.native.build import build
from benchmarks.peers.ours import Ours
from benchmarks.peers.peer import Running

WITHIN_S = 900.0
STOP_S = 30.0
HELD_S_MAX = 86_400.0
SPEAKS = {"mosquitto": "mqtt", "jetstream-always": "jetstream", "floor-unsynced": "floor"}
"""What is spoken to a peer, where it is not named like the peer."""


class LoadFailed(Exception):
    """The load generator gave up; the text is what it said."""


class Report(msgspec.Struct, frozen=True):
    """What one run came to. Durations of oplogs are in microseconds."""

    speak: str
    work: str
    devices: int
    connect_s: float | None = None
    published: int | None = None
    delivered: int | None = None
    seconds: float | None = None
    delivered_per_s: float | None = None
    published_per_s: float | None = None
    server_cpu_us_per_oplog: float | None = None
    server_cpu_share: float | None = None
    load_cpu_share: float | None = None
    p50_us: float | None = None
    p99_us: float | None = None
    p999_us: float | None = None
    answer_p50_us: float | None = None
    answer_p99_us: float | None = None
    answer_p999_us: float | None = None
    acks: int | None = None
    """Oplogs that were acked."""
    ack_writes: int | None = None
    """Acks that were sent: each holds what came within --ack-ms."""
    out_of_order: int | None = None
    repeated: int | None = None
    foreign: int | None = None
    """Oplogs that an earlier run had left behind; they are acked and not counted."""
    lost: int | None = None
    refused: int | None = None
    """Requests that the server answered with 429 or 503, and which were sent again."""
    reopened: int | None = None
    """Requests that were sent again because their connection had ended."""
    retried: int | None = None
    """Connections that the server ended in a storm, and which came again."""
    caught_up_s: float | None = None
    cpu_us_per_device: float | None = None
    last_device_ms: float | None = None
    last_device_ms_most: float | None = None
    away: int | None = None
    """Devices that had not come back when the storm's time was over."""
    unicast_delivered: int | None = None
    unicast_p50_us: float | None = None
    unicast_p99_us: float | None = None
    unicast_p999_us: float | None = None
    server_rss_kb_before: float | None = None
    server_rss_kb_after: float | None = None
    kb_per_connection: float | None = None
    cpu_s_per_minute: float | None = None


class Connected(msgspec.Struct, frozen=True):
    """What is known once all devices are connected and have settled."""

    connected: int
    connect_s: float
    server_rss_kb_before: float
    server_rss_kb_after: float
    kb_per_connection: float


@dataclass
class Held:
    """Devices that are connected and idle. The report is there after the end."""

    connected: Connected
    report: Report | None = None


@dataclass(frozen=True, kw_only=True)
class Load:
    """The options of the program, by its names; None leaves one at its default."""

    speak: str
    work: str = "unicast"
    host: str | None = None
    device_port: int | None = None
    publish_port: int | None = None
    devices: int | None = None
    first: int | None = None
    seconds: float | None = None
    warm_seconds: float | None = None
    drain_s: float | None = None
    """How long it waits at the end for what has not arrived yet."""
    rate: float | None = None
    unicast_rate: float | None = None
    publishers: int | None = None
    window: int | None = None
    batch: int | None = None
    outstanding: int | None = None
    payload: int | None = None
    ack_ms: int | None = None
    behind: int | None = None
    count: int | None = None
    pause_ms: int | None = None
    beat_s: int | None = None
    connect_at_once: int | None = None
    tokens: Path | None = None
    api_key: str | None = None
    app: str | None = None
    server_pid: int | None = None
    seed: int | None = None
    hold: bool = False

    @classmethod
    def against(cls, peer: Running, *, devices: int, first: int = 0, **others: object) -> Self:
        """For a running server: its ports, its process, and tokens where it wants them."""
        known: dict[str, object] = {
            "speak": SPEAKS.get(peer.name, peer.name),
            "device_port": peer.place.device_port,
            "publish_port": peer.place.publish_port,
            "server_pid": peer.pid,
            "devices": devices,
            "first": first,
        }
        if isinstance(peer, Ours):
            tokens = peer.place.folder / f"tokens-{first}-{devices}.txt"
            peer.write_tokens(tokens, devices, first)
            known |= {"tokens": tokens, "api_key": peer.api_key, "app": peer.app}
        return cls(**(known | others))  # type: ignore[arg-type]  # as in the fields above

    def arguments(self) -> list[str]:
        """As the program takes them."""
        words: list[str] = []
        for field in fields(self):
            value = getattr(self, field.name)
            flag = "--" + field.name.replace("_", "-")
            if value is True:
                words.append(flag)
            elif value is not None and value is not False:
                words += [flag, str(value)]
        return words

    def command(self) -> list[str]:
        """The program, built if need be, and its arguments. Raises BuildError."""
        return [str(build("load")), *self.arguments()]

    @contextmanager
    def held(self) -> Iterator["Held"]:
        """Idle devices, connected until the block ends. Raises LoadFailed."""
        told = replace(self, work="idle", hold=True, seconds=self.seconds or HELD_S_MAX)
        with _started(told.command(), subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            first = process.stdout.readline()
            if not first:
                raise _failure(process)
            held = Held(msgspec.json.decode(first, type=Connected))
            yield held
            process.stdin.close()
            last = process.stdout.read()
            if process.wait(STOP_S) != 0:
                raise _failure(process)
            held.report = msgspec.json.decode(last.splitlines()[-1], type=Report)

    def run(self, within_s: float = WITHIN_S) -> Report:
        """Run it to its end. Raises LoadFailed, with what the program said."""
        with _started(self.command(), subprocess.DEVNULL) as process:
            try:
                output, errors = process.communicate(timeout=within_s)
            except subprocess.TimeoutExpired:
                raise LoadFailed(f"not done within {within_s:g} s") from None
            if process.returncode != 0:
                raise LoadFailed(errors.strip() or f"ended with status {process.returncode}")
        return msgspec.json.decode(output.splitlines()[-1], type=Report)


@contextmanager
def _started(command: list[str], stdin: int) -> Iterator[subprocess.Popen[str]]:
    """The program, on its processor; it is gone afterwards, whatever happens."""
    process = subprocess.Popen(
        command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            pin(process.pid)
            yield process
        finally:
            process.kill()


def _failure(process: subprocess.Popen[str]) -> LoadFailed:
    assert process.stderr is not None
    process.wait(STOP_S)
    return LoadFailed(process.stderr.read().strip() or f"status {process.returncode}")


def pin(pid: int) -> None:
    """Keep the process off the server's processor, where there is another."""
    all_of_them = os.sched_getaffinity(0)
    if others := all_of_them - {min(all_of_them)}:
        os.sched_setaffinity(pid, others)
