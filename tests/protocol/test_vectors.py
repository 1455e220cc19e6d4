"""Our code runs the spec's vectors like any other implementation (spec/vectors/README.md).

The files are the truth; three things keep them honest: a MessagePack writer made from its
specification alone agrees with every canonical vector, some are spelled out here byte by byte, and
every message type, state and close code of the protocol must occur.
"""

import hashlib
from contextlib import suppress
from typing import Any

import pytest

from mobilesync.domain.app_version import AppVersion
from mobilesync.domain.channel import parse_target
from mobilesync.domain.conditions import Rollout
from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.names import check_app, check_biz, check_message_id, check_owner
from mobilesync.domain.sync_point import Fork, Head, SyncPoint, resume
from mobilesync.protocol import messages as m
from mobilesync.protocol.codec import decode, encode
from mobilesync.protocol.codes import ResetReason, reaction
from mobilesync.protocol.connection import Connection
from mobilesync.protocol.errors import MessageRefused, ProtocolFault
from mobilesync.protocol.heartbeat import deadline_s, rhythm
from mobilesync.protocol.transitions import ConversationState, Role
from mobilesync.protocol.versions import negotiate
from tests.protocol.device_model import DeviceModel, Ends
from tests.protocol.reference_packer import frame
from tests.protocol.vectors import (
    FOLDER,
    TYPES,
    Vector,
    connection,
    data_of,
    load,
    message_of,
    plain_array,
)

MESSAGES = load("messages.json")
MALFORMED = load("malformed.json")
CONVERSATIONS = load("conversations.json")


# Written by hand from the specification of MessagePack, not by any program.
# fmt: off
SPELLED_OUT = [
    ("unbind", ["00 00 00 02",     # length 2
                "91",              # array of 1
                "08"]),            # Unbind
    ("ping", ["00 00 00 03", "92", "0a",
              "3c"]),              # 60
    ("ping whose interval needs two bytes", ["00 00 00 05", "92", "0a",
              "cd 01 2c"]),        # uint 16: 300
    ("state: background", ["00 00 00 06", "93", "09",
              "c2",                # false
              "cd 02 1c"]),        # 540
    ("pong", ["00 00 00 0b", "92", "0b",
              "cf 00 00 01 9b 76 da a8 00"]),  # uint 64: 1,767,225,600,000
    ("close with advice", ["00 00 00 14", "95", "0c",
              "cd 03 e9",          # 1001
              "a8 64 72 61 69 6e 69 6e 67",  # "draining"
              "cd 03 e8",          # 1000
              "cd 75 30"]),        # 30,000
    ("ack of one channel", ["00 00 00 17", "92", "04",
              "91",                # array of 1
              "95",                # its only element: array of 5
              "a4 43 48 41 54",    # "CHAT"
              "aa 75 73 65 72 3a 61 6c 69 63 65",  # "user:alice"
              "2b", "29",          # 43, 41
              "00"]),              # waits for nothing
    ("hello of a new device without a user", ["00 00 00 12", "9e", "01",
              "01", "01",          # versions 1 to 1
              "a1 74",             # token "t"
              "a2 64 31",          # device "d1"
              "a0",                # no user
              "90",                # no sync points
              "a0", "a0", "a0",    # os, app_version, sdk: empty
              "c3",                # foreground
              "00",                # next_beat_s
              "80",                # attributes: an empty map
              "90"]),              # features: an empty array
    ("oplogs of four fields: nothing after the message id", ["00 00 00 39", "96", "03",
              "a4 43 48 41 54",
              "aa 75 73 65 72 3a 61 6c 69 63 65",
              "29", "2b",          # after 41, upto 43
              "92",                # two oplogs
              "94", "2a", "cf 00 00 01 9b 76 da a8 00",
              "c4 02 68 69",       # bin 8 of 2: "hi"
              "a4 6d 2d 34 32",    # "m-42"
              "94", "2b", "cf 00 00 01 9b 76 da a8 01",
              "c4 02 00 ff",
              "a0"]),  # no message id
    ("push of an oplog that is offered again", ["00 00 00 2f", "96", "03",
              "a4 43 48 41 54",
              "a9 64 65 76 69 63 65 3a 64 31",  # "device:d1"
              "00", "01",          # after 0, upto 1
              "91",                # one oplog
              "97", "01", "01",    # array of 7: id 1, published_at_ms 1
              "c4 02 68 69",
              "a4 6d 2d 34 32",    # "m-42"
              "a0",                # no key
              "92",                # origin: array of 2
              "aa 75 73 65 72 3a 61 6c 69 63 65",
              "2a",                # 42
              "c0"]),              # withdraws nothing
    ("push of an oplog that withdraws one other", ["00 00 00 23", "96", "03",
              "a4 43 48 41 54",
              "aa 75 73 65 72 3a 61 6c 69 63 65",
              "2b", "2c",          # after 43, upto 44
              "91",
              "97", "2c", "01",    # array of 7: id 44, published_at_ms 1
              "c4 00",             # no payload
              "a0", "a0",          # no message id, no key
              "c0",                # no origin
              "92",                # withdraws: array of 2
              "91",                # one range
              "92", "2a", "2a",    # from 42 to 42
              "01"]),              # RECALLED
    ("reset", ["00 00 00 15", "96", "05",
              "a4 43 48 41 54",
              "aa 75 73 65 72 3a 61 6c 69 63 65",
              "09", "0a", "02"]),  # epoch 9, floor 10, RESTORED
]
# fmt: on


