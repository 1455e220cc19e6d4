"""A scripted device: the client's half of the protocol, without the SDK.

It keeps what it was pushed as the spec asks (§6.4, §7, §11): saves only what continues its sync
point, drops pushes for users while their change is unanswered, and acks when it is told to. What
the server does wrong is an AssertionError at the spot.
"""

from collections import deque

from mobilesync.domain.channel import is_user_target, session_targets
from mobilesync.engine.session import Session
from mobilesync.engine.sessions import Sessions
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import CloseCode, ResetReason
from mobilesync.protocol.connection import Connection
from mobilesync.protocol.transitions import Role
from tests.engine.link import HIGH_BYTES, MemoryLink

Place = tuple[str, str]
"""Biz and target."""


class Device:
    """One phone. `user` is whom the app believes to be logged in."""

    def __init__(
        self, sessions: Sessions, device: str = "d1", user: str = "u1", *, app: str = "demo"
    ) -> None:
        self.sessions = sessions
        self.app = app
        self.device = device
        self.user = user
        self.os = ""
        self.app_version = ""
        self.attributes: dict[str, str] = {}
        self.features: list[str] = []
        self.expires_at_ms = 0
        self.acking = True
        """Whether each push is acked at once."""
        self.processing = True
        """Whether what is received is also processed at once."""
        self.high_bytes = HIGH_BYTES
        """The link's mark, see `MemoryLink`."""
        self.saved: dict[Place, list[m.PushedOplog]] = {}
        self.points: dict[Place, m.SyncPoint] = {}
        self.link = MemoryLink()
        self.session: Session | None = None
        self.heard: list[m.Message] = []
        """All that the server said on this link."""
        self.unanswered: deque[str] = deque()
        """Users of Hello, Bind and Unbind without their Welcome."""
        self._connection = Connection(Role.CLIENT)
        self.epoch = 0

    # What the app does -------------------------------------------------------------------

    def connect(self) -> Session:
        """A new link, and Hello on it."""
        self.dial()
        self.hello()
        assert self.session is not None
        return self.session

    def dial(self) -> Session:
        """A new link without a word."""
        marks = {"high_bytes": self.high_bytes, "low_bytes": self.high_bytes // 4}
        self.link = link = MemoryLink(self.device, **marks)
        self._connection = connection = Connection(Role.CLIENT)
        heard: list[m.Message] = []
        self.heard = heard
        self.unanswered.clear()
        link.deliver = lambda data: self._receive(connection, heard, data)
        session = self.sessions.connected(link)
        link.on_drained, link.on_lost = session.drained, session.lost
        self.session = session
        return session

    def hello(self) -> None:
        """Say Hello with the sync points of this user's channels."""
        targets = session_targets(self.user, self.device)
        points = [point for point in self.points.values() if point.target in targets]
        hello = m.Hello(
            1,
            1,
            self.token(),
            self.device,
            self.user,
            points,
            self.os,
            self.app_version,
            attributes=self.attributes,
            features=self.features,
        )
        self.unanswered.append(self.user)
        self.say(hello)

    def lose_store(self) -> None:
        """The app was installed anew: nothing is left."""
        self.saved.clear()
        self.points.clear()

    def hang_up(self) -> None:
        """The link is gone."""
        assert self.session is not None
        self.session.lost()

    def bind(self, user: str) -> None:
        """Log `user` in on the living connection."""
        self.user = user
        self.unanswered.append(user)
        points = [p for p in self.points.values() if p.target == f"user:{user}"]
        self.say(m.Bind(self.token(), user, points))

    def unbind(self) -> None:
        """Log out on the living connection."""
        self.user = ""
        self.unanswered.append("")
        self.say(m.Unbind())

    def ping(self, next_beat_s: int = 0) -> None:
        self.say(m.Ping(next_beat_s))

    def ack(self, *places: Place) -> None:
        """Ack what is saved of `places`, or of all channels of this session."""
        targets = session_targets(self.user, self.device)
        chosen = places or tuple(place for place in self.points if place[1] in targets)
        acked = [
            m.Acked(point.biz, point.target, point.received, point.processed)
            for point in map(self.points.__getitem__, chosen)
        ]
        if acked and not self.closed:
            self.say(m.Ack(acked))

    def say(self, message: m.Message) -> None:
        self.send(self._connection.send(message))

    def send(self, data: bytes) -> None:
        """Bytes of any kind."""
        assert self.session is not None
        if not self.link.is_lost:
            self.session.received(data)

    def token(self) -> str:
        return "|".join((self.app, self.user, self.device, str(self.expires_at_ms)))

    # What the test asks ------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        return self.link.is_lost or self._connection.closed()

    @property
    def welcomed(self) -> bool:
        """Whether the last Hello, Bind or Unbind was answered."""
        return bool(self.heard) and not self.unanswered and not self.closed

    def got(self, biz: str, target: str) -> list[bytes]:
        """The payloads saved of a channel."""
        return [oplog.payload for oplog in self.saved.get((biz, target), [])]

    def received(self, biz: str, target: str) -> int:
        point = self.points.get((biz, target))
        return point.received if point else 0

    def all(self, kind: type[m.Message]) -> list[m.Message]:
        return [message for message in self.heard if isinstance(message, kind)]

    def pushes(self) -> list[m.Push]:
        return [message for message in self.heard if isinstance(message, m.Push)]

    def close_code(self) -> CloseCode | None:
        """Why the server closed; None while it has not."""
        last = self.close()
        return CloseCode(last.code) if last else None

    def close(self) -> m.Close | None:
        return next((said for said in self.heard if isinstance(said, m.Close)), None)

    # What the SDK would do ---------------------------------------------------------------

    def _receive(self, connection: Connection, heard: list[m.Message], data: bytes) -> None:
        for message in connection.receive_data(data):
            heard.append(message)
            if connection is not self._connection:
                continue  # a link that was given up
            match message:
                case m.Welcome():
                    assert message.user == self.unanswered.popleft()
                    self.epoch = message.epoch
                    if not self.unanswered:
                        for reset in message.resets:
                            self._reset(reset)
                case m.Reset() if self._mine(message.target):
                    self._reset(message)
                case m.Push() if self._mine(message.target):
                    self._save(message)
                case m.Notice():
                    self._mine(message.target)

    def _mine(self, target: str) -> bool:
        if self.unanswered and is_user_target(target):
            return False
        assert target in session_targets(self.user, self.device), "a frame for somebody else"
        return True

    def _reset(self, reset: m.Reset) -> None:
        place = (reset.biz, reset.target)
        assert reset.epoch == self.epoch
        if reset.reason == ResetReason.FOREIGN:
            self.saved.pop(place, None)
        if reset.reason == ResetReason.REWOUND:
            self.saved[place] = [each for each in self.saved[place] if each.id <= reset.floor]
        self.points[place] = m.SyncPoint(*place, reset.epoch, reset.floor, reset.floor)

    def _save(self, push: m.Push) -> None:
        place = (push.biz, push.target)
        assert push.after == self.received(*place), "the push does not continue what was saved"
        saved = self.saved.setdefault(place, [])
        assert not saved or not push.oplogs or push.oplogs[0].id > saved[-1].id, "a repeat"
        saved.extend(push.oplogs)
        processed = push.upto if self.processing else 0
        self.points[place] = m.SyncPoint(*place, self.epoch, push.upto, processed)
        if self.acking:
            self.ack(place)
