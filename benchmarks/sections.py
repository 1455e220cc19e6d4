"""What the page shows of each work: its words, its charts, and the columns of its tables."""

from collections.abc import Collection
from dataclasses import dataclass

from benchmarks.ratios import DURABLE_PEERS, MOSQUITTO, POSTGRESQL
from benchmarks.works import broadcast, idle, latency, publish, storm, unicast


@dataclass(frozen=True)
class Column:
    """A figure as a table shows it."""

    figure: str
    title: str
    divisor: float = 1.0


@dataclass(frozen=True)
class Chart:
    """Bars of one figure; with `bar`, where ours should end: so many times the best of `peers`."""

    figure: str
    title: str
    unit: str
    divisor: float = 1.0
    cases: tuple[str, ...] = ()
    """Empty: one chart for every case."""
    bar: float | None = None
    peers: Collection[str] = ()
    """Empty: the bar is a value in the chart's unit."""
    more_is_better: bool = False


@dataclass(frozen=True)
class Section:
    """One work on the page."""

    work: str
    title: str
    how: str
    charts: tuple[Chart, ...]
    columns: tuple[Column, ...]
    is_line_chart: bool = False
    """One line per system over the cases, instead of bars for each case."""


_COSTS = (
    Column("server_cpu_share", "server's processor, share"),
    Column("load_cpu_share", "load's processor, share"),
)

