"""The server that tests start."""

import asyncio

import pytest

from mobilesync.cli.setting import BadSetting
from mobilesync.client import ReceivedOplog
from mobilesync.testing import LocalServer


async def test_what_is_published_reaches_the_device_and_is_gone_with_the_server() -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()
    async with LocalServer() as server:
        folder = server.folder
        client = server.client("ada", "phone")

        @client.on("CHAT")
        async def handle(oplog: ReceivedOplog) -> None:
            await got.put(oplog.payload)

        async with client, server.publisher() as publisher:
            await publisher.publish("CHAT", "user:ada", "hello")
            assert await asyncio.wait_for(got.get(), 10) == b"hello"
    assert not folder.exists()


async def test_two_servers_do_not_disturb_each_other() -> None:
    async with LocalServer() as one, LocalServer() as other:
        assert one.access.port != other.access.port
        assert one.folder != other.folder


async def test_a_wrong_setting_is_refused_and_leaves_nothing_behind() -> None:
    with pytest.raises(TypeError, match="no_such_setting"):
        LocalServer(no_such_setting=1)
    with pytest.raises(BadSetting):
        async with LocalServer(port=-1):
            pass
