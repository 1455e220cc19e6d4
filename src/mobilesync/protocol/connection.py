"""One conversation, without a socket, a clock or randomness (spec §3, §6).

Strategy: bytes in, messages out; messages in, bytes out. The driver (a transport, the SDK, the
simulator) moves the bytes. Timeouts belong to the driver too; the rule for them is heartbeat.py.

Invariants:
- every message, sent or received, is a step in `TRANSITIONS`, else it is refused;
- after Close or a fault nothing more is accepted or produced.
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

    __slots__ = ("_reader", "role", "state")

    def __init__(self, role: Role) -> None:
        self.role = role
        self.state = ConversationState.NEW
        self._reader = FrameReader(_BODY_BYTES_MAX[role])

    def closed(self) -> bool:
        """Whether nothing more may be said."""
        return self.state is ConversationState.CLOSED

    def receive_data(self, data: bytes) -> list[Message]:
        """The messages that `data` completes, in order.

        Raises ProtocolFault when the peer breaks the protocol: send `fault.code` in a Close and
        end the connection. Messages that came before the fault in the same `data` are lost with
        it, which is harmless: whatever they acked is said again in the next Hello.
        Data after Close is ignored.
        """
        if self.closed():
            return []
        messages: list[Message] = []
        for body in self._reader.receive(data):
            message = decode(body)
            if message is None:
                continue
            self._step(self.role.other, message, ProtocolFault)
            messages.append(message)
            if self.closed():
                break
        return messages

    def receive_eof(self) -> None:
        """The peer has gone. Raises ProtocolFault MALFORMED_FRAME if it was cut inside a frame."""
        was_closed = self.closed()
        self.state = ConversationState.CLOSED
        if self._reader.buffered_bytes and not was_closed:
            raise ProtocolFault(CloseCode.MALFORMED_FRAME, "the stream ended inside a frame")

    def send(self, message: Message) -> bytes:
        """The bytes of `message`. Raises MessageRefused if it may not be said now."""
        self._step(self.role, message, MessageRefused)
        return encode(message)

    def may_push(self) -> bool:
        """Whether frames made by `encode_push` may be sent now, without passing through `send`."""
        return (self.role, Push) in TRANSITIONS[self.state]

    def _step(self, sender: Role, message: Message, error: type[ProtocolFault]) -> None:
        next_state = TRANSITIONS[self.state].get((sender, type(message)))
        if next_state is None:
            detail = f"{type(message).__name__} from the {sender.value} while {self.state.value}"
            raise error(CloseCode.UNEXPECTED_MESSAGE, detail)
        self.state = next_state


def close_for(fault: ProtocolFault) -> Close:
    """The Close that answers `fault`."""
    return Close(int(fault.code), fault.detail[: limits.REASON_CHARS_MAX])