SECTIONS = (
    Section(
        "W1",
        "Unicast: publish → fsync → push → ack",
        "Publishers send batches of oplogs for devices at random, each its own channel, as fast as"
        " they are answered: each has a few batches in flight, the same for every system. Devices"
        " ack what came within 100 ms. Processor time is the server's, user and system, over"
        " exactly what was delivered.",
        (
            Chart(
                unicast.PER_S,
                "Delivered, synced, acked",
                "oplogs per second",
                bar=2.0,
                peers=DURABLE_PEERS,
                more_is_better=True,
            ),
            Chart(
                unicast.CPU_US,
                "Server's processor time for each",
                "µs",
                bar=0.6,
                peers=DURABLE_PEERS,
            ),
        ),
        (
            Column(unicast.PER_S, "oplogs/s"),
            Column(unicast.CPU_US, "server CPU, µs per oplog"),
            Column("p50_us", "p50, ms", 1000),
            Column("p99_us", "p99, ms", 1000),
            *_COSTS,
        ),
    ),
    Section(
        "W2",
        "Broadcast: one oplog for everyone",
        "One oplog at a time for all online devices, until the last has it and has acked it. Then"
        " the same with oplogs for single devices beside it, and those alone: what everyone's oplog"
        " does to the p99 of the others. Mosquitto's and NATS' devices subscribe to one name.",
        (
            Chart(
                broadcast.CPU_US,
                "Server's processor time per device",
                "µs",
                cases=(broadcast.ALONE,),
                bar=0.7,
                peers=(MOSQUITTO, "nats"),
            ),
        ),
        (
            Column(broadcast.CPU_US, "server CPU, µs per device"),
            Column(broadcast.LAST_MS, "until the last device, ms"),
            Column(broadcast.UNICAST_P99_US, "unicast p99 meanwhile, ms", 1000),
            Column(broadcast.P99_US, "unicast p99, ms", 1000),
            _COSTS[1],
        ),
    ),
    Section(
        "W3",
        "Storm: all reconnect at once",
        "All devices have been connected once, so that the server knows them. While they are away,"
        " oplogs are published for each. Then all connect at once, with full TLS handshakes; the"
        " clock stops when the last has everything and has acked it. A server that does not take"
        " connections as fast as they come has its backlog overflow, and whom it drops TCP lets try"
        " again after one, three, seven seconds, and longer: then neither processor is busy.",
        (
            Chart(
                storm.CAUGHT_UP_S,
                "Until all have caught up",
                "s",
                bar=0.5,
                peers=(MOSQUITTO,),
            ),
        ),
        (Column(storm.CAUGHT_UP_S, "caught up after, s"), *_COSTS),
    ),
    Section(
        "W4",
        "Idle: many connections, nothing but heartbeats",
        "Resident memory of the server's process for each connection, once all are connected and it"
        " has been quiet; then a minute of heartbeats. The kernel's memory is what it took"
        " for sockets and tables meanwhile; it counts both ends of each connection.",
        (
            Chart(idle.KB, "Resident memory for each connection", "KB", bar=20.0),
            Chart(idle.CPU_S, "Server's processor time", "s per minute"),
        ),
        (
            Column(idle.KB, "KB per connection"),
            Column(idle.KERNEL_KB, "kernel's KB per connection, both ends"),
            Column(idle.CPU_S, "server CPU, s per minute"),
        ),
    ),
    Section(
        "W5",
        "Publish: durable publishes per second",
        "Connections with one request in flight on each, nobody online. Mobilesync: JSON over its"
        " HTTP API. PostgreSQL: prepared inserts into a table with primary key (channel, id), each"
        " transaction synced, with pgbench. JetStream: publishes that wait for their ack.",
        (
            Chart(
                publish.PER_S,
                "Durable publishes",
                "oplogs per second",
                cases=(publish.SINGLES,),
                bar=1.0,
                peers=(POSTGRESQL,),
                more_is_better=True,
            ),
            Chart(
                publish.PER_S,
                "Durable publishes",
                "oplogs per second",
                cases=(publish.BATCHES,),
                bar=2.0,
                peers=(POSTGRESQL,),
                more_is_better=True,
            ),
        ),
        (
            Column(publish.PER_S, "oplogs/s"),
            Column(publish.CPU_US, "server CPU, µs per oplog"),
            Column("p50_us", "answer p50, ms", 1000),
            Column("p99_us", "answer p99, ms", 1000),
            _COSTS[1],
        ),
    ),
    Section(
        "W6",
        "Latency: from due to device",
        "Open loop: oplogs fall due at a fixed rate, whatever the answers do, and the time counts"
        " from when one fell due until the device has it. The rate is a part of what that system"
        " did at most in W1 of the same run: the faster system has more to do.",
        (Chart(latency.P99_US, "p99 from due to device", "ms", divisor=1000),),
        (
            Column("offered_per_s", "offered, oplogs/s"),
            Column("p50_us", "p50, ms", 1000),
            Column(latency.P99_US, "p99, ms", 1000),
            Column("p999_us", "p99.9, ms", 1000),
            Column(unicast.CPU_US, "server CPU, µs per oplog"),
        ),
        is_line_chart=True,
    ),
    Section(
        "SCALE",
        "Scale: more channels, more stored",
        "Mobilesync alone, at a fixed rate and with each push acked at once, so that what is merged"
        " stays the same and only the number of channels or of stored oplogs changes. Publishing"
        " alone sends batches to the channels that hold what is stored, at random. A restart is"
        " timed from starting the process until a publish is answered.",
        (),
        (
            Column(unicast.CPU_US, "server CPU, µs per oplog"),
            Column("publish_cpu_us_per_oplog", "publishing alone, µs per oplog"),
            Column("p99_us", "p99, ms", 1000),
            Column("kb_per_connection", "KB per session"),
            Column("restart_s", "restart, s"),
            Column("disk_mb", "on disk, MB"),
        ),
    ),
)

FAIRNESS = """\
- The same payload of 200 bytes, the same devices, the same machine, in turns: in each round each
  system runs once on a fresh server, and in the next another begins. Figures are medians, with the
  least and the most of the rounds; ratios are taken round by round.
- Devices speak TLS 1.3 to every system. Publishers are on the same machine and speak plain TCP to
  every system.
- Every system's devices ack what they received at most 100 ms after the first of it came: one frame
  or one write for all of it. Mobilesync's own SDK does so; the others get the same.
- Each server is held to the first processor and the load to the others. Processor time is of all of
  the server's processes.
- Who has synced what when a publisher is answered is in the table of the systems. Mosquitto never
  syncs, and JetStream by default every two minutes: they are compared, but the bars for durable
  work are against those that sync first.
- The C floor does the same work (durable before the answer and before the push, ids in order, acks
  saved) on a plain log file, with no rules, no accounts, no history and no HTTP.
- Order, losses and repeats are checked for every system in every run."""
