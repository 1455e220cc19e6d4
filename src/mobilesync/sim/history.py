"""What publishers, servers, devices and wires did: the one thing that the checkers look at.

Strategy: a history is a list of facts, oldest first, each a small frozen value with a true time in
milliseconds. It is written by the simulator, and by tests that run real processes; a fact that
nobody could observe is left out, and a checker then knows less but is never wrong. On disk a
history is JSON lines, one object a line, its kind under `type`.

A call is one item of one publish attempt: a retry is a new call with the same message id. A
device is named `app/device`. An install is one life of its local store, numbered by `Installed`.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import Struct

from mobilesync.domain.channel import Channel


class Fact(Struct, frozen=True, tag=True):
    """Something that happened at the true time `at_ms`."""

    at_ms: int


# --- the service


class BizDefined(Fact, frozen=True):
    """From the beginning the biz has these rules."""

    app: str
    biz: str
    retention_s: int
    persistent: bool = True


class ServerStarted(Fact, frozen=True):
    """A server serves the store; the epochs that it has lived through, the current one last."""

    lineage: tuple[int, ...]


class ServerKilled(Fact, frozen=True):
    """What was not on its disk is gone."""

    why: str = ""


class ServerClock(Fact, frozen=True):
    """From now on the server's wall clock is `offset_ms` away from the truth."""

    offset_ms: int


class Restored(Fact, frozen=True):
    """The store was replaced by a backup, under a new epoch."""

    lineage: tuple[int, ...]
    """Of the restored store; its last two are the backup's epoch and the new one."""
    heads: tuple[tuple[Channel, int], ...]
    """The last id of each channel in the backup; a channel that is not listed had none."""


class Held(Fact, frozen=True):
    """At the end the store still holds this oplog."""

    channel: Channel
    id: int
    message_id: str
    digest: str


class KnownPoint(Fact, frozen=True):
    """At the end the service says that the device is here in the channel."""

    device: str
    channel: Channel
    epoch: int
    received: int
    processed: int


class OwnPoint(Fact, frozen=True):
    """At the end the device says that it is here in the channel."""

    device: str
    channel: Channel
    epoch: int
    received: int
    processed: int


class HeldAll(Fact, frozen=True):
    """Every oplog that the store holds at the end was listed."""


# --- publishers


class Asked(Fact, frozen=True):
    """A publisher handed one item to the service."""

    call: int
    channel: Channel
    message_id: str
    digest: str
    """Of the payload: enough of a hash to tell payloads apart."""
    valid_until_ms: int = 0
    """By the wall clock; 0 for no end of its own."""
    os: tuple[str, ...] = ()
    app_version_min: str = ""
    app_version_max: str = ""
    batch: int = 0
    """Items with one number were in one publish, in the order of their calls; 0 for alone."""


class Answered(Fact, frozen=True):
    """The service said that the item is stored."""

    call: int
    id: int
    duplicate: bool = False


class Denied(Fact, frozen=True):
    """The service said that the item is not stored."""

    call: int
    code: str


class Unanswered(Fact, frozen=True):
    """The publisher will never know from this call: lost, or the outcome is unknown."""

    call: int


# --- devices


class Installed(Fact, frozen=True):
    """The device has an empty local store."""

    device: str


class DeviceStarted(Fact, frozen=True):
    """The app's process began, with these attributes."""

    device: str
    os: str = ""
    app_version: str = ""


class DeviceKilled(Fact, frozen=True):
    """The app's process ended without warning."""

    device: str


class LoginBegan(Fact, frozen=True):
    """The app asked the SDK to switch to `user`; until `LoggedIn` it may be either."""

    device: str
    user: str


class LoggedIn(Fact, frozen=True):
    """The device belongs to `user` from now on; empty for nobody."""

    device: str
    user: str


class Saved(Fact, frozen=True):
    """The device made oplogs and sync point durable, in one transaction."""

    device: str
    channel: Channel
    epoch: int
    after: int
    upto: int
    ids: tuple[int, ...]


