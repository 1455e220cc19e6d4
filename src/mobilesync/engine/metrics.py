"""Figures of a running service: plain numbers that cost an addition, in one table.

Not here: any exposition format. The API renders `families()` for Prometheus.

Invariant: a metric never carries a user, device, payload or message id in its labels.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from msgspec import Struct

Kind = Literal["counter", "gauge", "histogram"]
Sample = tuple[str, dict[str, str], float]

LATENCY_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)


class Family(Struct, frozen=True):
    """One metric with its samples (name, labels, value), ready to be rendered."""

    name: str
    kind: Kind
    help: str
    samples: list[Sample]


class Histogram:
    """Counts of values by upper bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count `value`, `times` times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def samples(self, name: str) -> list[Sample]:
        """Cumulative buckets, sum and count, as Prometheus wants them."""
        samples: list[Sample] = []
        running = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            running += count
            samples.append((f"{name}_bucket", {"le": f"{bound:g}"}, running))
        running += self.counts[-1]
        samples.append((f"{name}_bucket", {"le": "+Inf"}, running))
        samples.append((f"{name}_sum", {}, self.total))
        samples.append((f"{name}_count", {}, running))
        return samples


class Metrics:
    """All figures. Fields are added to by whoever sees the thing happen."""

    def __init__(self) -> None:
        self.connections_accepted = 0
        self.connections_failed = 0
        """Links that ended before a TLS session with the right ALPN stood."""
        self.logins = 0
        self.closes: dict[int, int] = {}
        """Closes by the server, by code."""
        self.publishes = 0
        self.oplogs_appended = 0
        self.oplogs_duplicate = 0
        self.publishes_refused: dict[str, int] = {}
        """Refused publish calls, by error code."""
        self.pushes = 0
        self.oplogs_pushed = 0
        self.bytes_pushed = 0
        self.notices = 0
        self.notices_dropped = 0
        self.resets = 0
        self.acks = 0
        self.pump_turns = 0
        self.sweeps = 0
        self.oplogs_trimmed = 0
        self.wake_ups = 0
        self.wake_ups_dropped = 0
        self.wake_up_pushes: dict[str, int] = {}
        """Answers of push services, by outcome."""
        self.webhook_events = 0
        self.webhook_events_delivered = 0
        self.webhook_events_lost = 0
        self.webhook_events_expired = 0
        self.webhook_posts: dict[int, int] = {}
        """Requests to receivers of webhooks, by the status of the answer; 0 for none."""
        self.publish_to_ack_s = Histogram(LATENCY_S)
        self.append_s = Histogram(LATENCY_S)
        self.loop_lag_s = Histogram(LATENCY_S)
        self._gauges: list[tuple[str, str, Callable[[], float]]] = []
        self._counters: list[tuple[str, str, Callable[[], float]]] = []

    def gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Add a figure that is read when it is asked for."""
        self._gauges.append((name, description, read))

    def counter(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Add a growing figure that is read when it is asked for."""
        self._counters.append((name, description, read))

    def families(self) -> Iterator[Family]:
        """Every metric as it stands now."""
        for field, name, description in _COUNTERS:
            value = float(getattr(self, field))
            yield Family(name, "counter", description, [(name, {}, value)])
        for field, name, label, description in _LABELLED:
            counts: dict[object, int] = getattr(self, field)
            samples: list[Sample] = [(name, {label: str(k)}, v) for k, v in counts.items()]
            yield Family(name, "counter", description, samples)
        for field, name, description in _HISTOGRAMS:
            histogram: Histogram = getattr(self, field)
            yield Family(name, "histogram", description, histogram.samples(name))
        for name, description, read in self._counters:
            yield Family(name, "counter", description, [(name, {}, read())])
        for name, description, read in self._gauges:
            yield Family(name, "gauge", description, [(name, {}, read())])


_COUNTERS = (
    ("connections_accepted", "mobilesync_connections_accepted_total", "TLS connections taken"),
    ("connections_failed", "mobilesync_connections_failed_total", "links without TLS or ALPN"),
    ("logins", "mobilesync_logins_total", "sessions that were welcomed"),
    ("publishes", "mobilesync_publishes_total", "publish calls that were stored"),
    ("oplogs_appended", "mobilesync_oplogs_appended_total", "oplogs stored"),
    ("oplogs_duplicate", "mobilesync_oplogs_duplicate_total", "oplogs that were there already"),
    ("pushes", "mobilesync_pushes_total", "Push messages sent"),
    ("oplogs_pushed", "mobilesync_oplogs_pushed_total", "oplogs in them"),
    ("bytes_pushed", "mobilesync_pushed_bytes_total", "bytes of Push messages"),
    ("notices", "mobilesync_notices_total", "Notice messages sent"),
    ("notices_dropped", "mobilesync_notices_dropped_total", "notices a slow link missed"),
    ("resets", "mobilesync_resets_total", "Reset messages sent"),
    ("acks", "mobilesync_acks_total", "Ack messages received"),
    ("pump_turns", "mobilesync_pump_turns_total", "sessions looked at by the pump"),
    ("sweeps", "mobilesync_sweeps_total", "sessions looked at by the sweep"),
    ("wake_ups", "mobilesync_wake_ups_total", "targets that were woken"),
    ("wake_ups_dropped", "mobilesync_wake_ups_dropped_total", "wake-ups without room to wait"),
    ("oplogs_trimmed", "mobilesync_oplogs_trimmed_total", "oplogs that ended and were removed"),
    ("webhook_events", "mobilesync_webhook_events_total", "events queued for a webhook"),
    (
        "webhook_events_delivered",
        "mobilesync_webhook_events_delivered_total",
        "events that a receiver has accepted",
    ),
    (
        "webhook_events_lost",
        "mobilesync_webhook_events_lost_total",
        "events for whom a webhook's queue had no room",
    ),
    (
        "webhook_events_expired",
        "mobilesync_webhook_events_expired_total",
        "events given up because no receiver took them in time",
    ),
)
_LABELLED = (
    ("closes", "mobilesync_closes_total", "code", "connections closed by the server"),
    ("publishes_refused", "mobilesync_publishes_refused_total", "code", "publish calls refused"),
    ("wake_up_pushes", "mobilesync_wake_up_pushes_total", "outcome", "answers of push services"),
    (
        "webhook_posts",
        "mobilesync_webhook_posts_total",
        "status",
        "requests to receivers of webhooks, by the answer; 0 for none",
    ),
)
_HISTOGRAMS = (
    ("publish_to_ack_s", "mobilesync_publish_to_ack_seconds", "from the publish to its ack"),
    ("append_s", "mobilesync_append_seconds", "from a publish call to its durable answer"),
    ("loop_lag_s", "mobilesync_event_loop_lag_seconds", "how late the event loop ran a timer"),
)
