"""The fuzzer's judge passes what is right, and sees what is wrong."""

from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mobilesync.protocol.codec import encode
from mobilesync.protocol.connection import Connection
from mobilesync.protocol.messages import Message, Ping
from tools.fuzz_codec import CORPUS, judge, seeds

# From a client, after the handshake, in one piece.
PING = bytes([2, 255]) + encode(Ping(30))


@pytest.mark.parametrize("seed", seeds(), ids=range(len(seeds())))
def test_the_seeds_pass(seed: bytes) -> None:
    judge(seed)


def test_corpus_and_vectors_are_among_the_seeds() -> None:
    found = set(seeds())
    kept = [path.read_bytes() for path in CORPUS.iterdir()]
    assert kept
    assert found.issuperset(kept)
    assert len(found) > len(kept) + 300


@given(st.binary())
@example(b"")
@example(b"\x00\x00\x00")
def test_any_bytes_pass(data: bytes) -> None:
    judge(data)


def test_every_message_is_accepted_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()

    def watch(message: Message) -> bytes:
        seen.add(type(message).__name__)
        return encode(message)

    inputs = seeds()
    monkeypatch.setattr("tools.fuzz_codec.encode", watch)
    for data in inputs:
        judge(data)
    assert seen == {kind.__name__ for kind in get_args(Message)}


def test_a_codec_that_loses_a_field_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    judge(PING)
    monkeypatch.setattr("tools.fuzz_codec.decode", lambda body: Ping(0))
    with pytest.raises(AssertionError, match="came back as"):
        judge(PING)


def test_a_reader_that_minds_where_bytes_are_cut_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(connection: Connection, data: bytes) -> list[Message]:
        return [Ping(len(data))]

    monkeypatch.setattr("tools.fuzz_codec.Connection.receive_data", forgetful)
    with pytest.raises(AssertionError, match="a cut changed"):
        judge(bytes([0, 0]) + PING)


def test_a_crash_of_the_codec_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(connection: Connection, data: bytes) -> list[Message]:
        raise IndexError

    monkeypatch.setattr("tools.fuzz_codec.Connection.receive_data", crash)
    with pytest.raises(IndexError):
        judge(PING)