def name_of(vector: Any) -> str:
    return str(vector["name"])


def by_name(vectors: list[Any], name: str) -> Vector:
    [found] = [vector for vector in vectors if vector["name"] == name]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("vectors", [MESSAGES, MALFORMED, CONVERSATIONS, load("resume.json")])
def test_names_are_unique(vectors: list[Any]) -> None:
    names = [name_of(vector) for vector in vectors]
    assert len(set(names)) == len(names)


def test_the_readme_names_every_file() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    files = sorted(path.name for path in FOLDER.glob("*.json"))
    assert [name for name in files if f"]({name})" not in text] == []


class TestMessages:
    @pytest.mark.parametrize("vector", MESSAGES, ids=name_of)
    def test_decoding(self, vector: Vector) -> None:
        data = data_of(vector)
        expected = None if vector["message"] is None else message_of(vector["message"])
        assert int.from_bytes(data[:4], "big") == len(data) - 4
        assert decode(data[4:]) == expected

    @pytest.mark.parametrize("vector", MESSAGES, ids=name_of)
    def test_encoding(self, vector: Vector) -> None:
        if vector["canonical"]:
            assert encode(message_of(vector["message"])) == data_of(vector)

    @pytest.mark.parametrize("vector", MESSAGES, ids=name_of)
    def test_a_second_opinion(self, vector: Vector) -> None:
        if vector["canonical"]:
            assert frame(plain_array(vector["message"])) == data_of(vector)

    def test_every_type_occurs_canonically(self) -> None:
        seen = {vector["message"]["type"] for vector in MESSAGES if vector["canonical"]}
        assert seen == set(TYPES)

    @pytest.mark.parametrize("name, pieces", SPELLED_OUT)
    def test_spelled_out(self, name: str, pieces: list[str]) -> None:
        assert data_of(by_name(MESSAGES, name)).hex() == bytes.fromhex("".join(pieces)).hex()


def feed(receiver: Connection, pieces: list[bytes]) -> None:
    for piece in pieces:
        assert receiver.receive_data(piece) == []


class TestMalformed:
    @pytest.mark.parametrize("vector", MALFORMED, ids=name_of)
    @pytest.mark.parametrize("step", [0, 1, 7], ids=["whole", "bytewise", "in sevens"])
    def test_refused(self, vector: Vector, step: int) -> None:
        data = data_of(vector)
        # A big one byte by byte only takes long, and shows nothing more.
        step = len(data) if step == 0 else step if len(data) < 5_000 else step * 5_000
        receiver = connection(Role(vector["to"]), vector["state"])
        pieces = [data[begin : begin + step] for begin in range(0, len(data), step)]
        with pytest.raises(ProtocolFault) as caught:
            feed(receiver, pieces)
        assert caught.value.code.name == vector["code"]
        assert receiver.receive_data(encode(m.Close(1000))) == []

    def test_every_code_of_a_fault_occurs(self) -> None:
        faults = {"FRAME_TOO_LARGE", "MALFORMED_FRAME", "UNEXPECTED_MESSAGE", "INVALID_FIELD"}
        assert {vector["code"] for vector in MALFORMED} == faults


class TestConversations:
    @pytest.mark.parametrize("script", CONVERSATIONS, ids=name_of)
    def test_script(self, script: Vector) -> None:
        ends = {role.value: Connection(role) for role in Role}
        device = DeviceModel(script["device"], script["user"], script["points"])
        for step in script["steps"]:
            sender = ends[step["from"]]
            receiver = ends[sender.role.other.value]
            if "refused" in step:
                refuse(sender, receiver, step)
                break
            if not play(sender, receiver, device, step):
                break
            assert {end.state.value for end in ends.values()} == {step["state"]}
            compare(device, step)
        assert step is script["steps"][-1], "a script goes to its end"

    def test_every_step_of_the_table_occurs(self) -> None:
        said = {
            (step["from"], step["message"]["type"])
            for script in CONVERSATIONS
            for step in script["steps"]
            if "message" in step and "refused" not in step
        }
        clients = {"Hello", "Ack", "Ping", "State", "Bind", "Unbind", "Close"}
        servers = {"Welcome", "Push", "Reset", "Notice", "Pong", "Close"}
        assert said == {("client", n) for n in clients} | {("server", n) for n in servers}


def play(sender: Connection, receiver: Connection, device: DeviceModel, step: Vector) -> bool:
    """Carry out one step; False when the client ends the connection because of it."""
    if "hex" in step:
        assert receiver.receive_data(data_of(step)) == []
        return True
    message = message_of(step["message"])
    [received] = receiver.receive_data(sender.send(message))
    assert received == message
    if sender.role is Role.CLIENT:
        device.sent(message)
        return True
    dropped = device.dropped
    if step.get("ends"):
        with pytest.raises(Ends):
            device.receive(received)
        compare(device, step)
        return False
    device.receive(received)
    assert device.dropped - dropped == bool(step.get("dropped"))
    return True


