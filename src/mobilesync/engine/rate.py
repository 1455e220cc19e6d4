"""A token bucket: so many per second, with a burst."""


class TokenBucket:
    """Allows `rate_per_s` on average, and `burst` at once."""

    __slots__ = ("_burst", "_rate_per_s", "_tokens", "_updated_s")

    def __init__(self, rate_per_s: float, burst: float, now_s: float) -> None:
        assert rate_per_s > 0
        assert burst > 0
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._updated_s = now_s

    def take(self, count: float, now_s: float) -> float:
        """Take `count` and answer 0, or take nothing and answer how long to wait, in seconds.

        A count above the burst is taken as soon as the bucket is full, else it never could be.
        """
        elapsed_s = max(0.0, now_s - self._updated_s)
        self._tokens = min(self._burst, self._tokens + elapsed_s * self._rate_per_s)
        self._updated_s = now_s
        needed = min(count, self._burst)
        if self._tokens >= needed:
            self._tokens -= needed
            return 0.0
        return (needed - self._tokens) / self._rate_per_s
