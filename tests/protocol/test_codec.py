"""Frames: whatever is encoded comes back, whatever arrives is a message or a defined fault."""

import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mobilesync.protocol import messages as m
from mobilesync.protocol.codec import FrameReader, decode, encode, encode_oplog, encode_push
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.errors import ProtocolFault
from mobilesync.protocol.limits import FRAME_HEADER_BYTES, SERVER_FRAME_BYTES_MAX
from tests.protocol.reference_packer import frame, pack
from tests.protocol.strategies import messages, pushes

# Anything MessagePack, so that bytes which are nearly right are common.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
TYPES = st.integers(0, 13) | st.integers(-1, 300)


def fault_of(body: bytes) -> ProtocolFault:
    with pytest.raises(ProtocolFault) as caught:
        decode(body)
    return caught.value


def decode_or_code(body: bytes) -> CloseCode:
    """The code of the fault; INVALID_FIELD also when there is none, since nothing was wrong."""
    try:
        assert decode(body) is not None
    except ProtocolFault as fault:
        return fault.code
    return CloseCode.INVALID_FIELD


class TestRoundTrip:
    @given(messages())
    def test_decode_undoes_encode(self, message: m.Message) -> None:
        assert decode(encode(message)[FRAME_HEADER_BYTES:]) == message

    @given(messages())
    def test_the_header_is_the_length(self, message: m.Message) -> None:
        data = encode(message)
        assert struct.unpack(">I", data[:FRAME_HEADER_BYTES]) == (len(data) - 4,)

    @given(messages(), st.lists(VALUES, max_size=3))
    def test_what_a_newer_sender_adds_is_ignored(
        self, message: m.Message, more: list[object]
    ) -> None:
        body = msgspec.msgpack.encode(
            [*msgspec.to_builtins(message, builtin_types=(bytes,)), *more]
        )
        assert decode(body) == message

    @given(pushes())
    def test_a_push_of_encoded_oplogs_is_the_same_push(self, push: m.Push) -> None:
        oplogs = [encode_oplog(oplog) for oplog in push.oplogs]
        frame = encode_push(push.biz, push.target, push.after, push.upto, oplogs)
        assert decode(frame[FRAME_HEADER_BYTES:]) == push
        assert len(frame) <= len(encode(push))

    def test_an_oplog_with_nothing_special_is_short(self) -> None:
        plain = m.PushedOplog(1, 5, b"x", "m")
        assert encode_oplog(plain) == pack([1, 5, b"x", "m"])
        special = (
            m.PushedOplog(1, 5, b"x", "m", "k"),
            m.PushedOplog(1, 5, b"x", "m", origin=m.Origin("everyone", 3)),
            m.PushedOplog(9, 5, b"", "m", withdraws=m.Withdrawal([m.IdRange(1, 2)], 1)),
        )
        for oplog in special:
            assert encode_oplog(oplog) == msgspec.msgpack.encode(oplog)


