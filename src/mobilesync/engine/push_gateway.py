"""What the engine needs of a push service: to wake one app, and to hear how that went.

Strategy: a wake-up push says "come and sync" and nothing else, like a wake inside the service: it
may be lost, doubled or merged. So a gateway never waits to try again, and keeps no queue for later:
it tells the engine what became of this one wake, and whoever asked decides.

Not here: the services' protocols (transports/apns.py, transports/fcm.py), which devices to wake,
and when.

Invariant: a result never carries a push token, a key or a bearer, so it may be logged.
"""

from enum import Enum
from typing import Protocol

from msgspec import Struct


class WakeOutcome(Enum):
    """What became of a wake, and so what to do next."""

    SENT = "sent"
    """The push service has taken it. Whether and when the device gets it, nobody says."""
    TOKEN_GONE = "token_gone"  # noqa: S105 - no password, an outcome
    """No app is behind the token (any more): forget it until the device names it again."""
    RETRY = "retry"
    """Nothing was taken; the same wake may go through after `retry_after_s`."""
    REFUSED = "refused"
    """The configuration is wrong: log it, and do not try this wake again."""


class WakeResult(Struct, frozen=True):
    """How one wake went."""

    outcome: WakeOutcome
    reason: str = ""
    """For the log: the service's own word for it, with a hint. Empty when it was sent."""
    retry_after_s: float = 0.0
    """Not sooner than that, already spread at random; 0 unless the outcome is RETRY."""

    def __post_init__(self) -> None:
        assert (self.outcome is WakeOutcome.SENT) == (not self.reason)
        assert (self.outcome is WakeOutcome.RETRY) == (self.retry_after_s > 0)


SENT = WakeResult(WakeOutcome.SENT)


class PushGateway(Protocol):
    """One push service. Transports fit it; the engine asks."""

    @property
    def kind(self) -> str:
        """`apns` or `fcm`. The attribute `<kind>_token` of a device names its push token."""

    async def wake(self, token: str) -> WakeResult:
        """Ask the service to wake the app behind `token`, whatever a device put there.

        Ends within the gateway's time limit, and raises nothing but CancelledError. Any number may
        wait at the same time: what is over the gateway's bound gets RETRY at once.
        """

    async def close(self) -> None:
        """End all connections; wakes that are under way get RETRY. Idempotent."""
