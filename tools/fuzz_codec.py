"""Let a coverage-guided fuzzer talk to both ends of the protocol: part of `make fuzz`.

Strategy: the fuzzer's bytes are what a hostile peer sends. `judge` feeds them to one end and checks
what must hold for any bytes at all: nothing but a ProtocolFault is raised, what was accepted
survives being encoded and decoded again, and how the network cuts the bytes makes no difference.
Any other exception is a finding; the fuzzer then keeps the input in a file and prints its name.
What once was a finding, and what earlier runs found worth keeping, is in `fuzz/corpus`; a test
replays it, and the spec's vectors in the same way.

Not here: conversations that make sense (the tests of the protocol), and the fuzzer itself: atheris
comes with the extra `fuzz`. Its own options pass through, such as `-max_total_time=600`.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mobilesync.protocol.codec import decode, encode
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.connection import Connection
from mobilesync.protocol.errors import ProtocolFault
from mobilesync.protocol.limits import FRAME_HEADER_BYTES, PAYLOAD_BYTES_MAX
from mobilesync.protocol.messages import (
    Ack,
    Acked,
    Bind,
    Close,
    Hello,
    IdRange,
    Message,
    Notice,
    Origin,
    Ping,
    Pong,
    Push,
    PushedOplog,
    Reset,
    State,
    SyncPoint,
    Unbind,
    Welcome,
    Withdrawal,
)
from mobilesync.protocol.transitions import Role

_POINT = SyncPoint("CHAT", "user:u", 1, 5, 4)
_CONVERSATION: dict[Role, tuple[Message, ...]] = {
    Role.CLIENT: (
        Hello(1, 1, "token", "d", "u", [_POINT], attributes={"model": "x"}, features=["x"]),
        Ack([Acked("CHAT", "user:u", 6, 6, 2)]),
        State(foreground=False),
        Bind("token", "v", [_POINT]),
        Unbind(),
        Ping(30),
        Close(1),
    ),
    Role.SERVER: (
        Welcome(1, 1, "s", "u", 1, 10, 300),
        Push(
            "CHAT",
            "user:u",
            5,
            9,
            [
                PushedOplog(6, 1, b"payload", "m", "key", Origin("everyone", 3)),
                PushedOplog(7, 1, b"", withdraws=Withdrawal([IdRange(1, 2), IdRange(4, 6)], 1)),
            ],
        ),
        Reset("CHAT", "user:u", 2, 3, 1),
        Notice("CHAT", "everyone", 1, b"payload"),
        Pong(1),
        Close(1, "why", 1, 1),
    ),
}
_AFTER_HANDSHAKE = 2
_ROOT = Path(__file__).resolve().parents[1]
CORPUS = _ROOT / "fuzz" / "corpus"
VECTORS = ("messages.json", "malformed.json")
_CUT_BYTES = 3


@dataclass(frozen=True)
class Outcome:
    """What one end made of a peer's bytes."""

    messages: list[Message]
    fault: CloseCode | None
    closed: bool


def seeds() -> list[bytes]:
    """Inputs to begin with: the corpus, the spec's vectors, and each end's part of a conversation,
    whole and message by message."""
    found = [path.read_bytes() for path in sorted(CORPUS.glob("*"))]
    for name in VECTORS:
        vectors = json.loads((_ROOT / "spec" / "vectors" / name).read_text(encoding="utf-8"))
        frames = [bytes.fromhex(each["hex"]) for each in vectors["vectors"] if "hex" in each]
        leads = [_lead(role, flags) for role in Role for flags in (0, _AFTER_HANDSHAKE)]
        found += [lead + frame for lead in leads for frame in frames]
    for role, messages in _CONVERSATION.items():
        frames = [encode(message) for message in messages]
        for lead in (_lead(role), _lead(role, _AFTER_HANDSHAKE)):
            found += [lead + b"".join(frames[1:]), *(lead + frame for frame in frames)]
    return found


def judge(data: bytes) -> None:
    """Raise unless both ends treat `data` as they must.

    The first byte says which role the peer plays and whether the handshake is over, the second
    where its bytes are cut; the rest is what it sends.
    """
    if len(data) < 2:
        return
    stream = data[2:]
    step = data[1] + 1
    whole = _receive(data[0], [stream])
    cut = _receive(data[0], [stream[i : i + step] for i in range(0, len(stream), step)])
    ends = (cut.fault, cut.closed) == (whole.fault, whole.closed)
    # In one piece a fault hides the messages that came before it.
    same = ends and (whole.fault is not None or cut.messages == whole.messages)
    assert same, f"a cut changed what was said: {cut}, not {whole}"
    for message in cut.messages:
        again = decode(encode(message)[FRAME_HEADER_BYTES:])
        assert again == message, f"{message} came back as {again}"


def _lead(sender: Role, flags: int = 0) -> bytes:
    return bytes([flags | (sender is Role.SERVER), _CUT_BYTES - 1])


def _receive(flags: int, pieces: Sequence[bytes]) -> Outcome:
    sender = Role.SERVER if flags & 1 else Role.CLIENT
    end = Connection(sender.other)
    if flags & _AFTER_HANDSHAKE:
        for role in (Role.CLIENT, Role.SERVER):
            greeting = _CONVERSATION[role][0]
            if role is sender:
                end.receive_data(encode(greeting))
            else:
                end.send(greeting)
    messages: list[Message] = []
    try:
        for piece in pieces:
            messages += end.receive_data(piece)
    except ProtocolFault as fault:
        return Outcome(messages, fault.code, end.closed())
    return Outcome(messages, None, end.closed())


def main(arguments: Sequence[str]) -> int:
    import atheris

    folder = Path("build/fuzz_codec")
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (folder / f"seed-{number}").write_bytes(seed)
    atheris.instrument_all()
    bounds = [f"-max_len={PAYLOAD_BYTES_MAX}", "-max_total_time=60"]
    findings = "-artifact_prefix=build/"
    atheris.Setup([sys.argv[0], *bounds, findings, *arguments, str(folder)], judge)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
