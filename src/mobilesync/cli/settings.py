"""Every setting of the server, in one table: what it is, who turns it and when, its bounds.

Strategy: the dataclass below is the table, and the only place that knows a setting. The flags of
`serve`, the names in the environment, the keys of the file and docs/operating/settings.md are made
from it; a test fails when the page is not what the table says.

A new setting must say who turns it, when, and its bound. What nobody would turn is a constant.

Not here: the apps, which only a file can define (app_tables.py); combinations that are refused
(safety.py).
"""

# ruff: noqa: RUF009 # `setting` makes a field, as dataclasses.field does

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mobilesync.cli.setting import setting, table_of
from mobilesync.engine.options import BATCH_ITEMS_CEILING
from mobilesync.protocol.limits import BEAT_S_MAX, PAYLOAD_BYTES_MAX

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
PORT_MAX = 65535

_SERVER, _DEVICES, _API = "The server", "The devices' door", "The business API"
_PUBLISHING, _SESSIONS, _WEBHOOKS = "Publishing", "Sessions", "Webhooks"
_STORE = "The store"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The values that a server runs with."""

    mode: Literal["development", "production"] = setting(
        "development",
        "`development` works at once and trusts everybody on this machine; `production` refuses "
        "whatever is unsafe.",
        turned="The operator, before anybody but themselves depends on the server.",
        group=_SERVER,
    )
    data: Path = setting(
        Path("mobilesync-data"),
        "The data folder. One server uses it at a time; made if it is missing.",
        turned="The operator, at installation: a local disk that honours fsync.",
        group=_SERVER,
    )
    log_format: Literal["auto", "console", "json"] = setting(
        "auto",
        "How log lines look. `auto`: for people on a terminal, JSON elsewhere.",
        turned="The operator, when their log collector wants the other one.",
        group=_SERVER,
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "info",
        "Lines below this level are not written.",
        turned="The operator, while looking for the cause of something.",
        group=_SERVER,
    )
    drain_s: float = setting(
        10.0,
        "A stopping server sends its devices away within this time, and asks them to come back "
        "spread over as long.",
        turned="The operator of very many devices: logins per second = devices / this. The "
        "process supervisor must wait a little longer before it kills.",
        group=_SERVER,
        low=0.1,
        high=600,
    )
    host: str = setting(
        "127.0.0.1",
        "The address that devices connect to; `0.0.0.0` or `::` for all of this machine.",
        turned="The operator, as soon as devices are elsewhere.",
        group=_DEVICES,
    )
    port: int = setting(
        7443,
        "The TLS port for devices; 0 picks a free one.",
        turned="The operator; 443 passes most firewalls.",
        group=_DEVICES,
        high=PORT_MAX,
    )
    tls_certificate: str = setting(
        "",
        "The certificate with its chain, in PEM. Left out in development, one is made. "
        "Read again on SIGHUP.",
        turned="The operator, in production.",
        group=_DEVICES,
    )
    tls_key: str = setting(
        "",
        "The private key of the certificate, in PEM, not encrypted.",
        turned="The operator, in production.",
        group=_DEVICES,
    )
    token_leeway_s: float = setting(
        30.0,
        "How far the clock of whoever signs tokens may be from this one.",
        turned="The operator, when good tokens are refused as expired or not valid yet.",
        group=_DEVICES,
        high=600,
    )
    api_host: str = setting(
        "127.0.0.1",
        "The address of the business API.",
        turned="The operator, when business servers are on other machines.",
        group=_API,
    )
    api_port: int = setting(
        7480,
        "The port of the business API; 0 picks a free one.",
        turned="The operator, when it is taken.",
        group=_API,
        high=PORT_MAX,
    )
    api_tls: bool = setting(
        False,
        "Whether the API speaks HTTPS, with the same certificate as the devices' door.",
        turned="The operator, when the API is not behind a proxy that does.",
        group=_API,
    )
    api_behind_proxy: bool = setting(
        False,
        "Whether a proxy ends TLS before the API, so that it may speak HTTP beyond this machine.",
        turned="The operator who has such a proxy.",
        group=_API,
    )
    development_key: bool = setting(
        True,
        "Whether an API key for everything is made and left in the data folder.",
        turned="Nobody: production refuses it.",
        group=_API,
        production=False,
    )
    metrics_public: bool = setting(
        False,
        "Whether `/metrics` answers without an API key.",
        turned="The operator, when their Prometheus cannot send one and the API is not public.",
        group=_API,
    )
    access_log: bool = setting(
        True,
        "Whether each request to the API is a line in the log.",
        turned="The operator who publishes one by one, very often: a line costs as much as they.",
        group=_API,
    )
    create_biz_on_first_use: bool = setting(
        True,
        "Whether publishing to an unknown biz creates it with the default rules.",
        turned="Nobody: production refuses it, since every misspelling would become a biz.",
        group=_PUBLISHING,
        production=False,
    )
    payload_bytes_max: int = setting(
        64 * KIB,
        "The largest payload of one oplog.",
        turned="The operator, together with the apps: old ones may not expect more.",
        group=_PUBLISHING,
        low=1,
        high=PAYLOAD_BYTES_MAX,
    )
    batch_items_max: int = setting(
        1000,
        "The most oplogs in one request.",
        turned="The operator, when businesses publish in bulk.",
        group=_PUBLISHING,
        low=1,
        high=BATCH_ITEMS_CEILING,
    )
    batch_bytes_max: int = setting(
        8 * MIB,
        "The most payload bytes in one request.",
        turned="The operator, together with `batch_items_max`.",
        group=_PUBLISHING,
        low=1,
        high=64 * MIB,
    )
    publish_rate_per_s: float = setting(
        0.0,
        "Oplogs per second and app beyond which publishes are answered 429; 0 for no limit.",
        turned="The operator, when one app crowds out others.",
        group=_PUBLISHING,
        high=1e7,
    )
    publish_burst: int = setting(
        10_000,
        "Oplogs that an app may publish at once before that rate counts.",
        turned="The operator, together with `publish_rate_per_s`.",
        group=_PUBLISHING,
        low=1,
        high=10_000_000,
    )
    wake_up_again_s: float = setting(
        300.0,
        "How long a user or device that was woken is left alone while nobody comes, in seconds.",
        turned="The operator, when apps are woken too often, or too seldom.",
        group=_PUBLISHING,
        low=2,
        high=86_400,
    )
    scheduled_max: int = setting(
        100_000,
        "Scheduled oplogs of one app that may wait for their time; more are answered 429.",
        turned="The operator, when an app plans ahead for very many users; each waits on the disk.",
        group=_PUBLISHING,
        low=1,
        high=10_000_000,
    )
    sessions_max: int = setting(
        100_000,
        "Devices connected at the same time; more are asked to come back later.",
        turned="The operator, by memory (about 30 KB each) and by the limit of open files.",
        group=_SESSIONS,
        low=1,
        high=1_000_000,
    )
    logins_max: int = setting(
        1_000,
        "Logins under way at the same time, while ten times as many wait.",
        turned="The operator of very many devices, when they all return at once.",
        group=_SESSIONS,
        low=1,
        high=100_000,
    )
    hello_timeout_s: float = setting(
        10.0,
        "How long a connection may take to say who it is.",
        turned="The operator whose devices have very slow networks.",
        group=_SESSIONS,
        low=1,
        high=120,
    )
    beat_min_s: int = setting(
        60,
        "The shortest time between heartbeats of a device.",
        turned="The operator, against the devices' batteries.",
        group=_SESSIONS,
        low=5,
        high=BEAT_S_MAX,
    )
    beat_max_s: int = setting(
        540,
        "The longest time between heartbeats; a dead connection is noticed after 1.5 times it.",
        turned="The operator, below the idle limit of whatever balances the load.",
        group=_SESSIONS,
        low=5,
        high=BEAT_S_MAX,
    )
    window_bytes: int = setting(
        512 * KIB,
        "Bytes pushed to a device but not acked; no more is pushed until it acks.",
        turned="The operator, for fast networks with long round trips.",
        group=_SESSIONS,
        low=128 * KIB,
        high=64 * MIB,
    )
    window_count: int = setting(
        2_000,
        "The same in oplogs.",
        turned="The operator, together with `window_bytes`.",
        group=_SESSIONS,
        low=500,
        high=100_000,
    )
    ack_timeout_s: float = setting(
        90.0,
        "A device that acks nothing for so long, with pushes under way, is disconnected.",
        turned="The operator whose devices have very slow networks, or handlers that take longer "
        "inside the SDK's transaction, during which nothing is acked.",
        group=_SESSIONS,
        low=1,
        high=600,
    )
    webhook_queue_max: int = setting(
        100_000,
        "Events that wait for one webhook; while there are so many, new ones are lost, and the "
        "receiver is told how many.",
        turned="The operator whose receivers are down for long, if the disk has room: about 400 "
        "bytes each.",
        group=_WEBHOOKS,
        low=100,
        high=10_000_000,
    )
    webhook_age_max_s: float = setting(
        3 * 24 * 3600.0,
        "For how long the delivery of an event is tried.",
        turned="The operator, by how long a receiver may be down over a weekend.",
        group=_WEBHOOKS,
        low=3600,
        high=30 * 24 * 3600,
    )
    durability: Literal["fsync", "none"] = setting(
        "fsync",
        "`none` answers publishes before the disk has them: a power cut loses what was answered.",
        turned="Nobody but for measurements: production refuses `none`.",
        group=_STORE,
    )
    queue_bytes_max: int = setting(
        64 * MIB,
        "What may wait for the disk; beyond it publishes are answered 429.",
        turned="The operator whose bursts are larger, if there is memory.",
        group=_STORE,
        low=2 * MIB,
        high=16 * GIB,
    )
    block_cache_bytes: int = setting(
        64 * MIB,
        "Memory for what is read from the disk.",
        turned="The operator, when many devices catch up and the disk is busy reading.",
        group=_STORE,
        low=MIB,
        high=1024 * GIB,
    )
    audit_days: int = setting(
        180,
        "How many days it is kept who did what (`mobilesync audit`), up to 10,000 entries an app.",
        turned="The operator, by the rules of their house or their country.",
        group=_STORE,
        low=1,
        high=3650,
    )


SETTINGS = table_of(Settings)