class WasReset(Fact, frozen=True):
    """The device's app was told that the sync point of a channel was replaced."""

    device: str
    channel: Channel
    epoch: int
    floor: int
    reason: int


class HandlerBegan(Fact, frozen=True):
    """The biz's handler was called."""

    device: str
    channel: Channel
    id: int
    message_id: str
    digest: str
    epoch: int = 0
    """In which the oplog was saved; 0 when not known."""


class HandlerFinished(Fact, frozen=True):
    """The handler came to its end without failing."""

    device: str
    channel: Channel
    id: int
    message_id: str
    epoch: int = 0


class HandlerFailed(Fact, frozen=True):
    """The handler failed; it will be called again, or the oplog is parked."""

    device: str
    channel: Channel
    id: int
    message_id: str


class Parked(Fact, frozen=True):
    """The handler failed as often as it may: the oplog is set aside, visibly."""

    device: str
    channel: Channel
    id: int
    message_id: str
    epoch: int = 0


class Marked(Fact, frozen=True):
    """The device has noted, durably, that the oplog's handler is done."""

    device: str
    channel: Channel
    id: int
    message_id: str
    epoch: int = 0


# --- wires


class SaidHello(Fact, frozen=True):
    """A Hello reached the server: the attributes that count on this wire."""

    wire: int
    device: str
    os: str = ""
    app_version: str = ""


class Welcomed(Fact, frozen=True):
    """The server answered Hello, Bind or Unbind: pushes after it are for `user`."""

    wire: int
    device: str
    user: str


class Pushed(Fact, frozen=True):
    """The server wrote a Push."""

    wire: int
    device: str
    channel: Channel
    after: int
    upto: int
    oplogs: tuple[tuple[int, str], ...]
    """(id, message id) of each."""


class Noticed(Fact, frozen=True):
    """The server wrote a Notice."""

    wire: int
    device: str
    channel: Channel
    digest: str


class Framed(Fact, frozen=True):
    """Some frame went over a wire; what G6 counts."""

    wire: int
    device: str
    by_server: bool
    kind: str
    bytes: int


class Closed(Fact, frozen=True):
    """One side wrote a Close, with this code."""

    wire: int
    device: str
    by_server: bool
    code: int
    reason: str = ""


class Filled(Fact, frozen=True):
    """The most that something bounded has held so far."""

    name: str
    value: int
    bound: int


# --- phases


class CalmBegan(Fact, frozen=True):
    """No fault any more; every device is connected, or about to be."""

    converge_ms: int
    """How long anything may take from now on."""


class QuietBegan(Fact, frozen=True):
    """Nothing new is published from here on, and everything has arrived."""

    beat_ms: int
    """The shortest heartbeat interval that clients may choose."""


class QuietEnded(Fact, frozen=True):
    """The quiet period is over."""


class Ended(Fact, frozen=True):
    """The history is complete."""


AnyFact = (
    BizDefined | ServerStarted | ServerKilled | ServerClock | Restored
    | Held | HeldAll | KnownPoint | OwnPoint
    | Asked | Answered | Denied | Unanswered
    | Installed | DeviceStarted | DeviceKilled | LoginBegan | LoggedIn | Saved | WasReset
    | HandlerBegan | HandlerFinished | HandlerFailed | Parked | Marked
    | SaidHello | Welcomed | Pushed | Noticed | Framed | Closed | Filled
    | CalmBegan | QuietBegan | QuietEnded | Ended
)  # fmt: skip

_decoder: msgspec.json.Decoder[AnyFact] = msgspec.json.Decoder(AnyFact)
_encoder = msgspec.json.Encoder()


def to_lines(history: Iterable[Fact]) -> Iterator[bytes]:
    """JSON lines, without the line ends."""
    for fact in history:
        yield _encoder.encode(fact)


def from_lines(lines: Iterable[bytes | str]) -> Sequence[AnyFact]:
    """The history in JSON lines; empty lines are passed over. Raises msgspec.ValidationError."""
    return [_decoder.decode(line) for line in lines if line.strip()]
