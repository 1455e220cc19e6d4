"""The systems that are compared: ours, the floor, and each peer, with what its answer means."""

from dataclasses import dataclass
from typing import Literal

from benchmarks.peers.floor import FLOOR as C_FLOOR
from benchmarks.peers.mosquitto import MOSQUITTO
from benchmarks.peers.nats import CORE_NATS, JETSTREAM, JETSTREAM_ALWAYS
from benchmarks.peers.peer import Recipe
from benchmarks.peers.postgresql import POSTGRESQL
from benchmarks.peers.redis import REDIS
from benchmarks.ratios import FLOOR as FLOOR_NAME
from benchmarks.ratios import OURS as OURS_NAME

Speaks = Literal["mobilesync", "floor", "mqtt", "jetstream", "nats", "redis", "sql"]


@dataclass(frozen=True)
class System:
    """One row of every table."""

    name: str
    title: str
    speaks: Speaks
    answers: str
    """What has happened to an oplog when its publisher is answered."""
    recipe: Recipe | None = None
    """How it is started, unless it is our own."""
    version: tuple[str, ...] = ("--version",)
    """What makes the peer's program tell its version; empty if it has none."""


OURS = System(OURS_NAME, "Mobilesync", "mobilesync", "synced; one fsync for all that wait for one")
FLOOR = System(
    FLOOR_NAME,
    "C floor",
    "floor",
    "synced to a plain log file; one fsync for all that wait",
    C_FLOOR,
    (),
)
MOSQUITTO_2 = System(
    "mosquitto",
    "Mosquitto",
    "mqtt",
    "in memory; saved now and then, never synced",
    MOSQUITTO,
    ("-h",),
)
REDIS_STREAMS = System(
    "redis",
    "Redis Streams, AOF always",
    "redis",
    "synced; one fsync for all of a turn",
    REDIS,
)
NATS = System("nats", "core NATS", "nats", "passed on; nothing is stored or acked", CORE_NATS)
JETSTREAM_DEFAULT = System(
    "jetstream",
    "JetStream, default sync",
    "jetstream",
    "written; synced every two minutes",
    JETSTREAM,
)
JETSTREAM_SYNCED = System(
    "jetstream-always",
    "JetStream, sync always",
    "jetstream",
    "synced; one fsync for each",
    JETSTREAM_ALWAYS,
)
POSTGRESQL_ROWS = System(
    "postgresql",
    "PostgreSQL",
    "sql",
    "synced; one fsync for all that wait for one",
    POSTGRESQL,
)

ALL = (
    OURS,
    FLOOR,
    MOSQUITTO_2,
    REDIS_STREAMS,
    JETSTREAM_SYNCED,
    JETSTREAM_DEFAULT,
    NATS,
    POSTGRESQL_ROWS,
)
UNICAST = (OURS, FLOOR, MOSQUITTO_2, REDIS_STREAMS, JETSTREAM_SYNCED, JETSTREAM_DEFAULT)
UNICAST_JUDGED = (OURS, FLOOR, MOSQUITTO_2, REDIS_STREAMS, JETSTREAM_SYNCED)
"""Those that the bars are about. JetStream takes long to set up a consumer for each device, and
only the one that syncs first is a peer of the bars: a run that is to end soon has no other."""
BROADCAST = (OURS, FLOOR, MOSQUITTO_2, NATS)
STORM = (OURS, MOSQUITTO_2)
IDLE = (OURS, FLOOR, MOSQUITTO_2)
PUBLISH = (OURS, POSTGRESQL_ROWS, JETSTREAM_SYNCED, JETSTREAM_DEFAULT)


def titled(name: str) -> str:
    """What a system is called on the page."""
    return next((system.title for system in ALL if system.name == name), name)