class TestDecode:
    @given(st.binary(max_size=200))
    @example(b"")
    def test_any_bytes_are_a_message_or_a_fault(self, body: bytes) -> None:
        with suppress(ProtocolFault):
            message = decode(body)
            assert message is None or decode(encode(message)[FRAME_HEADER_BYTES:]) == message

    @given(TYPES, st.lists(VALUES, max_size=13))
    def test_any_array_is_a_message_or_a_fault(self, kind: int, fields: list[object]) -> None:
        body = msgspec.msgpack.encode([kind, *fields])
        if kind >= m.OPTIONAL_TYPE_MIN:
            assert decode(body) is None
        elif not 1 <= kind <= 12:
            assert fault_of(body).code is CloseCode.UNEXPECTED_MESSAGE
        else:
            assert decode_or_code(body) is CloseCode.INVALID_FIELD

    @given(messages(), st.data())
    def test_a_cut_body_is_malformed(self, message: m.Message, data: st.DataObject) -> None:
        body = encode(message)[FRAME_HEADER_BYTES:]
        cut = data.draw(st.integers(0, len(body) - 1))
        assert fault_of(body[:cut]).code is CloseCode.MALFORMED_FRAME

    @given(messages(), st.binary(min_size=1))
    def test_bytes_after_the_array_are_malformed(self, message: m.Message, more: bytes) -> None:
        body = encode(message)[FRAME_HEADER_BYTES:] + more
        # A wrong field may be seen first; here all of them are right.
        assert fault_of(body).code is CloseCode.MALFORMED_FRAME

    def test_an_attribute_given_twice_in_a_long_map(self) -> None:
        names = [f"name-{number}" for number in range(20)]
        pairs = b"".join(pack(name) + pack("v") for name in [*names, names[7]])
        body = b"\x9d" + b"".join(
            pack(each) for each in [1, 1, 1, "t", "d", "", [], "", "", "", True, 0]
        )
        for head in (b"\xde\x00\x15", b"\xdf\x00\x00\x00\x15"):
            assert fault_of(body + head + pairs).code is CloseCode.INVALID_FIELD

    @pytest.mark.parametrize("head", [b"\xde\x00\x01", b"\xdf\x00\x00\x00\x01"])
    def test_a_map_in_a_longer_format(self, head: bytes) -> None:
        fields = [1, 1, 1, "t", "d", "", [], "", "", "", True, 0]
        hello = decode(b"\x9d" + b"".join(map(pack, fields)) + head + pack("a") + pack("b"))
        assert isinstance(hello, m.Hello)
        assert hello.attributes == {"a": "b"}

    def test_a_detail_never_repeats_a_secret(self) -> None:
        for wrong in ([1, 1, 1, 7, "d", ""], [1, 1, 1, "secret" * 2000, "d", "", []]):
            assert "secret" not in fault_of(pack(wrong)).detail

    @pytest.mark.parametrize(
        "head", [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"]
    )
    def test_an_announced_count_reserves_nothing(self, head: bytes) -> None:
        bodies = [head, b"\x97\x01\x01\x01\xa1t\xa1d\xa1u" + head, b"\x92\xcc\x80" + head]
        tracemalloc.start()
        try:
            for body in bodies:
                fault_of(body)
            assert tracemalloc.get_traced_memory()[1] < 100_000
        finally:
            tracemalloc.stop()


def bodies_of(reader: FrameReader, data: bytes) -> Iterator[bytes]:
    """The bodies that `data` completes."""
    reader.receive(data)
    while (body := reader.take()) is not None:
        yield body


class TestFrameReader:
    @given(st.lists(messages(), max_size=5), st.data())
    def test_where_the_bytes_are_cut_does_not_matter(
        self, said: list[m.Message], data: st.DataObject
    ) -> None:
        stream = b"".join(encode(message) for message in said)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
        reader = FrameReader(SERVER_FRAME_BYTES_MAX)
        pieces = zip([0, *cuts], [*cuts, len(stream)], strict=True)
        bodies = [body for begin, end in pieces for body in bodies_of(reader, stream[begin:end])]
        assert [decode(body) for body in bodies] == said
        assert reader.buffered_bytes == 0

    @given(st.integers(1, 64), st.lists(st.binary(max_size=100), max_size=20))
    def test_memory_is_bounded_by_one_frame(self, bound: int, pieces: list[bytes]) -> None:
        reader = FrameReader(bound)
        for piece in pieces:
            try:
                bodies = list(bodies_of(reader, piece))
            except ProtocolFault:
                return
            assert all(1 <= len(body) <= bound for body in bodies)
            assert reader.buffered_bytes < FRAME_HEADER_BYTES + bound

    def test_a_length_is_judged_before_its_body_comes(self) -> None:
        reader = FrameReader(10)
        assert list(bodies_of(reader, struct.pack(">I", 11)[:3])) == []
        with pytest.raises(ProtocolFault) as caught:
            list(bodies_of(reader, struct.pack(">I", 11)[3:]))
        assert caught.value.code is CloseCode.FRAME_TOO_LARGE

    def test_a_frame_of_exactly_the_bound_passes(self) -> None:
        reader = FrameReader(10)
        assert list(bodies_of(reader, struct.pack(">I", 10) + b"x" * 10)) == [b"x" * 10]

    def test_an_empty_frame_is_malformed(self) -> None:
        with pytest.raises(ProtocolFault) as caught:
            list(bodies_of(FrameReader(10), bytes(4)))
        assert caught.value.code is CloseCode.MALFORMED_FRAME

    def test_bodies_before_a_fault_come_first(self) -> None:
        bodies = bodies_of(FrameReader(10), frame(1) + bytes(4))
        assert next(bodies) == pack(1)
        with pytest.raises(ProtocolFault):
            next(bodies)

    def test_who_stops_early_continues_there(self) -> None:
        reader = FrameReader(10)
        for body in bodies_of(reader, frame(1) + frame(2) + frame(3)):
            assert body == pack(1)
            break
        assert list(bodies_of(reader, b"")) == [pack(2), pack(3)]


@given(messages())
def test_every_encoding_in_the_protocols_own_words(message: m.Message) -> None:
    """Two writers that know nothing of each other agree."""
    plain = msgspec.to_builtins(message, builtin_types=(bytes,))
    assume(isinstance(plain, list))
    assert frame([type(message).__struct_config__.tag, *plain[1:]]) == encode(message)
