"""The messages of the native protocol (spec §5): what each carries, and its bounds.

Strategy: every message is a frozen struct that travels as one MessagePack array, whose first
element is the message's type number. msgspec checks types and bounds while it decodes.

The sentences below classes and fields are part of the spec: its tables are made from them.

How messages grow (spec §4.2): fields are only ever added, at the end, with a default. A receiver
fills in what an older sender leaves out, and ignores what a newer one adds.

Not here: bytes and frames (codec.py), who may send what when (transitions.py).
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from mobilesync.protocol import limits

Id = Annotated[int, Meta(ge=0, le=limits.ID_MAX)]
"""An oplog id, or 0 for "before the first"; also epochs and times."""
Biz = Annotated[str, Meta(min_length=1, max_length=limits.BIZ_CHARS_MAX)]
TargetName = Annotated[str, Meta(min_length=1, max_length=limits.TARGET_CHARS_MAX)]
"""`user:<id>`, `device:<id>` or `everyone`."""
Owner = Annotated[str, Meta(max_length=limits.OWNER_CHARS_MAX)]
Token = Annotated[str, Meta(max_length=limits.TOKEN_CHARS_MAX)]
Attribute = Annotated[str, Meta(max_length=limits.ATTRIBUTE_CHARS_MAX)]
AttributeValue = Annotated[str, Meta(max_length=limits.ATTRIBUTE_VALUE_CHARS_MAX)]
Seconds = Annotated[int, Meta(ge=0, le=limits.BEAT_S_MAX)]
RetryMs = Annotated[int, Meta(ge=0, le=limits.RETRY_MS_MAX)]
Payload = Annotated[bytes, Meta(max_length=limits.PAYLOAD_BYTES_MAX)]
Reason = Annotated[str, Meta(max_length=limits.REASON_CHARS_MAX)]
Version = Annotated[int, Meta(ge=1, le=65535)]


class SyncPoint(Struct, frozen=True, array_like=True):
    """How far a device is in one channel: `received` saved, `processed` handled, of one epoch."""

    biz: Biz
    """The channel's biz."""
    target: TargetName
    """The channel's target."""
    epoch: Id
    """The epoch in which the ids below were given."""
    received: Id
    """Every oplog up to this id is saved on the device, or is not for it."""
    processed: Id = 0
    """Every oplog up to this id is handled or parked; never above `received`."""


class IdRange(Struct, frozen=True, array_like=True):
    """All oplog ids from `first` to `last`, both included."""

    first: Annotated[int, Meta(ge=1, le=limits.ID_MAX)]
    """The lowest id."""
    last: Annotated[int, Meta(ge=1, le=limits.ID_MAX)]
    """The highest one; not below `first`."""


class Withdrawal(Struct, frozen=True, array_like=True):
    """What an oplog that withdraws others says of them (§13.9)."""

    ids: Annotated[list[IdRange], Meta(min_length=1, max_length=limits.RANGES_MAX)]
    """The oplogs of this channel that are withdrawn; ascending, not overlapping."""
    reason: Annotated[int, Meta(ge=0, le=255)]
    """Why; an unknown reason is treated like RECALLED."""


class Origin(Struct, frozen=True, array_like=True):
    """Which oplog is offered again (§13.10). Its biz is the same."""

    target: TargetName
    """Its channel's target."""
    id: Annotated[int, Meta(ge=1, le=limits.ID_MAX)]
    """Its oplog id there."""


