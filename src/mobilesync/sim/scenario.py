"""What a seed means: who there is, which faults happen, how large everything is.

Strategy: swarm testing. Each seed switches some kinds of faults on and leaves the others out, and
draws its sizes from ranges that reach the engine's bounds quickly; so that rare combinations come
up, and so that a failing seed often has few suspects.
"""

import random
from dataclasses import dataclass, field

from mobilesync.client.options import ClientOptions
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.options import (
    PublisherLimits,
    SchedulerOptions,
    ServiceOptions,
    SessionOptions,
    WakeUpOptions,
)
from mobilesync.sim.bizzes import RULE_KINDS, draw_bizzes

FAULT_KINDS = (
    "server_kill", "server_kill_at_sync", "server_kill_at_step", "power_cut", "disk_full",
    "restore", "cut", "half_open", "stall", "stray", "fragments", "hang", "device_kill",
    "device_kill_at_seam", "reinstall", "switch_user", "background", "server_clock",
    "device_clock", "lost_answers", "slow_reads", "short_tokens", "late_handlers", "upgrade",
    "drain", "device_close",
    "device_disk_full", "token_trouble", "kick", "device_away", "retry_parked",
    "attributes", "rules_change", "recall", "rewind", "offer",
    "user_check_trouble", "user_check_verdict",
)  # fmt: skip

_FILLS_INBOX = {"late_handlers", "switch_user", "device_kill_at_seam"}
"""What leaves oplogs in a device's inbox, where they rightly keep others out."""

ATTRIBUTES = {"lang": ("de", "tr"), "tier": ("gold", "free", "trial")}
"""What apps say of their devices, besides what every device says."""
USERS = ("ann", "7", "bob")

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
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that is decided before the run begins."""

    faults: frozenset[str]
    rules: frozenset[str]
    """Which kinds of rules bizzes and publishes may have (bizzes.py)."""
    apps: tuple[str, ...]
    users: tuple[str, ...]
    devices: tuple[DevicePlan, ...]
    bizzes: tuple[SyncConfig, ...]
    publishes: int
    fault_s: float
    fault_every_s: float
    lose_wakes: float
    poison_share: float
    questions_max: int = 16
    """To one app's callback at the same time."""
    service: ServiceOptions = field(default_factory=ServiceOptions)
    client: ClientOptions = field(default_factory=ClientOptions)


def scenario(rng: random.Random) -> Scenario:
    """The scenario that `rng`, freshly seeded, stands for."""
    share = rng.choice((0.0, 0.2, 0.4, 0.7))
    faults = frozenset(kind for kind in FAULT_KINDS if rng.random() < share)
    rules_share = rng.choice((0.0, 0.2, 0.5, 0.8))
    rules = frozenset(kind for kind in RULE_KINDS if rng.random() < rules_share)
    apps = ("shop", "bank")[: rng.choice((1, 1, 2))]
    users = USERS[: rng.randint(1, 3)]
    devices = tuple(
        DevicePlan(
            app,
            f"d{number}",
            rng.choice(("", *users, *users)),
            rng.choice(("ios", "android", "")),
            rng.choice(("1.0", "1.5", "2.0", "")),
            draw_attributes(rng) if "attributes" in rules else (),
        )
        for app in apps
        for number in range(rng.randint(1, 3) if len(apps) == 2 else rng.randint(2, 5))
    )
    poison_share = rng.choice((0.0, 0.0, 0.05))
    return Scenario(
        faults=faults,
        rules=rules,
        apps=apps,
        users=users,
        devices=devices,
        bizzes=draw_bizzes(rng, rules),
        publishes=rng.randint(10, 50),
        fault_s=rng.uniform(20, 100),
        fault_every_s=rng.choice((1.0, 3.0, 8.0)),
        lose_wakes=rng.choice((0.0, 0.0, 0.3)),
        poison_share=poison_share,
        questions_max=rng.choice((1, 16)),
        service=_service(rng),
        client=_client(rng, small_inbox=not faults & _FILLS_INBOX and not poison_share),
    )


def draw_attributes(rng: random.Random) -> tuple[tuple[str, str], ...]:
    """What an app says of its device."""
    said = ((name, rng.choice((*values, ""))) for name, values in ATTRIBUTES.items())
    return tuple((name, value) for name, value in said if value)


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
