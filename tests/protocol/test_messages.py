"""Messages can grow: an old SDK and a new server, and the other way round (spec §4).

A synthetic version 3 of the protocol stands for all that may come: it adds fields at the end of
messages and of the structures in them, an optional message, and, in version 3 only, a message that
an old side must not ignore.
"""

from typing import Any, get_args

import msgspec
import pytest
from msgspec import Struct, field

from mobilesync.protocol import messages as m
from mobilesync.protocol.codec import decode, encode
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.connection import Connection
from mobilesync.protocol.errors import ProtocolFault
from mobilesync.protocol.transitions import Role
from mobilesync.protocol.versions import accept, negotiate
from tests.protocol.reference_packer import frame


class FuturePoint(Struct, frozen=True, array_like=True):
    biz: str
    target: str
    epoch: int
    received: int
    processed: int = 0
    checksum: bytes = b""


class FutureHello(Struct, frozen=True, array_like=True, tag=1):
    version_min: int
    version_max: int
    token: str
    device: str
    user: str
    points: list[FuturePoint]
    os: str = ""
    app_version: str = ""
    sdk: str = ""
    foreground: bool = True
    next_beat_s: int = 0
    attributes: dict[str, str] = field(default_factory=dict)
    features: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    location: dict[str, float] | None = None


class FutureWelcome(Struct, frozen=True, array_like=True, tag=2):
    version: int
    epoch: int
    session: str
    user: str
    server_time_ms: int
    beat_min_s: int
    beat_max_s: int
    resets: list[Any] = field(default_factory=list)
    features: dict[str, Any] = field(default_factory=dict)


class FuturePing(Struct, frozen=True, array_like=True, tag=10):
    next_beat_s: int = 0
    battery: float = 0.0


class FutureHint(Struct, frozen=True, array_like=True, tag=128):
    """Optional: whoever does not know it loses nothing."""

    text: str


class FutureDelta(Struct, frozen=True, array_like=True, tag=13):
    """Not optional: only sent in version 3."""

    biz: str


def framed(future: Struct) -> bytes:
    body = msgspec.msgpack.encode(future)
    return len(body).to_bytes(4, "big") + body


def greeted(version_max: int) -> Connection:
    """Today's server, after the Hello of a client of the future."""
    server = Connection(Role.SERVER)
    hello = FutureHello(
        1,
        version_max,
        "t",
        "d",
        "u",
        [FuturePoint("B", "user:u", 7, 5, 5, b"\x00" * 16)],
        features=["withdrawals", "telepathy"],
        languages=["de"],
        location={"lat": 48.1},
    )
    [understood] = server.receive_data(framed(hello))
    assert isinstance(understood, m.Hello)
    assert understood.points == [m.SyncPoint("B", "user:u", 7, 5, 5)]
    assert m.WITHDRAWALS in understood.features
    version = negotiate(understood.version_min, understood.version_max)
    assert accept(version, 1, version_max) == 1
    server.send(m.Welcome(version, 7, "s", "u", 0, 60, 540))
    return server


class TestANewClientMeetsTodaysServer:
    def test_its_fields_are_ignored(self) -> None:
        server = greeted(version_max=3)
        assert server.receive_data(framed(FuturePing(60, 0.5))) == [m.Ping(60)]

    def test_its_optional_messages_are_ignored(self) -> None:
        server = greeted(version_max=3)
        data = framed(FutureHint("hi")) + framed(FuturePing(60))
        assert server.receive_data(data) == [m.Ping(60)]

    def test_it_must_not_use_what_needs_a_newer_version(self) -> None:
        server = greeted(version_max=3)
        with pytest.raises(ProtocolFault) as caught:
            server.receive_data(framed(FutureDelta("B")))
        assert caught.value.code is CloseCode.UNEXPECTED_MESSAGE

    def test_one_that_gave_version_1_up_is_told_in_words_it_knows(self) -> None:
        server = Connection(Role.SERVER)
        [hello] = server.receive_data(framed(FutureHello(2, 3, "t", "d", "", [])))
        assert isinstance(hello, m.Hello)
        with pytest.raises(ProtocolFault) as caught:
            negotiate(hello.version_min, hello.version_max)
        close = m.Close(int(caught.value.code))
        assert server.send(close) == frame([12, 3003, "", 0, 0])