class PushedOplog(Struct, frozen=True, array_like=True):
    """One oplog as a device sees it."""

    id: Annotated[int, Meta(ge=1, le=limits.ID_MAX)]
    """Its oplog id in the channel."""
    published_at_ms: Id
    """When it was published: milliseconds since 1970 UTC, by the server's clock."""
    payload: Payload
    """What the business published, untouched."""
    message_id: Annotated[str, Meta(max_length=limits.MESSAGE_ID_CHARS_MAX)] = ""
    """The idempotency key under which it was published."""
    key: Annotated[str, Meta(max_length=limits.KEY_CHARS_MAX)] = ""
    """What it is the newest value of; empty for nothing. It replaces older oplogs of its key
    (§13.11)."""
    origin: Origin | None = None
    """Set when this offers again an oplog that the device could not get before."""
    withdraws: Withdrawal | None = None
    """Set when this carries no payload but withdraws other oplogs; only for who asked in Hello
    (§13.9)."""


class Acked(Struct, frozen=True, array_like=True):
    """One channel's cumulative ack: all up to `received` saved, all up to `processed` handled."""

    biz: Biz
    """The channel's biz."""
    target: TargetName
    """The channel's target."""
    received: Id
    """As in a sync point; not above the last Push's `upto`."""
    processed: Id
    """As in a sync point; never above `received`."""
    waits: Annotated[int, Meta(ge=0, le=255)] = 0
    """Why the oplog after `processed` is not handled yet, for the proof of delivery only (§11.4);
    an unknown number is treated like NOTHING."""


class Hello(Struct, frozen=True, array_like=True, tag=1):
    """Client → server, first: who I am and what I hold. It is an ack of everything it lists."""

    version_min: Version
    """The lowest protocol version that the client speaks."""
    version_max: Version
    """The highest one."""
    token: Token
    """The token that the app's own server made for this device."""
    device: Owner
    """The device id, not empty; the same as the token's, if that names one."""
    user: Owner
    """The user the app believes to be logged in; empty for nobody. Must match the token."""
    points: Annotated[list[SyncPoint], Meta(max_length=limits.POINTS_MAX)]
    """The sync points of this session's channels; each channel at most once."""
    os: Attribute = ""
    """The operating system, such as `ios` or `android`, for conditions."""
    app_version: Attribute = ""
    """The app's version, for conditions."""
    sdk: Attribute = ""
    """The name and version of the SDK, for the server's logs and figures."""
    foreground: bool = True
    """Whether a person sees the app now."""
    next_beat_s: Seconds = 0
    """When the client's next Ping will come at the latest; 0 lets the server choose."""
    attributes: Annotated[
        dict[Attribute, AttributeValue], Meta(max_length=limits.ATTRIBUTES_MAX)
    ] = field(default_factory=dict)
    """Whatever else the app tells about its device; each name at most once."""
    features: Annotated[list[Attribute], Meta(max_length=limits.FEATURES_MAX)] = field(
        default_factory=list
    )
    """What the client understands beyond the version (§4.5): `withdrawals` asks for oplogs that
    withdraw others. Names that the server does not know are ignored."""


class Reset(Struct, frozen=True, array_like=True, tag=5):
    """Server → client: your sync point in this channel is now (epoch, floor), because."""

    biz: Biz
    """The channel's biz."""
    target: TargetName
    """The channel's target."""
    epoch: Id
    """The sync point's new epoch: the one that Welcome gave."""
    floor: Id
    """The sync point's new `received`; it may be lower or higher than before."""
    reason: Annotated[int, Meta(ge=0, le=255)]
    """Why; an unknown reason is treated like RESTORED."""


class Welcome(Struct, frozen=True, array_like=True, tag=2):
    """Server → client: the answer to Hello, Bind and Unbind. Pushes after it are for `user`."""

    version: Version
    """The protocol version of this conversation."""
    epoch: Id
    """The store's current epoch: every id pushed from here on belongs to it."""
    session: Attribute
    """A name for this session in the server's logs; otherwise without meaning."""
    user: Owner
    """Whom the session now belongs to; empty for nobody."""
    server_time_ms: Id
    """The server's clock: milliseconds since 1970 UTC."""
    beat_min_s: Seconds
    """The shortest heartbeat interval that the client may choose; at least 1."""
    beat_max_s: Seconds
    """The longest one; at least `beat_min_s`."""
    resets: Annotated[list[Reset], Meta(max_length=limits.POINTS_MAX)] = field(default_factory=list)
    """A Reset for each listed sync point that is not good as it is (§7.2), each as a whole message
    array. Inside Welcome, so that no ack of the old sync point can cross it."""


