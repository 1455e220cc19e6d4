"""The messages of the native protocol (spec §5): what each carries, and its bounds.

Strategy: every message is a frozen struct that travels as one MessagePack array, whose first
element is the message's type number. msgspec checks types and bounds while it decodes.

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
    target: TargetName
    epoch: Id
    received: Id
    processed: Id = 0


class PushedOplog(Struct, frozen=True, array_like=True):
    """One oplog as a device sees it."""

    id: Annotated[int, Meta(ge=1, le=limits.ID_MAX)]
    published_at_ms: Id
    payload: Payload
    message_id: Annotated[str, Meta(max_length=limits.MESSAGE_ID_CHARS_MAX)] = ""


class Acked(Struct, frozen=True, array_like=True):
    """One channel's cumulative ack: all up to `received` saved, all up to `processed` handled."""

    biz: Biz
    target: TargetName
    received: Id
    processed: Id


class Hello(Struct, frozen=True, array_like=True, tag=1):
    """Client → server, first: who I am and what I hold. It is an ack of everything it lists."""

    version_min: Version
    version_max: Version
    token: Token
    device: Owner
    user: Owner
    """The user the app believes to be logged in; empty for nobody. Must match the token."""
    points: Annotated[list[SyncPoint], Meta(max_length=limits.POINTS_MAX)]
    os: Attribute = ""
    app_version: Attribute = ""
    sdk: Attribute = ""
    foreground: bool = True
    next_beat_s: Seconds = 0
    """When the client's next Ping will come at the latest; 0 lets the server choose."""
    attributes: Annotated[
        dict[Attribute, AttributeValue], Meta(max_length=limits.ATTRIBUTES_MAX)
    ] = field(default_factory=dict)


class Welcome(Struct, frozen=True, array_like=True, tag=2):
    """Server → client: the answer to Hello, Bind and Unbind. Pushes after it are for `user`."""

    version: Version
    epoch: Id
    session: Attribute
    user: Owner
    server_time_ms: Id
    beat_min_s: Seconds
    beat_max_s: Seconds
    """Bounds of the heartbeat interval that the client may choose."""


class Push(Struct, frozen=True, array_like=True, tag=3):
    """Server → client: the oplogs of a channel after id `after`, complete up to id `upto`.

    Ids between the two that are not listed are oplogs that this device must not see.
    """

    biz: Biz
    target: TargetName
    after: Id
    upto: Id
    oplogs: Annotated[list[PushedOplog], Meta(max_length=limits.OPLOGS_MAX)]


class Ack(Struct, frozen=True, array_like=True, tag=4):
    """Client → server: sync points that moved."""

    acked: Annotated[list[Acked], Meta(min_length=1, max_length=limits.POINTS_MAX)]


class Reset(Struct, frozen=True, array_like=True, tag=5):
    """Server → client: your sync point in this channel is now (epoch, floor), because."""

    biz: Biz
    target: TargetName
    epoch: Id
    floor: Id
    reason: Annotated[int, Meta(ge=0, le=255)]


class Notice(Struct, frozen=True, array_like=True, tag=6):
    """Server → client: a non-persistent push. It has no id, is not acked and never repeated."""

    biz: Biz
    target: TargetName
    published_at_ms: Id
    payload: Payload


class Bind(Struct, frozen=True, array_like=True, tag=7):
    """Client → server: from now on this device belongs to `user`. Answered by Welcome."""

    token: Token
    user: Annotated[str, Meta(min_length=1, max_length=limits.OWNER_CHARS_MAX)]
    points: Annotated[list[SyncPoint], Meta(max_length=limits.POINTS_MAX)]
    """Sync points of the new user's channels only."""


class Unbind(Struct, frozen=True, array_like=True, tag=8):
    """Client → server: the user has logged out. Answered by Welcome with an empty user."""


class State(Struct, frozen=True, array_like=True, tag=9):
    """Client → server: the app went to the foreground or to the background."""

    foreground: bool
    next_beat_s: Seconds = 0


class Ping(Struct, frozen=True, array_like=True, tag=10):
    """Client → server: I am here, and my next Ping comes within `next_beat_s`."""

    next_beat_s: Seconds = 0


class Pong(Struct, frozen=True, array_like=True, tag=11):
    """Server → client: the answer to Ping."""

    server_time_ms: Id


class Close(Struct, frozen=True, array_like=True, tag=12):
    """Either side, last: why this ends, and when to come back.

    The client waits `retry_after_ms` plus a random part of `retry_spread_ms` (spec §8.2).
    """

    code: Annotated[int, Meta(ge=0, le=65535)]
    reason: Reason = ""
    retry_after_ms: RetryMs = 0
    retry_spread_ms: RetryMs = 0


Message = (
    Hello | Welcome | Push | Ack | Reset | Notice | Bind | Unbind | State | Ping | Pong | Close
)

OPTIONAL_TYPE_MIN = 128
"""Message types from here on may be ignored by a receiver that does not know them (spec §4.3)."""
