"""The knobs of the engine, with the relations that must hold between them.

The page of settings (names, environment, flags) is built by the command line from its own table;
here are the values that the code works with.
"""

from dataclasses import dataclass, field

from mobilesync.protocol.limits import (
    BEAT_S_MAX,
    CLIENT_FRAME_BYTES_MAX,
    MESSAGE_ID_CHARS_MAX,
    OPLOGS_MAX,
    PAYLOAD_BYTES_MAX,
)

KIB = 1024
OPLOG_OVERHEAD_BYTES = MESSAGE_ID_CHARS_MAX + 32
"""What an oplog adds to a Push besides its payload, at most."""
BATCH_ITEMS_CEILING = 10_000
"""What no setting of `batch_items_max` exceeds: a door reads no further into a longer list."""


@dataclass(frozen=True, slots=True)
class PublisherLimits:
    """What one publish call, and one app, may ask for."""

    payload_bytes_max: int = 64 * KIB
    batch_items_max: int = 1000
    batch_bytes_max: int = 8 * KIB * KIB
    rate_per_s: float = 0.0
    """Oplogs per second and app; 0 for no limit."""
    burst: int = 10_000

    def __post_init__(self) -> None:
        assert 0 < self.payload_bytes_max <= self.batch_bytes_max
        assert self.payload_bytes_max <= PAYLOAD_BYTES_MAX, "devices would refuse it for ever"
        assert 0 < self.batch_items_max <= BATCH_ITEMS_CEILING
        assert self.rate_per_s >= 0
        assert self.burst >= self.batch_items_max


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """Bounds of one session, and of all together."""

    sessions_max: int = 100_000
    logins_max: int = 1_000
    """Logins under way at the same time, while ten times as many wait: admission control for
    reconnect storms."""
    hello_timeout_s: float = 10.0
    beat_min_s: int = 60
    beat_max_s: int = 540
    window_bytes: int = 512 * KIB
    """Pushed but not acked; the first oplog may exceed it alone."""
    window_count: int = 2_000
    push_bytes: int = 128 * KIB
    """One Push, and what a session may send before others have their turn."""
    push_count: int = 500
    buffered_bytes_max: int = 64 * KIB
    """Written but not taken by the kernel: above it the pump waits, and notices are dropped."""
    ack_timeout_s: float = 90.0
    """A device that acks nothing for so long, with pushes under way, is slow. Above the 60 s that
    the SDK gives a handler, because a transactional one holds up acks."""
    messages_per_s_max: int = 200
    bytes_per_s_max: int = 1024 * KIB
    """From one device; the largest Hello is a quarter of it."""
    close_linger_s: float = 5.0
    """How long a closed link may take to send its last bytes."""

    def __post_init__(self) -> None:
        assert min(self.sessions_max, self.logins_max, self.messages_per_s_max) > 0
        assert min(self.hello_timeout_s, self.ack_timeout_s, self.close_linger_s) > 0
        assert self.buffered_bytes_max > 0
        assert 0 < self.beat_min_s <= self.beat_max_s <= BEAT_S_MAX
        assert 0 < self.push_bytes <= self.window_bytes
        assert 0 < self.push_count <= self.window_count
        # A page holds `push_bytes` of payload or one oplog, and its frame must be legal.
        assert self.push_count <= OPLOGS_MAX
        page_bytes = max(self.push_bytes, PAYLOAD_BYTES_MAX)
        assert page_bytes + self.push_count * OPLOG_OVERHEAD_BYTES + KIB <= CLIENT_FRAME_BYTES_MAX


