"""The numbers that one side tells the other: close codes (spec §8), reasons of Resets and of
withdrawals, and why a device waits.

A close code's *range* is an order to the client, so that an old SDK obeys codes it never heard of:

    1000-1999  retry            come back, not before the advised time
    2000-2999  re-authenticate  get a new token from the app, then come back
    3000-3999  stop             do not come back until the app or the user changes something
"""

from enum import Enum, IntEnum


class Reaction(Enum):
    """What a client does about a close code."""

    RETRY = "retry"
    REAUTHENTICATE = "re-authenticate"
    STOP = "stop"


class CloseCode(IntEnum):
    """Why a connection was closed. The value is on the wire, the meaning is in `MEANINGS`."""

    NORMAL = 1000
    DRAINING = 1001
    OVERLOADED = 1002
    SLOW_DEVICE = 1003
    IDLE_TIMEOUT = 1004
    INTERNAL = 1005
    RATE_LIMITED = 1006
    STORE_UNAVAILABLE = 1007
    HELLO_TIMEOUT = 1008
    REPLACED = 1009
    RESUME = 1010

    TOKEN_INVALID = 2000
    TOKEN_EXPIRED = 2001
    TOKEN_AUDIENCE = 2002
    TOKEN_CLAIMS = 2003
    LOGGED_OUT = 2004

    MALFORMED_FRAME = 3000
    FRAME_TOO_LARGE = 3001
    UNEXPECTED_MESSAGE = 3002
    UNSUPPORTED_VERSION = 3003
    UNKNOWN_APP = 3004
    INVALID_FIELD = 3005


MEANINGS: dict[CloseCode, str] = {
    CloseCode.NORMAL: "the peer is done; nothing is wrong",
    CloseCode.DRAINING: "the server is shutting down; come back at the advised time",
    CloseCode.OVERLOADED: "the server has no room for another session now",
    CloseCode.SLOW_DEVICE: "the device did not read or ack fast enough; it catches up from the log",
    CloseCode.IDLE_TIMEOUT: "nothing was heard from the device past its announced heartbeat",
    CloseCode.INTERNAL: "the server failed; the fault is logged there",
    CloseCode.RATE_LIMITED: "the device sent more messages than it may",
    CloseCode.STORE_UNAVAILABLE: "the server cannot read its store now",
    CloseCode.HELLO_TIMEOUT: "no Hello arrived in time",
    CloseCode.REPLACED: "the same device has connected again, elsewhere; come back slowly",
    CloseCode.RESUME: "a sync point of the device is to change; log in again at once",
    CloseCode.TOKEN_INVALID: "the token is malformed, or its signature is wrong",
    CloseCode.TOKEN_EXPIRED: "the token has expired or is not valid yet",
    CloseCode.TOKEN_AUDIENCE: "the token was made for another audience or by another issuer",
    CloseCode.TOKEN_CLAIMS: "a claim is missing, or does not match what Hello or Bind says",
    CloseCode.LOGGED_OUT: "the business server ended this session; log in again",
    CloseCode.MALFORMED_FRAME: "a frame could not be decoded",
    CloseCode.FRAME_TOO_LARGE: "a frame is larger than the protocol allows",
    CloseCode.UNEXPECTED_MESSAGE: "the message is not allowed in this state or direction",
    CloseCode.UNSUPPORTED_VERSION: "no protocol version is spoken by both sides",
    CloseCode.UNKNOWN_APP: "the server does not serve this app",
    CloseCode.INVALID_FIELD: "a field's value breaks a rule of the protocol",
}
assert set(MEANINGS) == set(CloseCode), "every code needs its meaning"


def reaction(code: int) -> Reaction:
    """What a client must do about `code`; for codes it does not know, the range decides.

    A code outside all ranges is taken as RETRY: the safest guess of an old client.
    """
    if 2000 <= code <= 2999:
        return Reaction.REAUTHENTICATE
    if 3000 <= code <= 3999:
        return Reaction.STOP
    return Reaction.RETRY


class ResetReason(IntEnum):
    """Why a device's sync point was replaced by the server (spec §7)."""

    TRIMMED = 1
    """Oplogs that the device missed are past their retention and gone."""
    RESTORED = 2
    """The server's store was restored from a backup older than the sync point."""
    FUTURE = 3
    """The sync point is above everything the server ever gave an id to."""
    FOREIGN = 4
    """The sync point belongs to a store that this one does not descend from."""
    RENAMED = 5
    """Only the epoch has changed: the sync point's id is kept and nothing was lost."""
    REWOUND = 6
    """An operator wants the device to get a part of the channel again."""


class WithdrawalReason(IntEnum):
    """Why oplogs are withdrawn (spec §13.9)."""

    RECALLED = 1
    """The publisher took it back."""
    CONSUMED = 2
    """Another device of the user has processed it: the biz is consumed by one device."""


class Waits(IntEnum):
    """Why the oplog after a device's `processed` is not handled yet (spec §11.4)."""

    NOTHING = 0
    """Its handler runs or is about to, or there is no such oplog."""
    NO_HANDLER = 1
    """The app has no handler for the biz."""
    HANDLER_FAILED = 2
    """The handler has failed; it is called again."""
