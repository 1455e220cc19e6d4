"""A device reduced to spec §6.4 and §11: what a client does about what a server says.

The smallest thing that conforms, so that the conversation vectors are checked against the text and
not only against one SDK. No store, no handlers, no network.
"""

from collections.abc import Sequence

from mobilesync.protocol import messages as m
from mobilesync.protocol.errors import ProtocolFault
from mobilesync.protocol.versions import accept

Channel = tuple[str, str]


class Ends(Exception):
    """The client must end the connection."""


class DeviceModel:
    """What one device holds, and what it waits for."""

    def __init__(self, device: str, user: str, points: Sequence[Sequence[object]]) -> None:
        self.device = device
        self.points: dict[Channel, tuple[int, int]] = {}
        for biz, target, epoch, received, _processed in points:
            assert isinstance(epoch, int)
            assert isinstance(received, int)
            self.points[str(biz), str(target)] = (epoch, received)
        self.inbox: list[tuple[str, str, int]] = []
        self.notices = 0
        self.dropped = 0
        self._user = user
        self._asked: list[str] = []
        self._offered = (0, 0)
        self._epoch = 0

    def sent(self, message: m.Message) -> None:
        """The client has said `message`."""
        match message:
            case m.Hello():
                self._offered = (message.version_min, message.version_max)
                self._asked.append(message.user)
            case m.Bind():
                self._asked.append(message.user)
            case m.Unbind():
                self._asked.append("")

    def receive(self, message: m.Message) -> None:
        """The server has said `message`. Raises Ends."""
        match message:
            case m.Welcome():
                self._receive_welcome(message)
            case m.Push() | m.Reset() | m.Notice():
                self._receive_for_channel(message)

    def _receive_welcome(self, welcome: m.Welcome) -> None:
        if not self._asked or welcome.user != self._asked.pop(0):
            raise Ends("a Welcome for nobody who was asked for")
        try:
            accept(welcome.version, *self._offered)
        except ProtocolFault as fault:
            raise Ends(fault.detail) from None
        self._user = welcome.user
        self._epoch = welcome.epoch
        for reset in welcome.resets:
            self._receive_for_channel(reset)

    def _receive_for_channel(self, message: m.Push | m.Reset | m.Notice) -> None:
        if message.target.startswith("user:") and self._asked:
            self.dropped += 1
            return
        if message.target not in {f"user:{self._user}", f"device:{self.device}", "everyone"}:
            raise Ends("a target of somebody else")
        channel = (message.biz, message.target)
        match message:
            case m.Push():
                self._receive_push(channel, message)
            case m.Reset():
                if message.epoch != self._epoch:
                    raise Ends("a Reset to an epoch that is not the current one")
                self.points[channel] = (message.epoch, message.floor)
            case m.Notice():
                self.notices += 1

    def _receive_push(self, channel: Channel, push: m.Push) -> None:
        epoch, received = self.points.get(channel, (self._epoch, 0))
        if epoch != self._epoch or received != push.after:
            raise Ends("a Push that does not continue")
        for oplog in push.oplogs:
            row = (*channel, oplog.id)
            self.inbox.append(row)
        self.points[channel] = (epoch, push.upto)
