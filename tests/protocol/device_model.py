"""A device reduced to spec §6.4, §11 and §13.9: what a client does about what a server says.

The smallest thing that conforms, so that the conversation vectors are checked against the text and
not only against one SDK. No store, no handlers, no network.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import ResetReason
from mobilesync.protocol.errors import ProtocolFault
from mobilesync.protocol.versions import accept

Channel = tuple[str, str]


class Ends(Exception):
    """The client must end the connection."""


@dataclass
class Waiting:
    """An oplog in the inbox."""

    channel: Channel
    id: int
    counts: bool = True
    """Whether its id still means the same oplog to the server (§11.3)."""


class DeviceModel:
    """What one device holds, and what it waits for."""

    def __init__(self, device: str, user: str, points: Sequence[Sequence[object]]) -> None:
        self.device = device
        self.points: dict[Channel, tuple[int, int]] = {}
        for biz, target, epoch, received, _processed in points:
            assert isinstance(epoch, int)
            assert isinstance(received, int)
            self.points[str(biz), str(target)] = (epoch, received)
        self.inbox: list[Waiting] = []
        self.withdrawn: list[tuple[Channel, int, int, int]] = []
        """What the app is told: channel, first and last id, reason."""
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
                self._recount(channel, message)
                self.points[channel] = (message.epoch, message.floor)
            case m.Notice():
                self.notices += 1

    def _receive_push(self, channel: Channel, push: m.Push) -> None:
        epoch, received = self.points.get(channel, (self._epoch, 0))
        if epoch != self._epoch or received != push.after:
            raise Ends("a Push that does not continue")
        for oplog in push.oplogs:
            # Only after REWOUND: it comes again, at its new place.
            self._take_out(channel, oplog.id, oplog.id)
            if oplog.withdraws is None:
                self.inbox.append(Waiting(channel, oplog.id))
            else:
                self._withdraw(channel, oplog.id, oplog.withdraws)
        self.points[channel] = (epoch, push.upto)

    def _recount(self, channel: Channel, reset: m.Reset) -> None:
        if reset.reason in {ResetReason.TRIMMED, ResetReason.RENAMED, ResetReason.REWOUND}:
            return
        floor = -1 if reset.reason == ResetReason.FOREIGN else reset.floor
        for row in self.inbox:
            if row.channel == channel and row.id > floor:
                row.counts = False

    def _withdraw(self, channel: Channel, by: int, withdrawal: m.Withdrawal) -> None:
        for ids in withdrawal.ids:
            unseen = self._take_out(channel, ids.first, min(ids.last, by - 1))
            first = 0
            for each in range(ids.first, min(ids.last, by - 1) + 2):
                told = each <= min(ids.last, by - 1) and each not in unseen
                if told and not first:
                    first = each
                if not told and first:
                    self.withdrawn.append((channel, first, each - 1, withdrawal.reason))
                    first = 0

    def _take_out(self, channel: Channel, first: int, last: int) -> set[int]:
        """Forget what waits under these ids; answers which that were."""
        out = [
            row
            for row in self.inbox
            if row.channel == channel and row.counts and first <= row.id <= last
        ]
        self.inbox = [row for row in self.inbox if row not in out]
        return {row.id for row in out}
