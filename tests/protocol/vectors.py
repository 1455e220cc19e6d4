"""The spec's test vectors, as Python values."""

import json
from pathlib import Path
from typing import Any, get_args

import msgspec

from mobilesync.protocol import messages as m
from mobilesync.protocol.connection import Connection
from mobilesync.protocol.transitions import ConversationState, Role

FOLDER = Path(__file__).resolve().parents[2] / "spec" / "vectors"
TYPES: dict[str, type[m.Message]] = {kind.__name__: kind for kind in get_args(m.Message)}

Vector = dict[str, Any]


def load(name: str, part: str = "vectors") -> list[Any]:
    """The list `part` of a file."""
    found = json.loads((FOLDER / name).read_text(encoding="utf-8"))[part]
    assert isinstance(found, list)
    assert found
    return found


def data_of(vector: Vector) -> bytes:
    """The bytes of a vector."""
    if "parts" in vector:
        return b"".join(bytes.fromhex(part["hex"]) * part["times"] for part in vector["parts"])
    return bytes.fromhex(vector["hex"])


def message_of(form: Vector) -> m.Message:
    """The message that a JSON object stands for. All its fields must be there, and no others."""
    kind = TYPES[form["type"]]
    assert list(form) == ["type", *kind.__struct_fields__], "all fields, in order"
    found: m.Message = msgspec.convert(plain_array(form), m.Message)
    return found


def plain_array(form: Vector) -> list[Any]:
    """The array that a JSON object stands for, as the spec's tables order it."""
    tag = TYPES[form["type"]].__struct_config__.tag
    return [tag, *(_plain(form[name]) for name in list(form)[1:])]


def connection(role: Role, state: str) -> Connection:
    """A connection of `role` that has come to `state` by Hello and Welcome."""
    found = Connection(role)
    hello = m.Hello(1, 1, "t", "d", "", [])
    welcome = m.Welcome(1, 1, "s", "", 0, 1, 60)
    peer = Connection(role.other)
    for sender, message, after in (
        (Role.CLIENT, hello, ConversationState.GREETED),
        (Role.SERVER, welcome, ConversationState.OPEN),
    ):
        if found.state.value == state:
            break
        if sender is role:
            peer.receive_data(found.send(message))
        else:
            found.receive_data(peer.send(message))
        assert found.state is after
    assert found.state.value == state
    return found


def _plain(value: Any) -> Any:
    match value:
        case {"hex": str() as text} if len(value) == 1:
            return bytes.fromhex(text)
        case list():
            return [_plain_structure(each) for each in value]
    return value


def _plain_structure(value: Any) -> Any:
    if not isinstance(value, dict) or list(value) == ["hex"]:
        return _plain(value)
    if "type" in value:
        return plain_array(value)
    return [_plain_structure(each) for each in value.values()]
