"""One end of a conversation: every legal step passes, every other one is refused by both ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.protocol import limits
from mobilesync.protocol import messages as m
from mobilesync.protocol.codec import encode
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.connection import Connection, close_for
from mobilesync.protocol.errors import MessageRefused, ProtocolFault
from mobilesync.protocol.transitions import TRANSITIONS, ConversationState, Role
from tests.protocol.reference_packer import frame
from tests.protocol.strategies import from_role, messages
from tests.protocol.vectors import TYPES, connection

EXAMPLES: dict[type, m.Message] = {
    m.Hello: m.Hello(1, 1, "t", "d", "", []),
    m.Welcome: m.Welcome(1, 1, "s", "", 0, 1, 60),
    m.Push: m.Push("B", "everyone", 0, 1, []),
    m.Ack: m.Ack([m.Acked("B", "everyone", 1, 1)]),
    m.Reset: m.Reset("B", "everyone", 1, 1, 1),
    m.Notice: m.Notice("B", "everyone", 1, b""),
    m.Bind: m.Bind("t", "u", []),
    m.Unbind: m.Unbind(),
    m.State: m.State(True),
    m.Ping: m.Ping(1),
    m.Pong: m.Pong(1),
    m.Close: m.Close(1000),
}
assert set(EXAMPLES) == set(TYPES.values())
# Every (state, sender, message): legal or not, the table says.
STEPS = [(state, role, kind) for state in ConversationState for role in Role for kind in EXAMPLES]


def reach(role: Role, state: ConversationState) -> Connection:
    if state is not ConversationState.CLOSED:
        return connection(role, state.value)
    end = connection(role, "new")
    end.send(m.Close(1000))
    return end


@pytest.mark.parametrize("state, sender, kind", STEPS)
class TestEveryStep:
    def test_sending(self, state: ConversationState, sender: Role, kind: type) -> None:
        end = reach(sender, state)
        after = TRANSITIONS[state].get((sender, kind))
        if after is not None:
            assert end.send(EXAMPLES[kind]) == encode(EXAMPLES[kind])
            assert end.state is after
            return
        with pytest.raises(MessageRefused) as refused:
            end.send(EXAMPLES[kind])
        assert refused.value.code is CloseCode.UNEXPECTED_MESSAGE
        assert end.state is state

    def test_receiving(self, state: ConversationState, sender: Role, kind: type) -> None:
        end = reach(sender.other, state)
        after = TRANSITIONS[state].get((sender, kind))
        data = encode(EXAMPLES[kind])
        if state is ConversationState.CLOSED:
            assert end.receive_data(data) == []
        elif after is not None:
            assert end.receive_data(data) == [EXAMPLES[kind]]
            assert end.state is after
        else:
            with pytest.raises(ProtocolFault) as caught:
                end.receive_data(data)
            assert caught.value.code is CloseCode.UNEXPECTED_MESSAGE
            assert kind.__name__ in caught.value.detail


class TestAfterAFault:
    @pytest.fixture
    def faulted(self) -> Connection:
        end = connection(Role.SERVER, "open")
        with pytest.raises(ProtocolFault):
            end.receive_data(frame(1))
        return end

    def test_nothing_more_is_accepted(self, faulted: Connection) -> None:
        assert faulted.receive_data(encode(m.Ping(1))) == []

    def test_only_close_is_said(self, faulted: Connection) -> None:
        assert not faulted.may_push()
        with pytest.raises(MessageRefused):
            faulted.send(m.Pong(1))
        faulted.send(m.Close(3000))
        assert faulted.closed()


class TestReceiving:
    def test_messages_before_close_count_and_bytes_after_it_do_not(self) -> None:
        end = connection(Role.SERVER, "open")
        data = encode(m.Ping(1)) + encode(m.Close(1000)) + b"\xff" * 100
        assert end.receive_data(data) == [m.Ping(1), m.Close(1000)]
        assert end.receive_data(b"\xff" * 100) == []

    @given(st.lists(st.binary(max_size=60), max_size=8), st.sampled_from(Role))
    def test_any_bytes_cut_anywhere_raise_nothing_but_a_fault(
        self, pieces: list[bytes], role: Role
    ) -> None:
        for state in ("new", "greeted", "open"):
            end = connection(role, state)
            try:
                for piece in pieces:
                    end.receive_data(piece)
            except ProtocolFault:
                assert end.receive_data(b"more") == []

    @given(st.data(), st.sampled_from(Role))
    def test_messages_of_the_peer_cut_anywhere(self, data: st.DataObject, role: Role) -> None:
        said = data.draw(st.lists(from_role(role.other), max_size=4))
        stream = b"".join(encode(message) for message in said)
        step = data.draw(st.integers(1, max(1, len(stream))))
        whole, cut = connection(role, "open"), connection(role, "open")
        expected = received(whole, [stream])
        found = received(cut, [stream[i : i + step] for i in range(0, len(stream), step)])
        assert (cut.state, found[1]) == (whole.state, expected[1])
        if expected[1] is None:
            assert found == expected

    def test_an_end_inside_a_frame_is_a_fault(self) -> None:
        end = connection(Role.SERVER, "open")
        end.receive_data(encode(m.Ping(1))[:-1])
        with pytest.raises(ProtocolFault) as caught:
            end.receive_eof()
        assert caught.value.code is CloseCode.MALFORMED_FRAME
        assert end.closed()

    def test_an_end_between_frames_is_none(self) -> None:
        end = connection(Role.SERVER, "open")
        end.receive_data(encode(m.Ping(1)))
        end.receive_eof()
        assert end.closed()

    def test_an_end_after_close_is_none_whatever_came(self) -> None:
        end = connection(Role.SERVER, "open")
        end.receive_data(encode(m.Close(1000)) + b"\x00")
        end.receive_eof()


def received(end: Connection, pieces: list[bytes]) -> tuple[list[m.Message], CloseCode | None]:
    found: list[m.Message] = []
    try:
        for piece in pieces:
            found += end.receive_data(piece)
    except ProtocolFault as fault:
        return found, fault.code
    return found, None


class TestSending:
    @given(messages())
    def test_what_is_sent_is_accepted(self, message: m.Message) -> None:
        for state in ("new", "greeted", "open"):
            for role in Role:
                sender, receiver = connection(role, state), connection(role.other, state)
                if (role, type(message)) in TRANSITIONS[sender.state]:
                    assert receiver.receive_data(sender.send(message)) == [message]

    @pytest.mark.parametrize(
        "message",
        [
            m.Ack([]),
            m.Ack([m.Acked("B", "everyone", 1, 2)]),
            m.Ping(-1),
            m.Ping(limits.BEAT_S_MAX + 1),
            m.Ping(2**70),
            m.Bind("t", "\ud800", []),
            m.Bind("t" * (limits.TOKEN_CHARS_MAX + 1), "u", []),
        ],
        ids=str,
    )
    def test_a_field_out_of_bounds_is_refused(self, message: m.Message) -> None:
        end = connection(Role.CLIENT, "open")
        with pytest.raises(MessageRefused) as refused:
            end.send(message)
        assert refused.value.code is CloseCode.INVALID_FIELD
        assert end.send(m.Ping(1)), "nothing has changed"

    def test_a_message_too_large_as_a_whole_is_refused(self) -> None:
        end = connection(Role.CLIENT, "new")
        user = "\U0001f642" * limits.OWNER_CHARS_MAX
        points = [
            m.SyncPoint(f"B{number}", f"user:{user}", 1, 1, 1)
            for number in range(limits.POINTS_MAX)
        ]
        with pytest.raises(MessageRefused) as refused:
            end.send(m.Hello(1, 1, "t", "d", "", points))
        assert refused.value.code is CloseCode.FRAME_TOO_LARGE
        assert end.state is ConversationState.NEW

    def test_the_largest_hello_that_names_allow_fits(self) -> None:
        user = "\U0001f642" * (limits.OWNER_CHARS_MAX // 4)
        longest, top = "B" * (limits.BIZ_CHARS_MAX - 4), limits.ID_MAX
        points = [
            m.SyncPoint(f"{longest}{number:04}", f"device:{user}", top, top, top)
            for number in range(limits.POINTS_MAX)
        ]
        attributes = {f"{n:064}": "v" * 256 for n in range(limits.ATTRIBUTES_MAX)}
        token = "t" * limits.TOKEN_CHARS_MAX
        hello = m.Hello(1, 1, token, user, user, points, attributes=attributes)
        data = connection(Role.CLIENT, "new").send(hello)
        assert connection(Role.SERVER, "new").receive_data(data) == [hello]


class TestMayPush:
    @pytest.mark.parametrize("state", ConversationState)
    @pytest.mark.parametrize("role", Role)
    def test_only_a_server_in_an_open_session(self, role: Role, state: ConversationState) -> None:
        expected = role is Role.SERVER and state is ConversationState.OPEN
        assert reach(role, state).may_push() is expected


def test_the_close_for_a_fault_fits_whatever_the_detail() -> None:
    close = close_for(ProtocolFault(CloseCode.INVALID_FIELD, "x" * 1000))
    end = connection(Role.SERVER, "open")
    assert connection(Role.CLIENT, "open").receive_data(end.send(close)) == [close]
    assert close.code == CloseCode.INVALID_FIELD
