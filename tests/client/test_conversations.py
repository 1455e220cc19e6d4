"""The SDK runs the spec's conversations (spec/vectors): the server's part is played to it, and what
it holds must be what the vectors say.

Left out is what the SDK never does: to send what is wrong, to have two user changes under way, or
to speak another version. Its acks and beats are its own; the vectors only show what is allowed.
"""

import functools
import json
import sqlite3
from typing import Any

import pytest

from mobilesync.client import Client
from mobilesync.client.local_store import LocalStore
from mobilesync.protocol import messages as m
from tests.client.scripted import Script, Talk, client_of, database, eventually
from tests.protocol.vectors import Vector, data_of, load, message_of

MINE = ("Hello", "Ack", "Ping", "State", "Bind", "Unbind")


def plays(script: Vector) -> bool:
    """Whether the SDK would say what the client says in `script`."""
    asked = 0
    for step in script["steps"]:
        if "refused" in step:
            return False
        if step["from"] == "server":
            asked -= step.get("message", {}).get("type") == "Welcome"
            continue
        message = step.get("message", {"type": ""})
        asked += message["type"] in {"Hello", "Bind", "Unbind"}
        if message["type"] not in MINE or asked > 1:
            return False
        if message["type"] == "Hello" and message["version_max"] != 1:
            return False
    return bool(script["steps"][0]["from"] == "client")


SCRIPTS = [each for each in load("conversations.json") if plays(each)]


def name_of(script: Vector) -> str:
    return str(script["name"])


class Device:
    """The SDK as the vectors see a device."""

    def __init__(self, script: Vector) -> None:
        self.sql = database()
        self.notices = 0
        self._user = script["user"]
        store = LocalStore(self.sql, app="demo", device=script["device"])
        for biz, target, epoch, received, processed in script["points"]:
            assert received == processed, "else the inbox would not be known"
            store.apply([m.Push(biz, target, 0, received, [])], epoch)

    def client(self, script: Script, name: str) -> Client:
        client = client_of(script, self.sql, device=name, user=self._user, token="t")
        for biz in ("B", "CHAT", "FLAGS", "LIVE", "TYPING"):
            client.on_notice(biz)(self._notice)
        return client

    def _notice(self, _: object) -> None:
        self.notices += 1

    def is_as(self, expected: dict[str, Any]) -> bool:
        """Whether it holds just what a vector says."""
        return self.holds() == expected

    def holds(self) -> dict[str, Any]:
        """As vectors tell it."""
        return {
            "points": sorted(_rows(self.sql, "biz, target, epoch, received", "")),
            "inbox": _rows(self.sql, "biz, target, id", "kind = 0"),
            "notices": self.notices,
            "withdrawn": [
                [biz, target, first, last, reason]
                for biz, target, payload in _rows(self.sql, "biz, target, payload", "kind = 2")
                for reason, ranges in [json.loads(payload)]
                for first, last in ranges
            ],
        }


def _rows(sql: sqlite3.Connection, columns: str, where: str) -> list[list[Any]]:
    table = "mobilesync_channel"
    if where:
        table = f"mobilesync_inbox i JOIN {table} USING (channel) WHERE {where} ORDER BY arrival"
    return [list(row) for row in sql.execute(f"SELECT {columns} FROM {table}")]


async def hear(talk: Talk, client: Client, message: m.Message) -> None:
    """Let the SDK say what the client's step says, but for what it says by itself."""
    match message:
        case m.Hello():
            hello = await talk.hear(m.Hello)
            assert (hello.user, hello.device) == (message.user, message.device)
            said = {(each.biz, each.target): each for each in hello.points}
            assert said == {(each.biz, each.target): each for each in message.points}
        case m.Bind():
            await client.login(message.user, message.token)
            bind = await talk.skip_to(m.Bind)
            assert [each.target for each in bind.points] == [each.target for each in message.points]
        case m.Unbind():
            await client.logout("t")
            await talk.skip_to(m.Unbind)


async def taken(talk: Talk) -> None:
    """Wait until the SDK has read what the server has said."""
    ours = talk.end.peer
    assert ours is not None
    await eventually(lambda: ours.unread == 0)


@pytest.mark.parametrize("vector", SCRIPTS, ids=name_of)
async def test_script(vector: Vector) -> None:
    device, script = Device(vector), Script()
    async with device.client(script, vector["device"]) as client:
        talk = await script.accept()
        for step in vector["steps"]:
            if step["from"] == "client":
                await hear(talk, client, message_of(step["message"]))
                continue
            if "hex" in step:
                talk.end.write(data_of(step))
            else:
                talk.say(message_of(step["message"]))
            if step.get("ends"):
                await talk.ended()
            else:
                await taken(talk)
            if "device" in step:
                expected = {"withdrawn": [], **step["device"]}
                expected["points"].sort()
                await eventually(functools.partial(device.is_as, expected))


def test_most_scripts_are_played() -> None:
    names = {name_of(each) for each in SCRIPTS}
    assert len(names) > 30
    assert any("withdrawal" in each for each in names)
    assert any("rewound" in each for each in names)