class Push(Struct, frozen=True, array_like=True, tag=3):
    """Server → client: the oplogs of a channel after id `after`, complete up to id `upto`.

    Ids between the two that are not listed are oplogs that this device must not see.
    """

    biz: Biz
    """The channel's biz."""
    target: TargetName
    """The channel's target."""
    after: Id
    """The device's `received` before this Push."""
    upto: Id
    """Its `received` after it; at least `after`."""
    oplogs: Annotated[list[PushedOplog], Meta(max_length=limits.OPLOGS_MAX)]
    """Ids ascending, above `after`, not above `upto`; may be empty."""


class Ack(Struct, frozen=True, array_like=True, tag=4):
    """Client → server: sync points that moved."""

    acked: Annotated[list[Acked], Meta(min_length=1, max_length=limits.POINTS_MAX)]
    """One for each channel that moved."""


class Notice(Struct, frozen=True, array_like=True, tag=6):
    """Server → client: a non-persistent push. It has no id, is not acked and never repeated."""

    biz: Biz
    """The biz, which is not persistent."""
    target: TargetName
    """The target it was published to."""
    published_at_ms: Id
    """When: milliseconds since 1970 UTC, by the server's clock."""
    payload: Payload
    """What the business published, untouched."""


class Bind(Struct, frozen=True, array_like=True, tag=7):
    """Client → server: from now on this device belongs to `user`. Answered by Welcome."""

    token: Token
    """A token for this user and this device."""
    user: Annotated[str, Meta(min_length=1, max_length=limits.OWNER_CHARS_MAX)]
    """The new user, or the same one with a new token. Must match the token."""
    points: Annotated[list[SyncPoint], Meta(max_length=limits.POINTS_MAX)]
    """Sync points of the new user's channels only."""


class Unbind(Struct, frozen=True, array_like=True, tag=8):
    """Client → server: the user has logged out. Answered by Welcome with an empty user."""


class State(Struct, frozen=True, array_like=True, tag=9):
    """Client → server: the app went to the foreground or to the background."""

    foreground: bool
    """Whether a person sees the app now."""
    next_beat_s: Seconds = 0
    """As in Hello."""


class Ping(Struct, frozen=True, array_like=True, tag=10):
    """Client → server: I am here, and my next Ping comes within `next_beat_s`."""

    next_beat_s: Seconds = 0
    """When the next Ping will come at the latest; 0 lets the server choose."""


class Pong(Struct, frozen=True, array_like=True, tag=11):
    """Server → client: the answer to Ping."""

    server_time_ms: Id
    """The server's clock: milliseconds since 1970 UTC."""


class Close(Struct, frozen=True, array_like=True, tag=12):
    """Either side, last: why this ends, and when to come back.

    The client waits `retry_after_ms` plus a random part of `retry_spread_ms` (spec §8.2).
    """

    code: Annotated[int, Meta(ge=0, le=65535)]
    """Why; its range tells the client what to do."""
    reason: Reason = ""
    """A sentence for logs; never for programs, nor for the person who uses the app."""
    retry_after_ms: RetryMs = 0
    """How long the client stays away at least."""
    retry_spread_ms: RetryMs = 0
    """The random part that it adds, so that not all come back at once."""


Message = (
    Hello | Welcome | Push | Ack | Reset | Notice | Bind | Unbind | State | Ping | Pong | Close
)

WITHDRAWALS = "withdrawals"
"""The feature of a client that understands oplogs which withdraw others (spec §13.9)."""

OPTIONAL_TYPE_MIN = 128
"""Message types from here on may be ignored by a receiver that does not know them (spec §4.3)."""
