"""What a seed means: who there is, which faults happen, how large everything is.

Strategy: swarm testing. Each seed switches some kinds of faults on and leaves the others out, and
draws its sizes from ranges that reach the engine's bounds quickly; so that rare combinations come
up, and so that a failing seed often has few suspects.
"""

import random
from dataclasses import dataclass, field

from mobilesync.client.options import ClientOptions
from mobilesync.domain.sync_config import DAY_S, SyncConfig
from mobilesync.engine.options import (
    PublisherLimits,
    SchedulerOptions,
    ServiceOptions,
    SessionOptions,
    WakeUpOptions,
)

FAULT_KINDS = (
    "server_kill", "server_kill_at_sync", "server_kill_at_step", "power_cut", "disk_full",
    "restore", "cut", "half_open", "stall", "stray", "fragments", "hang", "device_kill",
    "device_kill_at_seam", "reinstall", "switch_user", "background", "server_clock",
    "device_clock", "lost_answers", "slow_reads", "short_tokens", "late_handlers", "upgrade",
    "drain", "biz_offline", "device_close",
    "device_disk_full", "token_trouble", "kick", "device_away", "retry_parked",
)  # fmt: skip

_FILLS_INBOX = {"late_handlers", "switch_user", "device_kill_at_seam"}
"""What leaves oplogs in a device's inbox, where they rightly keep others out."""

BEAT_MIN_S = 10
BEAT_MAX_S = 30
CONVERGE_S = 180.0
QUIET_S = 240.0


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """One device as it begins."""

    app: str
    device: str
    user: str
    os: str
    app_version: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that is decided before the run begins."""

    faults: frozenset[str]
    apps: tuple[str, ...]
    users: tuple[str, ...]
    devices: tuple[DevicePlan, ...]
    bizzes: tuple[SyncConfig, ...]
    publishes: int
    fault_s: float
    fault_every_s: float
    lose_wakes: float
    poison_share: float
    service: ServiceOptions = field(default_factory=ServiceOptions)
    client: ClientOptions = field(default_factory=ClientOptions)


def scenario(rng: random.Random) -> Scenario:
    """The scenario that `rng`, freshly seeded, stands for."""
    share = rng.choice((0.0, 0.2, 0.4, 0.7))
    faults = frozenset(kind for kind in FAULT_KINDS if rng.random() < share)
    apps = ("shop", "bank")[: rng.choice((1, 1, 2))]
    users = ("ann", "bob", "cem")[: rng.randint(1, 3)]
    devices = tuple(
        DevicePlan(
            app,
            f"d{number}",
            rng.choice(("", *users, *users)),
            rng.choice(("ios", "android", "")),
            rng.choice(("1.0", "1.5", "2.0", "")),
        )
        for app in apps
        for number in range(rng.randint(1, 3) if len(apps) == 2 else rng.randint(2, 5))
    )
    poison_share = rng.choice((0.0, 0.0, 0.05))
    return Scenario(
        faults=faults,
        apps=apps,
        users=users,
        devices=devices,
        bizzes=_bizzes(rng),
        publishes=rng.randint(10, 50),
        fault_s=rng.uniform(20, 100),
        fault_every_s=rng.choice((1.0, 3.0, 8.0)),
        lose_wakes=rng.choice((0.0, 0.0, 0.3)),
        poison_share=poison_share,
        service=_service(rng),
        client=_client(rng, small_inbox=not faults & _FILLS_INBOX and not poison_share),
    )


def _bizzes(rng: random.Random) -> tuple[SyncConfig, ...]:
    long_s = 30 * DAY_S
    short_s = rng.randint(15, 90)
    retention_s = [short_s if rng.random() < 0.2 else long_s for _ in range(3)]
    return (
        SyncConfig(biz="CHAT", retention_s=retention_s[0]),
        SyncConfig(biz="PAY", retention_s=retention_s[1], priority=rng.choice((0, 5))),
        SyncConfig(biz="FLAGS", retention_s=retention_s[2]),
        SyncConfig(biz="LIVE", persistent=False),
    )


def _service(rng: random.Random) -> ServiceOptions:
    push_bytes = rng.choice((600, 4096, 128 * 1024))
    push_count = rng.choice((1, 3, 500))
    session = SessionOptions(
        hello_timeout_s=5.0,
        beat_min_s=BEAT_MIN_S,
        beat_max_s=BEAT_MAX_S,
        window_bytes=push_bytes * rng.choice((1, 4)),
        window_count=push_count * rng.choice((1, 4)),
        push_bytes=push_bytes,
        push_count=push_count,
        buffered_bytes_max=rng.choice((1024, 64 * 1024)),
        # Longer than a transactional handler may keep its device from saving.
        ack_timeout_s=30.0,
    )
    return ServiceOptions(
        publisher=PublisherLimits(),
        session=session,
        pump_workers=rng.choice((1, 4)),
        tail_bytes=rng.choice((0, 2_000, 1_000_000)),
        wheel_tick_s=1.0,
        sweep_interval_s=2.0,
        sweep_slices=5,
        trim_interval_s=rng.choice((5.0, 30.0)),
        trim_channels=rng.choice((2, 2000)),
        # What ticks without being judged costs most of a run's time.
        wake_ups=WakeUpOptions(tick_s=10.0),
        scheduler=SchedulerOptions(tick_s=1.0),
        lag_interval_s=10.0,
    )


def _client(rng: random.Random, *, small_inbox: bool) -> ClientOptions:
    return ClientOptions(
        inbox_count_max=4 if small_inbox and rng.random() < 0.5 else 10_000,
        concurrency_max=rng.choice((1, 8)),
        handler_timeout_s=8.0,
        attempts_max=6,
        handler_backoff_max_s=5.0,
        connect_timeout_s=rng.choice((5.0, 20.0)),
        pong_timeout_s=5.0,
        reconnect_max_s=rng.choice((4.0, 15.0)),
        stable_s=20.0,
    )
