"""What is seen of devices and of wires: one half of the facts of a history.

Not here: the service and those who call it (history.py, which also lists all kinds).
"""

from mobilesync.domain.channel import Channel
from mobilesync.sim.fact import Fact

# --- devices


class Installed(Fact, frozen=True):
    """The device has an empty local store."""

    device: str


class DeviceStarted(Fact, frozen=True):
    """The app's process began, with these attributes."""

    device: str
    os: str = ""
    app_version: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


class AttributesChanged(Fact, frozen=True):
    """The app has other attributes from here on."""

    device: str
    attributes: tuple[tuple[str, str], ...]


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


class ToldWithdrawn(Fact, frozen=True):
    """The device's app was told that it may have shown oplogs which are withdrawn now."""

    device: str
    channel: Channel
    epoch: int
    ranges: tuple[tuple[int, int], ...]
    reason: int


# --- wires


class SaidHello(Fact, frozen=True):
    """A Hello reached the server: the attributes that count on this wire."""

    wire: int
    device: str
    os: str = ""
    app_version: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    asks_withdrawals: bool = False
    points: tuple[tuple[Channel, int, int], ...] = ()
    """(channel, epoch, received) of each sync point that it lists."""


class SaidUser(Fact, frozen=True):
    """A Bind or Unbind reached the server."""

    wire: int
    device: str
    user: str
    points: tuple[tuple[Channel, int, int], ...] = ()


class SaidAck(Fact, frozen=True):
    """An Ack reached the server; one for each channel in it."""

    wire: int
    device: str
    channel: Channel
    received: int
    processed: int


class Welcomed(Fact, frozen=True):
    """The server answered Hello, Bind or Unbind: pushes after it are for `user`."""

    wire: int
    device: str
    user: str
    session: str = ""
    """The server's name for the connection."""


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
