"""One conversation, without a socket, a clock or randomness (spec §3, §6).

Strategy: bytes in, messages out; messages in, bytes out. The driver (a transport, the SDK, the
simulator) moves the bytes. Timeouts belong to the driver too; the rule for them is heartbeat.py.

Invariants:
- every message, sent or received, is a step in `TRANSITIONS`, else it is refused;
- what `send` produces is accepted by a peer of our own version: bounds hold in both directions;
- after Close nothing is accepted or produced; after a fault only a Close is produced.
"""

from mobilesync.protocol import limits
from mobilesync.protocol.codec import FrameReader, decode, encode
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.errors import MessageRefused, ProtocolFault
from mobilesync.protocol.messages import Close, Message, Push
from mobilesync.protocol.transitions import TRANSITIONS, ConversationState, Role

_BODY_BYTES_MAX = {
    Role.SERVER: limits.SERVER_FRAME_BYTES_MAX,
    Role.CLIENT: limits.CLIENT_FRAME_BYTES_MAX,
}


class Connection:
    """The protocol state of one end of one connection."""

    __slots__ = ("_faulted", "_reader", "role", "state")

    def __init__(self, role: Role) -> None:
        self.role = role
        self.state = ConversationState.NEW
        self._reader = FrameReader(_BODY_BYTES_MAX[role])
        self._faulted = False

    def closed(self) -> bool:
        """Whether nothing more may be said."""
        return self.state is ConversationState.CLOSED

    def receive_data(self, data: bytes) -> list[Message]:
        """The messages that `data` completes, in order.

        Raises ProtocolFault when the peer breaks the protocol: send `fault.code` in a Close and
        end the connection. Messages that came before the fault in the same `data` are lost with
        it, which is harmless: whatever they acked is said again in the next Hello.
        Data after Close or after a fault is ignored.
        """
        if self._faulted or self.closed():
            return []
        messages: list[Message] = []
        try:
            alone = self._reader.alone(data)
            if alone is not None:
                message = decode(alone)
                if message is None:
                    return messages
                self.state = self._after(self.role.other, message, ProtocolFault)
                messages.append(message)
                return messages
            self._reader.receive(data)
            while (body := self._reader.take()) is not None:
                message = decode(body)
                if message is None:
                    continue
                self.state = self._after(self.role.other, message, ProtocolFault)
                messages.append(message)
                if self.closed():
                    break
        except ProtocolFault:
            self._faulted = True
            raise
        return messages

    def receive_eof(self) -> None:
        """The peer has gone. Raises ProtocolFault MALFORMED_FRAME if it was cut inside a frame."""
        was_closed = self.closed()
        self.state = ConversationState.CLOSED
        if self._reader.buffered_bytes and not was_closed:
            raise ProtocolFault(CloseCode.MALFORMED_FRAME, "the stream ended inside a frame")

    def send(self, message: Message) -> bytes:
        """The bytes of `message`.

        Raises MessageRefused, and nothing has changed: UNEXPECTED_MESSAGE if it may not be said
        now, INVALID_FIELD if a field is out of bounds, FRAME_TOO_LARGE if it is as a whole.
        """
        if self._faulted and not isinstance(message, Close):
            raise MessageRefused(CloseCode.UNEXPECTED_MESSAGE, "only Close follows a fault")
        next_state = self._after(self.role, message, MessageRefused)
        frame = _checked_frame(message, _BODY_BYTES_MAX[self.role.other])
        self.state = next_state
        return frame

    def may_push(self) -> bool:
        """Whether frames made by `encode_push` may be sent now, without passing through `send`."""
        return not self._faulted and (self.role, Push) in TRANSITIONS[self.state]

    def _after(
        self, sender: Role, message: Message, error: type[ProtocolFault]
    ) -> ConversationState:
        """The state after `message`, if it may be said now."""
        next_state = TRANSITIONS[self.state].get((sender, type(message)))
        if next_state is None:
            detail = f"{type(message).__name__} from the {sender.value} while {self.state.value}"
            raise error(CloseCode.UNEXPECTED_MESSAGE, detail)
        return next_state


def _checked_frame(message: Message, body_bytes_max: int) -> bytes:
    """The frame of `message`, which the peer is sure to accept."""
    try:
        frame = encode(message)
        decode(frame[limits.FRAME_HEADER_BYTES :])
    except (UnicodeEncodeError, OverflowError) as error:
        raise MessageRefused(CloseCode.INVALID_FIELD, f"cannot be encoded: {error}") from None
    except ProtocolFault as fault:
        raise MessageRefused(fault.code, fault.detail) from None
    if len(frame) - limits.FRAME_HEADER_BYTES > body_bytes_max:
        detail = f"a frame of {len(frame)} bytes, the bound is {body_bytes_max}"
        raise MessageRefused(CloseCode.FRAME_TOO_LARGE, detail)
    return frame


def close_for(fault: ProtocolFault) -> Close:
    """The Close that answers `fault`."""
    return Close(int(fault.code), fault.detail[: limits.REASON_CHARS_MAX])
