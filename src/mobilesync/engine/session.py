"""One connected device: its conversation, its cursors, and what it waits for.

Strategy: a session is state and rules, without a task, timer or buffer of its own. The transport
calls `received`, `drained` and `lost`; the waker calls `wake`; the wheel calls `check`; the pump
pushes. What needs to wait for something (a token's check, the store) is a step of login.py.

Not here: reading the store (pump.py), who may log in (login.py), who is connected (sessions.py).

Invariants:
- every byte that leaves went through the conversation's table, or is a Push in the open state;
- `dirty` holds each target that changed since the pump last asked for its heads;
- after `_end` the session is in no registry but, until its link is gone, the wheel.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Protocol

import structlog

from mobilesync.domain.channel import Channel, is_user_target
from mobilesync.domain.clock import Clock
from mobilesync.domain.conditions import Attributes
from mobilesync.domain.errors import Refused
from mobilesync.domain.rules import Viewer
from mobilesync.domain.sync_point import Head
from mobilesync.engine.acks import Progress, note_sends, take_ack
from mobilesync.engine.configs import SyncConfigs
from mobilesync.engine.link import Link
from mobilesync.engine.metrics import Metrics
from mobilesync.engine.options import SessionOptions
from mobilesync.engine.window import Cursor, Window
from mobilesync.protocol import heartbeat
from mobilesync.protocol import messages as m
from mobilesync.protocol.codec import encode_push
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.connection import Connection
from mobilesync.protocol.errors import ProtocolFault
from mobilesync.protocol.limits import PAYLOAD_BYTES_MAX, REASON_CHARS_MAX, RETRY_MS_MAX
from mobilesync.protocol.transitions import Role
from mobilesync.storage.contract import Store

log = structlog.get_logger(__name__)

COMMANDS_MAX = 4
"""Bind and Unbind that may be unanswered at once (spec §6.4)."""

RETRY_SPREAD_MS = 10_000
"""Over how long devices that are sent away together come back."""

NOBODY = Viewer("")
"""Who is seen before Hello."""

Command = m.Hello | m.Bind | m.Unbind


class Phase(Enum):
    """Where a session stands, beyond what the conversation knows."""

    WAITING = "waiting"
    """No Hello yet, or its login is under way."""
    OPEN = "open"
    ENDED = "ended"


class Pumps(Protocol):
    """Whoever pumps sessions (pump.py)."""

    def ready(self, session: "Session") -> None:
        """Pump `session` soon."""

    def flush(self, session: "Session") -> None:
        """The user changes: what was made for `session` leaves now, or never."""


class House(Protocol):
    """What a session needs from those around it (sessions.py)."""

    store: Store
    clock: Clock
    metrics: Metrics
    options: SessionOptions
    configs: SyncConfigs

    @property
    def pump(self) -> Pumps:
        """Whoever pumps the sessions."""

    def command(self, session: "Session", command: Command) -> None:
        """Carry `command` out when those before it are done (login.py)."""

    def progressed(self, session: "Session", progress: Progress) -> None:
        """Whoever wants to know of it is told; called in the turn in which the point advances."""

    def rewound(self, session: "Session", channel: Channel) -> None:
        """The device has followed the replay in `channel`."""

    def ended(self, session: "Session") -> None:
        """Forget `session`."""


class Session:
    """One device's connection."""

    __slots__ = (
        "app", "attributes", "backlog", "behind", "changing", "commands", "conversation",
        "counted_bytes", "counted_messages", "counted_second", "credential", "cursors", "device",
        "dirty", "expires_at_ms", "first_seen_ms", "foreground", "generation", "house", "id",
        "last_heard_s", "link", "next_beat_s", "online_since_ms", "owes_offers", "phase",
        "progress_at_s", "pumping", "queued", "refused", "rewound", "sdk", "skipped", "started_s",
        "targets", "user", "version", "viewer", "window",
    )  # fmt: skip

    def __init__(self, session_id: str, link: Link, house: House) -> None:
        options = house.options
        now_s = house.clock.monotonic_s()
        self.id = session_id
        self.link = link
        self.house = house
        self.conversation = Connection(Role.SERVER)
        self.phase = Phase.WAITING
        self.app = self.user = self.device = ""
        self.attributes = Attributes()
        self.sdk = self.credential = ""
        self.first_seen_ms = self.online_since_ms = 0
        """When its device came first, and this time; 0 before Welcome."""
        self.owes_offers = False
        """Whether its device has changed, and was not offered yet what it may see now."""
        self.viewer = NOBODY
        """Whom rules judge for; made anew when anything of it changes."""
        self.targets: tuple[str, ...] = ()
        self.generation = 0
        """Grows when the user changes, so that a pump under way drops what it read before."""
        self.changing = False
        """Between the change of user and its Welcome: nothing of the user's may leave or arrive."""
        self.cursors: dict[Channel, Cursor] = {}
        self.window = Window(options.window_bytes, options.window_count)
        self.dirty: dict[str, None] = {}
        self.behind: dict[Channel, int] = {}
        """Channels with something above what was read, and their heads."""
        self.backlog: dict[Channel, int] = {}
        """Heads of channels as the device found them: what a re-push threshold is about."""
        self.rewound: dict[Channel, None] = {}
        """Channels that Welcome has put back, until the device's first ack there."""
        self.refused: dict[Channel, frozenset[int]] = {}
        """What the device had been refused when this was first asked, by channel (offers.py)."""
        self.skipped: dict[Channel, None] = {}
        """Channels read past what was told: only oplogs that this device must not see."""
        self.queued = self.pumping = False
        # A list and not a deque, which takes 700 bytes also when it is empty.
        self.commands: list[Command] = []
        self.foreground = True
        self.next_beat_s = 0
        self.expires_at_ms = 0
        self.started_s = self.last_heard_s = self.progress_at_s = now_s
        self.version = 1
        self.counted_second = self.counted_messages = self.counted_bytes = 0

    # From the transport ------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Bytes from the device. Never raises: a fault closes the session."""
        if self.phase is Phase.ENDED:
            return
        try:
            messages = self.conversation.receive_data(data)
            self._count(len(messages), len(data))
            for message in messages:
                self._take(message)
                if self.has_ended():
                    return
        except ProtocolFault as fault:
            self.close(fault.code, fault.detail)
        except Exception:
            log.exception("session_failed", session=self.id)
            self.close(CloseCode.INTERNAL)

    def drained(self) -> None:
        """The link has sent what was buffered: the pump may go on."""
        self._pump_if_wanted()

    def lost(self) -> None:
        """The link is gone."""
        self._end()

    def has_ended(self) -> bool:
        """Whether nothing more will be said."""
        return self.phase is Phase.ENDED

    # From the engine ---------------------------------------------------------------------

    def wake(self, target: str) -> None:
        """Something changed for `target`. Carries no data; the pump will read."""
        self.dirty[target] = None
        if self.phase is Phase.OPEN:
            self.house.pump.ready(self)

    def look_anew(self, *, asks_withdrawals: bool | None = None, is_validated: bool) -> None:
        """What rules see has changed."""
        asks = self.viewer.asks_withdrawals if asks_withdrawals is None else asks_withdrawals
        self.viewer = Viewer(self.device, self.user, self.attributes, asks, is_validated)

    def attends(self, target: str) -> bool:
        """Whether `target` is the session's, and not resting while the user changes."""
        return target in self.targets and not (self.changing and is_user_target(target))

    def take_dirty(self) -> tuple[str, ...]:
        """The targets that changed, for the pump to read. What is not the session's any more is
        dropped; what rests while the user changes stays."""
        dirty, self.dirty = self.dirty, {}
        if len(dirty) == 1 and not self.changing:
            (target,) = dirty
            return (target,) if target in self.targets else ()
        for target in dirty:
            if self.changing and is_user_target(target):
                self.dirty[target] = None
        return tuple(target for target in dirty if self.attends(target))

    def write(self, data: bytes) -> None:
        """Send frames that are legal now."""
        if self.phase is not Phase.ENDED:
            self.link.write(data)

    def send(self, message: m.Message) -> None:
        """Send one message."""
        self.write(self.conversation.send(message))

    def notice(self, target: str, frame: bytes) -> bool:
        """Push a non-persistent payload, unless the device does not keep up; answer whether."""
        metrics = self.house.metrics
        if self.phase is not Phase.OPEN or not self.attends(target):
            return False
        buffered = self.link.buffered_bytes()
        # The first may exceed the bound alone, or the largest payload would never get through.
        if buffered and buffered + len(frame) > self.house.options.buffered_bytes_max:
            metrics.notices_dropped += 1
            return False
        metrics.notices += 1
        self.write(frame)
        return True

    def close(
        self,
        code: CloseCode,
        reason: str = "",
        *,
        retry_after_ms: int = 0,
        retry_spread_ms: int = 0,
    ) -> None:
        """Say why, and end. Harmless when ended already."""
        if self.phase is Phase.ENDED:
            return
        closes = self.house.metrics.closes
        closes[int(code)] = closes.get(int(code), 0) + 1
        log.info("session_closed", session=self.id, app=self.app, code=code.name, reason=reason)
        if not self.conversation.closed():
            advice = (min(retry_after_ms, RETRY_MS_MAX), min(retry_spread_ms, RETRY_MS_MAX))
            self.send(m.Close(int(code), reason[:REASON_CHARS_MAX], *advice))
        self._end()
        self.link.close()

    def close_for_now(self, refusal: Refused) -> None:
        """End because the store cannot be read now; the device comes back and asks again."""
        self.close(
            CloseCode.STORE_UNAVAILABLE,
            retry_after_ms=round(refusal.retry_after_s * 1000),
            retry_spread_ms=RETRY_SPREAD_MS,
        )

    def compare(self, heads: Mapping[Channel, Head]) -> None:
        """Take note of the channels whose heads are above what was read for this device."""
        for channel, head in heads.items():
            cursor = self.cursors.get(channel)
            if head.last > (cursor.read if cursor else 0):
                self.behind[channel] = head.last

    def check(self, now_s: float) -> float | None:
        """Close what is late (the wheel calls this); say when to look again."""
        options = self.house.options
        if self.phase is Phase.ENDED:
            # Closed a while ago; whoever has not taken the last bytes by now never will.
            self.link.abort()
            return None
        if self.phase is Phase.WAITING:
            if now_s >= self.started_s + options.hello_timeout_s:
                self.close(CloseCode.HELLO_TIMEOUT)
                return now_s + options.close_linger_s
            return self.started_s + options.hello_timeout_s
        return self._check_open(now_s)

    def oldest_unacked_ms(self) -> int | None:
        """When the oldest oplog under way was published, or None."""
        if not self.window.count:
            return None
        pushes = (cursor.pushes[0] for cursor in self.cursors.values() if cursor.pushes)
        return min((push.published_at_ms for push in pushes), default=None)

    # Steps -------------------------------------------------------------------------------

    def _check_open(self, now_s: float) -> float:
        options = self.house.options
        quiet_s = heartbeat.deadline_s(self.next_beat_s, options.beat_max_s)
        if now_s >= self.last_heard_s + quiet_s:
            self.close(CloseCode.IDLE_TIMEOUT)
            return now_s + options.close_linger_s
        due_s = self.last_heard_s + quiet_s
        now_ms = self.house.clock.wall_ms()
        if self.expires_at_ms:
            if now_ms >= self.expires_at_ms:
                self.close(CloseCode.TOKEN_EXPIRED)
                return now_s + options.close_linger_s
            due_s = min(due_s, now_s + (self.expires_at_ms - now_ms) / 1000)
        if self.window.count:
            slow_s = self.progress_at_s + options.ack_timeout_s
            if now_s >= slow_s:
                self.close(CloseCode.SLOW_DEVICE, "no ack in time")
                return now_s + options.close_linger_s
            due_s = min(due_s, slow_s)
        # A session that is idle now may have pushes under way before its heartbeat is due.
        return min(due_s, now_s + options.ack_timeout_s)

    def _count(self, messages: int, size: int) -> None:
        """Hold the device to its share: also of bytes, since messages of a type that nobody here
        knows are passed over without being seen."""
        now_s = self.house.clock.monotonic_s()
        if messages:
            self.last_heard_s = now_s
        second = int(now_s)
        if second != self.counted_second:
            self.counted_second, self.counted_messages, self.counted_bytes = second, 0, 0
        self.counted_messages += messages
        self.counted_bytes += size
        options = self.house.options
        if (
            self.counted_messages > options.messages_per_s_max
            or self.counted_bytes > options.bytes_per_s_max
        ):
            raise ProtocolFault(CloseCode.RATE_LIMITED)

    def _take(self, message: m.Message) -> None:
        if type(message) is m.Ack:
            self._progress(take_ack(self, message))
            return
        match message:
            case m.Ping():
                self._check_reading()
                self.next_beat_s = message.next_beat_s
                self.write(self.conversation.send(m.Pong(self.house.clock.wall_ms())))
                self._tell_skipped()
            case m.State():
                self.foreground = message.foreground
                self.next_beat_s = message.next_beat_s
            case m.Hello() | m.Bind() | m.Unbind():
                self._check_reading()
                if len(self.commands) >= COMMANDS_MAX:
                    raise ProtocolFault(CloseCode.RATE_LIMITED, "too many user changes at once")
                self.house.command(self, message)
            case m.Close():
                self._end()
                self.link.close()
            case _:
                raise AssertionError("the table lets no other message through")

    def _progress(self, progress: Sequence[Progress]) -> None:
        for each in progress:
            self.house.progressed(self, each)
            if each.channel in self.rewound:
                del self.rewound[each.channel]
                self.house.rewound(self, each.channel)
        self._pump_if_wanted()

    def _tell_skipped(self) -> None:
        """Move the device's sync points over what it must not see, now that it is awake anyway."""
        if self.pumping:
            # The pump holds frames that begin where these would; it is the next Pong's turn.
            return
        for channel in self.skipped:
            cursor = self.cursors[channel]
            self.write(encode_push(channel.biz, channel.target, cursor.told, cursor.read, ()))
            cursor.told = cursor.read
        self.skipped.clear()

    def _check_reading(self) -> None:
        """Whoever asks must also read the answers, or they would pile up here."""
        if self.link.buffered_bytes() > self.house.options.window_bytes + PAYLOAD_BYTES_MAX:
            raise ProtocolFault(CloseCode.SLOW_DEVICE, "answers are not read")

    def _pump_if_wanted(self) -> None:
        if self.phase is Phase.OPEN and (self.behind or self.dirty):
            self.house.pump.ready(self)

    def _end(self) -> None:
        if self.phase is not Phase.ENDED:
            if self.window.count:
                note_sends(self)
            self.phase = Phase.ENDED
            self.commands.clear()
            # The wheel keeps the session for a while, but not half a frame of a device that left.
            self.conversation = Connection(Role.SERVER)
            self.house.ended(self)
