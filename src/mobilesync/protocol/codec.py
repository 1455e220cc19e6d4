"""Messages to frames and back (spec §3).

A frame is a 4-byte big-endian length and that many bytes of body; the body is one MessagePack
array (messages.py). `FrameReader` cuts a byte stream into bodies without trusting the length.

Invariant: nothing is buffered beyond one frame's bound plus what one `receive` call brought.
"""

import struct
from collections.abc import Sequence
from typing import cast, get_args

import msgspec

from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.errors import ProtocolFault
from mobilesync.protocol.limits import FRAME_HEADER_BYTES
from mobilesync.protocol.messages import OPTIONAL_TYPE_MIN, Hello, Message, Push, PushedOplog
from mobilesync.protocol.rules import check

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(cast("type[Message]", Message))
_any_decoder = msgspec.msgpack.Decoder(list[msgspec.Raw])
_type_decoder = msgspec.msgpack.Decoder(int)
_header = struct.Struct(">I")
_KNOWN_TYPES = frozenset(kind.__struct_config__.tag for kind in get_args(Message))
_PUSH_TYPE = Push.__struct_config__.tag
_ATTRIBUTES_INDEX = Hello.__struct_fields__.index("attributes") + 1


def encode(message: Message) -> bytes:
    """The whole frame of `message`: header and body."""
    body = _encoder.encode(message)
    return _header.pack(len(body)) + body


def encode_oplog(oplog: PushedOplog) -> bytes:
    """One oplog as it stands inside a Push, for `encode_push`.

    Most oplogs have nothing in the last fields, which are left out then (spec §4.2).
    """
    if oplog.key or oplog.origin is not None or oplog.withdraws is not None:
        return _encoder.encode(oplog)
    return encode_plain_oplog(oplog.id, oplog.published_at_ms, oplog.payload, oplog.message_id)


def encode_plain_oplog(
    oplog_id: int, published_at_ms: int, payload: bytes, message_id: str
) -> bytes:
    """As `encode_oplog`, for one that has nothing in the last fields."""
    return _encoder.encode((oplog_id, published_at_ms, payload, message_id))


def encode_push(biz: str, target: str, after: int, upto: int, oplogs: Sequence[bytes]) -> bytes:
    """The whole frame of a Push whose oplogs were encoded by `encode_oplog` before."""
    # An array of arrays that are encoded already, as msgspec would encode a Push.
    push = (_PUSH_TYPE, biz, target, after, upto, [msgspec.Raw(oplog) for oplog in oplogs])
    body = _encoder.encode(push)
    return _header.pack(len(body)) + body


def decode(body: bytes) -> Message | None:
    """The message in one frame's body, or None for an optional message of an unknown type.

    Raises ProtocolFault MALFORMED_FRAME when it is no message, UNEXPECTED_MESSAGE for an unknown
    type that is not optional, INVALID_FIELD when a value is of the wrong type, out of bounds, or
    contradicts another (rules.py).
    """
    try:
        message = _decoder.decode(body)
    except msgspec.ValidationError as error:
        _check_ignorable(body, error)
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolFault(CloseCode.MALFORMED_FRAME, f"not MessagePack: {error}") from None
    check(message)
    if type(message) is Hello and message.attributes:
        _check_keys(body, len(message.attributes))
    return message


def _check_keys(body: bytes, count: int) -> None:
    """Refuse an attribute that is said twice: receivers would differ in which one they take."""
    attributes = bytes(_any_decoder.decode(body)[_ATTRIBUTES_INDEX])
    first = attributes[0]
    if first & 0xF0 == 0x80:
        said = first & 0x0F
    else:
        assert first in {0xDE, 0xDF}, "msgspec has read a map here"
        said = int.from_bytes(attributes[1 : 3 if first == 0xDE else 5], "big")
    if said != count:
        raise ProtocolFault(CloseCode.INVALID_FIELD, "an attribute is given twice")


def _check_ignorable(body: bytes, error: msgspec.ValidationError) -> None:
    try:
        message_type = _type_decoder.decode(_any_decoder.decode(body)[0])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, IndexError):
        detail = "not an array that begins with a message type"
        raise ProtocolFault(CloseCode.MALFORMED_FRAME, detail) from None
    if message_type >= OPTIONAL_TYPE_MIN:
        return
    if message_type not in _KNOWN_TYPES:
        detail = f"message type {message_type} is unknown and not optional"
        raise ProtocolFault(CloseCode.UNEXPECTED_MESSAGE, detail) from None
    # msgspec's sentence names the field and the rule, never the value: safe to send back.
    raise ProtocolFault(CloseCode.INVALID_FIELD, str(error)[:200]) from None


class FrameReader:
    """Cuts a byte stream into frame bodies."""

    def __init__(self, body_bytes_max: int) -> None:
        self._buffer = bytearray()
        self._begin = 0
        """Up to here bodies were taken."""
        self._body_bytes_max = body_bytes_max

    @property
    def buffered_bytes(self) -> int:
        """How many bytes of an unfinished frame are held."""
        return len(self._buffer) - self._begin

    def alone(self, data: bytes) -> bytes | None:
        """The body, when `data` is one whole frame and nothing was held: as most often, and at a
        third of the cost of `receive`, which is to be called when this is None."""
        if self._buffer or len(data) <= FRAME_HEADER_BYTES:
            return None
        (length,) = _header.unpack_from(data)
        if length != len(data) - FRAME_HEADER_BYTES or length > self._body_bytes_max:
            return None
        return data[FRAME_HEADER_BYTES:]

    def receive(self, data: bytes) -> None:
        """Hold `data`, to be taken body by body."""
        self._buffer += data

    def take(self) -> bytes | None:
        """The next body that is complete, or None; whoever stops early goes on there.

        Raises ProtocolFault FRAME_TOO_LARGE as soon as a header announces too much, so that an
        attacker cannot make the receiver buffer it; MALFORMED_FRAME for an empty body. Bodies
        before the fault come first, however the network has cut the bytes.
        """
        buffer, begin = self._buffer, self._begin
        if len(buffer) - begin >= FRAME_HEADER_BYTES:
            (length,) = _header.unpack_from(buffer, begin)
            if length > self._body_bytes_max:
                detail = f"a frame of {length} bytes, the bound is {self._body_bytes_max}"
                raise ProtocolFault(CloseCode.FRAME_TOO_LARGE, detail)
            if length == 0:
                raise ProtocolFault(CloseCode.MALFORMED_FRAME, "an empty frame")
            begin += FRAME_HEADER_BYTES
            if len(buffer) >= begin + length:
                self._begin = begin + length
                with memoryview(buffer) as view:
                    return bytes(view[begin : self._begin])
        del buffer[: self._begin]
        self._begin = 0
        return None