class TestTodaysClientMeetsANewServer:
    def client(self) -> Connection:
        client = Connection(Role.CLIENT)
        data = client.send(m.Hello(1, 1, "t", "d", "u", []))
        understood = msgspec.msgpack.decode(data[4:], type=FutureHello)
        assert (understood.languages, understood.location) == ([], None)
        version = negotiate(
            understood.version_min, understood.version_max, spoken_min=1, spoken_max=3
        )
        assert version == 1
        welcome = FutureWelcome(version, 7, "s", "u", 0, 60, 540, features={"delta": True})
        assert client.receive_data(framed(welcome)) == [m.Welcome(1, 7, "s", "u", 0, 60, 540)]
        return client

    def test_it_lives_on(self) -> None:
        client = self.client()
        oplog = [1, 5, b"x", "m", "k", None, None, {"encoding": "zstd"}]
        push = [3, "B", "user:u", 0, 1, [oplog], "new"]
        expected = m.Push("B", "user:u", 0, 1, [m.PushedOplog(1, 5, b"x", "m", "k")])
        assert client.receive_data(frame([128, "hint"]) + frame(push)) == [expected]

    def test_its_shorter_messages_are_understood(self) -> None:
        data = encode(m.Ping(60))
        assert msgspec.msgpack.decode(data[4:], type=FuturePing) == FuturePing(60, 0.0)

    def test_a_new_close_code_is_obeyed_by_its_range(self) -> None:
        client = self.client()
        [close] = client.receive_data(frame([12, 1999, "a reason of the future", 5, 5, "more"]))
        assert close == m.Close(1999, "a reason of the future", 5, 5)


@pytest.mark.parametrize("kind", get_args(m.Message))
def test_every_field_after_a_default_has_one(kind: type) -> None:
    """Or else an older sender could not leave out the end of a message."""
    config = msgspec.structs.fields(kind)
    required = [each.required for each in config]
    assert required == sorted(required, reverse=True)


# First release: what was sent then must be understood for ever. Lines are only added.
RELEASED = {
    "Hello": (1, 6, "version_min version_max token device user points"),
    "Welcome": (2, 7, "version epoch session user server_time_ms beat_min_s beat_max_s"),
    "Push": (3, 5, "biz target after upto oplogs"),
    "Ack": (4, 1, "acked"),
    "Reset": (5, 5, "biz target epoch floor reason"),
    "Notice": (6, 4, "biz target published_at_ms payload"),
    "Bind": (7, 3, "token user points"),
    "Unbind": (8, 0, ""),
    "State": (9, 1, "foreground"),
    "Ping": (10, 0, ""),
    "Pong": (11, 1, "server_time_ms"),
    "Close": (12, 1, "code"),
}


@pytest.mark.parametrize("kind", get_args(m.Message))
def test_what_was_released_is_required_and_nothing_else(kind: type) -> None:
    tag, count, names = RELEASED[kind.__name__]
    fields = msgspec.structs.fields(kind)
    assert kind.__struct_config__.tag == tag  # type: ignore[attr-defined]  # every struct has one
    assert [each.name for each in fields[:count]] == names.split()
    assert not any(each.required for each in fields[count:])


def test_types_of_ours_are_not_optional() -> None:
    assert all(kind.__struct_config__.tag < m.OPTIONAL_TYPE_MIN for kind in get_args(m.Message))
    assert decode(frame([m.OPTIONAL_TYPE_MIN])[4:]) is None
