"""Slows down whoever tries API keys: a bounded number of failures for each address.

Strategy: a leaky bucket of failures for each peer. Only failures fill it, and only requests whose
key is not known to be good are held up by it, so a business with a working key never notices,
even behind the same proxy as an attacker.

Invariants:
- at most PEERS_MAX addresses are remembered; the one that failed longest ago is forgotten first.
"""

from collections import OrderedDict
from dataclasses import dataclass

from mobilesync.api.errors import HttpError
from mobilesync.domain.clock import Clock

PEERS_MAX = 4096
FAILURES_MAX = 20
"""Failures in a row before an address must wait."""
FORGIVEN_PER_S = 0.5
"""How quickly they are forgotten."""


@dataclass
class _Bucket:
    level: float
    at_s: float


class Attempts:
    """The failures of late, by peer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def check(self, peer: str) -> None:
        """Raises HttpError (TOO_MANY_ATTEMPTS) while `peer` has too many failures."""
        bucket = self._buckets.get(peer)
        if bucket is None:
            return
        over = self._leak(bucket) + 1 - FAILURES_MAX
        if over > 0:
            hint = "this address sent too many bad API keys: mend them, then wait"
            raise HttpError(
                "TOO_MANY_ATTEMPTS",
                "too many bad API keys",
                hint=hint,
                retry_after_s=over / FORGIVEN_PER_S,
            )

    def failed(self, peer: str) -> None:
        """Take note of one failure of `peer`."""
        bucket = self._buckets.setdefault(peer, _Bucket(0.0, self._clock.monotonic_s()))
        bucket.level = self._leak(bucket) + 1
        self._buckets.move_to_end(peer)
        if len(self._buckets) > PEERS_MAX:
            self._buckets.popitem(last=False)

    def _leak(self, bucket: _Bucket) -> float:
        now_s = self._clock.monotonic_s()
        bucket.level = max(0.0, bucket.level - (now_s - bucket.at_s) * FORGIVEN_PER_S)
        bucket.at_s = now_s
        return bucket.level