def refuse(sender: Connection, receiver: Connection, step: Vector) -> None:
    if "hex" in step:
        data = data_of(step)
    else:
        message = message_of(step["message"])
        data = encode(message)
        with pytest.raises(MessageRefused) as refused:
            sender.send(message)
        assert refused.value.code.name == step["refused"]
    with pytest.raises(ProtocolFault) as caught:
        receiver.receive_data(data)
    assert caught.value.code.name == step["refused"]
    assert receiver.state is not ConversationState.CLOSED, "it may still say Close"


def compare(device: DeviceModel, step: Vector) -> None:
    if "device" not in step:
        return
    expected = step["device"]
    points = [[*channel, *point] for channel, point in device.points.items()]
    assert sorted(points) == sorted(expected["points"])
    assert [[*row.channel, row.id] for row in device.inbox] == expected["inbox"]
    assert device.notices == expected["notices"]
    told = [[*channel, *ids_and_reason] for channel, *ids_and_reason in device.withdrawn]
    assert told == expected.get("withdrawn", [])


@pytest.mark.parametrize("vector", load("negotiation.json"))
def test_negotiation(vector: Vector) -> None:
    low, high = vector["server"]
    version: int | None = None
    with suppress(ProtocolFault):
        version = negotiate(*vector["client"], spoken_min=low, spoken_max=high)
    assert version == vector["version"]


@pytest.mark.parametrize("vector", load("reactions.json"))
def test_reactions(vector: Vector) -> None:
    assert reaction(vector["code"]).value == vector["reaction"]


@pytest.mark.parametrize("vector", load("heartbeat.json", "deadlines"))
def test_deadlines(vector: Vector) -> None:
    assert deadline_s(vector["next_beat_s"], vector["beat_max_s"]) == vector["deadline_s"]


@pytest.mark.parametrize("vector", load("heartbeat.json", "rhythms"), ids=name_of)
def test_rhythms(vector: Vector) -> None:
    pace = rhythm(vector["beat_min_s"], vector["beat_max_s"])
    for number, (what, interval_s) in enumerate(vector["steps"]):
        pace = pace.answered() if what == "answered" else pace.lost()
        assert pace.interval_s == interval_s, f"step {number}"


def test_app_versions_ascend() -> None:
    classes = load("app_versions.json", "ascending")
    ranked = [(rank, AppVersion(text)) for rank, texts in enumerate(classes) for text in texts]
    for rank, version in ranked:
        for other_rank, other in ranked:
            assert (version < other) == (rank < other_rank), (version, other)
            assert (version == other) == (rank == other_rank), (version, other)


@pytest.mark.parametrize("text", load("app_versions.json", "invalid"))
def test_what_is_no_app_version(text: str) -> None:
    with pytest.raises(InvalidRequest):
        AppVersion(text)


CHECKS = {
    "app": check_app,
    "biz": check_biz,
    "user": lambda name: check_owner(name, "user"),
    "device": lambda name: check_owner(name, "device"),
    "message_id": check_message_id,
    "target": parse_target,
}


@pytest.mark.parametrize("vector", load("names.json"))
def test_names(vector: Vector) -> None:
    check = CHECKS[vector["kind"]]
    if vector["valid"]:
        assert check(vector["name"]) == vector["name"]
    else:
        with pytest.raises(InvalidRequest):
            check(vector["name"])


@pytest.mark.parametrize("vector", load("resume.json"), ids=name_of)
def test_resume(vector: Vector) -> None:
    given = vector["given"]
    head = None
    if given:
        epoch, last = given[-1]
        forks = tuple(Fork(*fork) for fork in given[:-1])
        head = Head(last, epoch, vector["floor"], vector["floor"], forks)
    point = SyncPoint(*vector["point"]) if vector["point"] else None
    found = resume(point, head, vector["lineage"])
    reset = found.reset.name if found.reset is not None else None
    assert (found.cursor, reset) == (vector["cursor"], vector["reset"])


@pytest.mark.parametrize("vector", load("rollout.json"))
def test_rollout(vector: Vector) -> None:
    salt, device = vector["salt"], vector["device"]
    digest = hashlib.blake2b(f"{salt}\0{device}".encode(), digest_size=8).digest()
    assert int.from_bytes(digest, "big") % 10_000 == vector["bucket"]
    assert vector["in"]
    assert vector["out"]
    for percent in vector["in"]:
        assert Rollout(percent, salt).admits(device), percent
    for percent in vector["out"]:
        assert not Rollout(percent, salt).admits(device), percent


def test_every_reason_that_resume_gives_occurs() -> None:
    seen = {vector["reset"] for vector in load("resume.json")} - {None}
    assert seen == {reason.name for reason in ResetReason} - {"REWOUND"}
