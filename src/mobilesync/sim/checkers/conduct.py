"""Conduct: both sides keep the protocol, and neither gives the other up without a reason.

A link delivers bytes in order or not at all, so a Close that accuses the other side of breaking the
protocol is a bug in one of the two, whenever it comes. Once it is calm, nobody may be too slow.
"""

from collections.abc import Iterator

from mobilesync.protocol.codes import CloseCode
from mobilesync.sim import history as h
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger

_ALWAYS = {
    CloseCode.INTERNAL,
    CloseCode.RATE_LIMITED,
    CloseCode.TOKEN_INVALID,
    CloseCode.TOKEN_CLAIMS,
    CloseCode.MALFORMED_FRAME,
    CloseCode.FRAME_TOO_LARGE,
    CloseCode.UNEXPECTED_MESSAGE,
    CloseCode.UNSUPPORTED_VERSION,
    CloseCode.UNKNOWN_APP,
    CloseCode.INVALID_FIELD,
}
_ONCE_CALM = {CloseCode.SLOW_DEVICE, CloseCode.STORE_UNAVAILABLE}
SETTLE_MS = 60_000
"""What began before the calm may still end badly for so long."""


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where somebody misbehaved."""
    calm_ms: int | None = None
    for fact in ledger.history:
        match fact:
            case h.CalmBegan():
                calm_ms = fact.at_ms
            case h.Closed():
                is_calm = calm_ms is not None and fact.at_ms > calm_ms + SETTLE_MS
                if fact.code in _ALWAYS or (is_calm and fact.code in _ONCE_CALM):
                    side = "the server" if fact.by_server else "the device"
                    sentence = f"{side} closed wire {fact.wire} with {fact.device}: {fact.code}"
                    yield Finding("CONDUCT", fact.at_ms, f"{sentence} {fact.reason}")
