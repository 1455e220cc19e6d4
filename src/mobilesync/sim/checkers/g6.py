"""G6: with nothing new, nothing is sent but heartbeats.

In a quiet period each wire carries pings and pongs alone, no faster than the shortest interval
that a client may choose, and one pong for each ping.
"""

from collections.abc import Iterator

from mobilesync.sim import history as h
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger

_BEATS = {"Ping", "Pong"}


def check(ledger: Ledger) -> Iterator[Finding]:
    """Where G6 is broken."""
    began: h.QuietBegan | None = None
    frames: list[h.Framed] = []
    for fact in ledger.history:
        match fact:
            case h.QuietBegan():
                began, frames = fact, []
            case h.Framed() if began is not None:
                frames.append(fact)
            case h.QuietEnded() if began is not None:
                yield from _check_quiet(began, fact, frames)
                began = None


def _check_quiet(
    began: h.QuietBegan, ended: h.QuietEnded, frames: list[h.Framed]
) -> Iterator[Finding]:
    beats_max = (ended.at_ms - began.at_ms) // began.beat_ms + 2
    beats: dict[tuple[int, str], int] = {}
    for frame in frames:
        if frame.kind not in _BEATS:
            side = "the server" if frame.by_server else frame.device
            sentence = f"{side} sent a {frame.kind} of {frame.bytes} bytes with nothing new"
            yield Finding("G6", frame.at_ms, f"{sentence} (wire {frame.wire}, {frame.device})")
            continue
        key = (frame.wire, frame.kind)
        beats[key] = beats.get(key, 0) + 1
        if beats[key] == beats_max + 1:
            sentence = f"more than {beats_max} {frame.kind} with {frame.device}"
            yield Finding("G6", frame.at_ms, sentence)
