"""What the SDK hands to the app: oplogs, notices, resets, withdrawals, and the connection's state.

Frozen values. The state listener gets one of `ClientEvent`; a client goes from `Connecting` to
`Connected` or `Waiting`, and never leaves `Stopped` by itself.
"""

import json
from dataclasses import dataclass
from typing import Any

from mobilesync.protocol.codes import ResetReason, WithdrawalReason


@dataclass(frozen=True, slots=True)
class ReceivedOplog:
    """One oplog, as its biz's handler gets it."""

    biz: str
    target: str
    """`user:<id>`, `device:<id>` or `everyone`."""
    id: int
    payload: bytes
    message_id: str = ""
    published_at_ms: int = 0
    attempt: int = 1
    """Which call this is: above 1 after a failure, or after a call that was cut off."""
    epoch: int = 0
    key: str = ""
    """What it is the newest value of; empty for nothing. Older ones of the key may have been left
    out, and never come."""
    origin: tuple[str, int] | None = None
    """(target, id) of the oplog that this one offers again, because the device could not get it
    before; its biz is the same."""

    @property
    def text(self) -> str:
        """The payload as UTF-8. Raises UnicodeDecodeError."""
        return self.payload.decode()

    def json(self) -> Any:
        """The payload as JSON. Raises ValueError."""
        return json.loads(self.payload)


@dataclass(frozen=True, slots=True)
class ReceivedNotice:
    """A non-persistent push: not stored, not repeated."""

    biz: str
    target: str
    payload: bytes
    published_at_ms: int = 0

    @property
    def text(self) -> str:
        """The payload as UTF-8. Raises UnicodeDecodeError."""
        return self.payload.decode()

    def json(self) -> Any:
        """The payload as JSON. Raises ValueError."""
        return json.loads(self.payload)


@dataclass(frozen=True, slots=True)
class ChannelReset:
    """The server replaced a sync point: what lay between `received_before` and `floor` is not
    pushed (floor is higher), or comes again (floor is lower). Load the biz's data anew if that
    matters to it."""

    biz: str
    target: str
    epoch: int
    floor: int
    reason: int
    """A `ResetReason`, or a number that this version does not know."""
    received_before: int

    @property
    def lossless(self) -> bool:
        """Whether only the epoch has changed."""
        return self.reason == ResetReason.RENAMED


@dataclass(frozen=True, slots=True)
class WithdrawnOplogs:
    """Oplogs that the app may have shown, and that are withdrawn: take back what can be taken
    back. `3 in withdrawn` tells whether oplog id 3 of the channel is one of them."""

    biz: str
    target: str
    epoch: int
    ranges: tuple[tuple[int, int], ...]
    """(first, last) of each range of oplog ids, ascending. Not all of them need have reached this
    device; those that waited for their first call are left out, for the app never saw them."""
    reason: int
    """A `WithdrawalReason`, or a number that this version does not know."""

    @property
    def consumed(self) -> bool:
        """Whether another device of the user has processed them; else they were recalled."""
        return self.reason == WithdrawalReason.CONSUMED

    def __contains__(self, oplog_id: int) -> bool:
        return any(first <= oplog_id <= last for first, last in self.ranges)


@dataclass(frozen=True, slots=True)
class ParkedOplog:
    """An oplog whose handler failed as often as allowed. It stays on disk until it is retried
    or discarded."""

    key: int
    """What `retry_parked` and `discard_parked` take."""
    oplog: ReceivedOplog
    error: str
    parked_at_ms: int


@dataclass(frozen=True, slots=True)
class Connecting:
    """A connection is being made; `attempt` counts from 1 since the last stable session."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Connected:
    """A session is open for `user` (empty for nobody)."""

    user: str
    session: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Paused:
    """The session is open, but nothing is read until handlers have made room in the inbox."""

    why: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """There is no connection now; the next attempt comes by `until_ms`, or, when that is None,
    once what `why` tells is over."""

    until_ms: int | None
    why: str
    code: int = 0
    """The close code that the server gave, or 0."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The client does not come back by itself: log in, log out or `resume()` after a remedy."""

    code: int
    """The close code, or 0 when the cause is local or the app closed the client."""
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Parked:
    """An oplog was parked; its channel goes on without it."""

    parked: ParkedOplog


@dataclass(frozen=True, slots=True)
class ListenerFailed:
    """A listener of resets or withdrawals failed as often as allowed, and is not told again."""

    what: ChannelReset | WithdrawnOplogs
    error: str


ClientEvent = Connecting | Connected | Paused | Waiting | Stopped | Parked | ListenerFailed


@dataclass(frozen=True, slots=True)
class ClientStats:
    """Figures of one client since it was made; inbox figures are those of the store."""

    state: ClientEvent | None
    user: str
    inbox_count: int
    inbox_bytes: int
    parked_count: int
    connects: int
    """Sessions that were opened."""
    received: int
    """Oplogs saved."""
    handled: int
    """Handler calls that finished."""
    failed: int
    """Handler calls that raised or took too long."""
    acks: int
    """Ack messages sent."""
    dropped: int
    """Notices and states that no listener could take in time."""
    beat_interval_s: int
    """The heartbeat interval now; 0 before the first session."""
