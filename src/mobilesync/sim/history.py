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

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Conditions, Rollout
from mobilesync.domain.oplog import Details
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.domain.sync_point import Sent, Skip
from mobilesync.sim.fact import Fact
from mobilesync.sim.sightings import (
    AttributesChanged,
    Closed,
    DeviceKilled,
    DeviceStarted,
    Filled,
    Framed,
    HandlerBegan,
    HandlerFailed,
    HandlerFinished,
    Installed,
    LoggedIn,
    LoginBegan,
    Marked,
    Noticed,
    Parked,
    Pushed,
    SaidAck,
    SaidHello,
    SaidUser,
    Saved,
    ToldWithdrawn,
    WasReset,
    Welcomed,
)

__all__ = [
    "Answered",
    "AnyFact",
    "Asked",
    "AttributesChanged",
    "BizDefined",
    "CalmBegan",
    "Closed",
    "Denied",
    "DeviceKilled",
    "DeviceStarted",
    "Done",
    "Ended",
    "Explained",
    "Fact",
    "Filled",
    "Framed",
    "HandlerBegan",
    "HandlerFailed",
    "HandlerFinished",
    "Headed",
    "Held",
    "HeldAll",
    "Installed",
    "Journaled",
    "KnownPoint",
    "LoggedIn",
    "LoginBegan",
    "Marked",
    "Noticed",
    "OfferAsked",
    "OwnPoint",
    "Parked",
    "Pushed",
    "QuietBegan",
    "QuietEnded",
    "RecallAsked",
    "Restored",
    "RewindAsked",
    "RulesAsked",
    "SaidAck",
    "SaidHello",
    "SaidUser",
    "Saved",
    "ServerClock",
    "ServerKilled",
    "ServerStarted",
    "Stored",
    "ToldWithdrawn",
    "Unanswered",
    "UserAsked",
    "UserHeld",
    "UserJudged",
    "WasReset",
    "Welcomed",
    "from_lines",
    "to_lines",
]

# --- the service


class BizDefined(Fact, frozen=True):
    """From here on the biz has these rules, in the server that runs."""

    app: str
    biz: str
    retention_s: int
    persistent: bool = True
    rules: SyncConfig | None = None
    """All of them, if the history knows more than those two."""


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


class Stored(Fact, frozen=True):
    """The oplog has become durable: from here on it may be pushed."""

    channel: Channel
    id: int
    message_id: str
    digest: str
    conditions: Conditions | None = None
    details: Details | None = None


class Held(Fact, frozen=True):
    """At the end the store still holds this oplog."""

    channel: Channel
    id: int
    message_id: str
    digest: str
    details: Details | None = None


class Headed(Fact, frozen=True):
    """At the end the channel is here."""

    channel: Channel
    last: int
    trimmed: int


class KnownPoint(Fact, frozen=True):
    """At the end the service says that the device is here in the channel."""

    device: str
    """Or `app/` and the owner of a user's sync point."""
    channel: Channel
    epoch: int
    received: int
    processed: int


class Journaled(Fact, frozen=True):
    """At the end this step stands in the journal of the device's sync point; oldest first."""

    device: str
    """Or `app/` and the owner of a user's sync point."""
    channel: Channel
    epoch: int
    lap: int
    before: int
    received: int
    processed: int
    wall_ms: int
    """When, by the server's clock."""
    sends: tuple[Sent, ...] = ()
    skips: tuple[Skip, ...] = ()


class Explained(Fact, frozen=True):
    """At the end the service says this of an oplog and a device."""

    device: str
    channel: Channel
    id: int
    reason: int
    received_at_ms: int
    processed_at_ms: int


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
    users: tuple[str, ...] = ()
    user_number_min: int = 0
    user_number_max: int = 0
    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    rollout: Rollout | None = None
    key: str = ""
    valid_from_ms: int = 0
    """By the wall clock: until then it is only scheduled; 0 for at once."""

    @property
    def conditions(self) -> Conditions:
        """Whom the oplog is for, among those that its target means."""
        return Conditions(
            self.os,
            self.app_version_min,
            self.app_version_max,
            self.users,
            self.user_number_min,
            self.user_number_max,
            self.attributes,
            self.rollout,
        )


class Answered(Fact, frozen=True):
    """The service said that the item is stored."""

    call: int
    id: int
    """0 for what is only pushed, or is scheduled."""
    duplicate: bool = False


class Denied(Fact, frozen=True):
    """The service said that the item is not stored."""

    call: int
    code: str


class Unanswered(Fact, frozen=True):
    """The publisher will never know from this call: lost, or the outcome is unknown."""

    call: int


# --- operators; what they ask ends with `Done`, or with `Denied` or `Unanswered`


class RulesAsked(Fact, frozen=True):
    """An operator wants the biz to have these rules."""

    call: int
    app: str
    rules: SyncConfig


class RecallAsked(Fact, frozen=True):
    """An oplog is to be recalled."""

    call: int
    channel: Channel
    id: int


class RewindAsked(Fact, frozen=True):
    """A device's sync point in the channel is to be put back."""

    call: int
    channel: Channel
    device: str
    to: int


class OfferAsked(Fact, frozen=True):
    """An oplog is to be offered to a device again, whatever that has had."""

    call: int
    channel: Channel
    id: int
    device: str


class Done(Fact, frozen=True):
    """The service said that what was asked is done, or will be."""

    call: int
    target: str = ""
    """Of an offer: where it was appended."""
    id: int = 0
    """The oplog that was appended for it; of a rewinding, the new sync point."""
    before: int = 0
    """Of a rewinding: the sync point as the service knew it."""


# --- the app's own word on its users


class UserHeld(Fact, frozen=True):
    """From here on the app holds the user's sessions good, or not."""

    app: str
    user: str
    valid: bool


class UserAsked(Fact, frozen=True):
    """The service asked the app about a session of a user."""

    question: int
    session: str
    user: str


class UserJudged(Fact, frozen=True):
    """The app answered."""

    question: int
    valid: bool


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
    | Stored | Held | HeldAll | Headed | KnownPoint | OwnPoint | Journaled | Explained
    | Asked | Answered | Denied | Unanswered
    | RulesAsked | RecallAsked | RewindAsked | OfferAsked | Done
    | UserHeld | UserAsked | UserJudged
    | Installed | DeviceStarted | AttributesChanged | DeviceKilled | LoginBegan | LoggedIn
    | Saved | WasReset | HandlerBegan | HandlerFinished | HandlerFailed | Parked | Marked
    | ToldWithdrawn
    | SaidHello | SaidUser | SaidAck | Welcomed | Pushed | Noticed | Framed | Closed | Filled
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
