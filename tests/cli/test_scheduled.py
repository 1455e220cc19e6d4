"""Scheduled oplogs from the command line, on a real server."""

import asyncio
import json
from typing import Any

from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Draft
from mobilesync.engine.scheduled import Scheduled
from mobilesync.engine.service import Service
from mobilesync.testing import LocalServer
from tests.cli.conftest import Cli, Ended


async def _scheduled(service: Service, message_id: str, after_ms: int, payload: bytes) -> None:
    due_ms = service.clock.wall_ms() + after_ms
    channel = Channel("demo", "CHAT", "user:alice")
    draft = Draft(channel, payload, message_id, due_ms, due_ms + 60_000)
    await service.scheduler.put([Scheduled(due_ms, draft)])


def _objects(ended: Ended) -> list[dict[str, Any]]:
    """What the command wrote; the server, in the same process, writes log lines between."""
    return [json.loads(line) for line in ended.out.splitlines() if line.startswith("{")]


async def test_list_and_cancel(cli: Cli) -> None:
    async with LocalServer() as server:

        async def run(*arguments: object) -> Ended:
            where = ("--data", server.folder)
            return await asyncio.to_thread(cli, "scheduled", *arguments, *where)

        assert server._server is not None
        service = server._server._service
        assert service is not None
        assert "Nothing is scheduled." in (await run("list")).out
        await _scheduled(service, "late", 7_200_000, b"\xff")
        await _scheduled(service, "soon", 3_600_000, b"\x07[red]hello")

        listed = await run("list")
        assert listed.out.index("soon") < listed.out.index("late")
        assert "�[red]hello" in listed.out
        first = await run("list", "--limit", "1", "--json")
        assert [each["message_id"] for each in _objects(first)] == ["soon"]
        after = first.err.split("--after ")[1].strip().removesuffix(".")
        rest = await run("list", "--json", "--biz", "CHAT", "--after", after)
        assert [each["message_id"] for each in _objects(rest)] == ["late"]
        assert rest.err == ""

        done = await run("cancel", "CHAT", "user:alice", "soon")
        assert (done.code, _objects(done)) == (0, [])
        assert "soon is cancelled." in done.err
        again = await run("cancel", "CHAT", "user:alice", "soon")
        assert again.code == 4
        assert "no such scheduled oplog" in again.err
        (told,) = _objects(await run("cancel", "CHAT", "user:alice", "late", "--json"))
        assert told == {"cancelled": "late"}
        assert service.scheduler.waiting == 0


def test_without_a_server_there_is_a_hint(cli: Cli, tmp_path: object) -> None:
    ended = cli("scheduled", "list", "--data", tmp_path)
    assert ended.code != 0
    assert "mobilesync serve" in ended.err