@dataclass(frozen=True, slots=True)
class WakeUpOptions:
    """When devices are woken, and how much may wait."""

    delay_s: float = 1.0
    """How long after an append: whoever is just connecting needs no wake-up."""
    tick_s: float = 0.25
    """How much later at most: how often is looked whether a wake-up is due."""
    again_after_s: float = 300.0
    """How long a target that was woken is left alone while nobody comes."""
    targets_max: int = 100_000
    queue_max: int = 10_000
    workers: int = 8

    def __post_init__(self) -> None:
        assert 0 < self.delay_s < self.again_after_s
        assert self.tick_s > 0
        assert min(self.targets_max, self.queue_max, self.workers) > 0


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """How much is kept of who did what."""

    age_s: int = 180 * 24 * 3600
    entries_max: int = 10_000
    """Of one app: a deed takes a person or a script, and a page of the oldest is seldom read."""
    prune_interval_s: float = 600.0

    def __post_init__(self) -> None:
        assert min(self.age_s, self.entries_max) > 0
        assert self.prune_interval_s > 0


@dataclass(frozen=True, slots=True)
class SchedulerOptions:
    """What may wait until it is due, and how much is appended at once."""

    count_max: int = 100_000
    """Of one app. On the disk; in memory is nothing of them."""
    tick_s: float = 0.25
    batch_count: int = 500
    batch_bytes: int = 4 * KIB * KIB
    batches_max: int = 200
    """In one tick: what is left waits for the next one."""

    def __post_init__(self) -> None:
        assert min(self.count_max, self.batch_count, self.batch_bytes, self.batches_max) > 0
        assert 0 < self.tick_s <= 1, "what is due is appended within a second"


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """How events wait for webhooks, and how hard their delivery is tried."""

    queue_max: int = 100_000
    """Events that wait for one webhook; beyond it new ones are lost, and counted."""
    age_max_s: float = 3 * 24 * 3600.0
    """Older events are given up when a delivery fails."""
    batch_max: int = 100
    """Events in one request."""
    batch_bytes: int = 256 * KIB
    """And about so many bytes; the first event may exceed it alone."""
    timeout_s: float = 10.0
    retry_first_s: float = 1.0
    """The upper bound of the first wait; it doubles each time."""
    retry_max_s: float = 600.0
    workers: int = 32
    """Requests under way at the same time; half of them are for webhooks that answer quickly."""
    slow_s: float = 2.0
    """A webhook that takes longer to answer is served by the other half."""
    tick_s: float = 1.0
    """How often those whose wait is over are looked for."""
    plain_loopback: bool = False
    """Whether receivers on this machine may be without TLS: for development."""

    def __post_init__(self) -> None:
        assert 0 < self.batch_max <= self.queue_max
        assert self.batch_bytes > 0
        assert 0 < self.retry_first_s <= self.retry_max_s < self.age_max_s
        assert 0 < self.slow_s <= self.timeout_s
        assert self.tick_s > 0
        assert self.workers >= 2, "one for the quick, one for the others"


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """All of the engine's knobs."""

    publisher: PublisherLimits = field(default_factory=PublisherLimits)
    session: SessionOptions = field(default_factory=SessionOptions)
    wake_ups: WakeUpOptions = field(default_factory=WakeUpOptions)
    audit: AuditOptions = field(default_factory=AuditOptions)
    scheduler: SchedulerOptions = field(default_factory=SchedulerOptions)
    webhooks: WebhookOptions = field(default_factory=WebhookOptions)
    create_biz_on_first_use: bool = False
    pump_workers: int = 4
    tail_bytes: int = 8 * KIB * KIB
    """Memory for the newest oplogs, so that live devices cost no read of the store."""
    wheel_tick_s: float = 1.0
    sweep_interval_s: float = 5.0
    """One slice of the sweep; a whole sweep takes `sweep_slices` of them."""
    sweep_slices: int = 12
    trim_interval_s: float = 60.0
    trim_channels: int = 2_000
    """Channels looked at in one step of retention, between which others are served."""
    lag_interval_s: float = 0.5
    """How often the loop's lag is measured."""

    def __post_init__(self) -> None:
        assert self.pump_workers > 0
        assert min(self.wheel_tick_s, self.sweep_interval_s, self.trim_interval_s) > 0
        assert self.lag_interval_s > 0
        assert min(self.sweep_slices, self.trim_channels) > 0
