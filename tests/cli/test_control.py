"""Operating a store on this machine, served or not."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import SystemRandom
from typing import Any

import msgspec
import pytest
import structlog

from mobilesync.api.keys import ApiKeys
from mobilesync.cli import control
from mobilesync.cli.control import (
    SOCKET_NAME,
    STORE_NAME,
    Backup,
    Control,
    CreateKey,
    ListKeys,
    Request,
    RevokeKey,
    operate,
)
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.failures import CommandFailed
from mobilesync.domain.errors import MobilesyncError, StoreFolderRefused
from mobilesync.engine.audit import SERVER, Audit
from mobilesync.engine.clock import SystemClock
from mobilesync.storage.embedded.opening import open_embedded

CREATE = CreateKey("backend", ["publish"])


def _ignore(done: int, total: int) -> None:
    pass


@asynccontextmanager
async def _served(data: Path) -> AsyncIterator[ApiKeys]:
    store = await open_embedded(data / STORE_NAME, random=SystemRandom())
    keys = ApiKeys(store, clock=SystemClock(), random_bytes=secrets.token_bytes)
    await keys.load()
    served = Control(data, store, keys)
    await served.start()
    try:
        yield keys
    finally:
        await served.close()
        await served.close()
        await store.close()


async def _ask(data: Path, request: Request, **options: Any) -> Any:
    return await operate(data, request, _ignore, **options)


async def test_without_a_server_the_store_is_opened_here(tmp_path: Path) -> None:
    made = await _ask(tmp_path, CREATE, create=True)
    assert made["text"].startswith("ms_")
    assert [key["name"] for key in await _ask(tmp_path, ListKeys())] == ["backend"]
    await _ask(tmp_path, RevokeKey(made["id"]))
    assert await _ask(tmp_path, ListKeys()) == []


async def test_the_audit_tells_that_the_command_line_did_it(tmp_path: Path) -> None:
    made = await _ask(tmp_path, CREATE, create=True)
    await _ask(tmp_path, RevokeKey(made["id"]))
    store = await open_embedded(tmp_path / STORE_NAME, random=SystemRandom())
    try:
        entries = await Audit(store, SystemClock()).read(SERVER)
    finally:
        await store.close()
    assert [(entry.who, entry.action) for entry in entries] == [
        ("command line", "key_revoked"),
        ("command line", "key_created"),
    ]


async def test_no_store_is_made_by_asking(tmp_path: Path) -> None:
    with pytest.raises(StoreFolderRefused, match="no store"):
        await _ask(tmp_path, ListKeys())
    with pytest.raises((StoreFolderRefused, FileNotFoundError)):
        await _ask(tmp_path / "missing", ListKeys())


async def test_a_server_is_asked_while_it_has_the_store(tmp_path: Path) -> None:
    async with _served(tmp_path) as keys:
        made = await _ask(tmp_path, CREATE)
        assert [key.id for key in keys.list()] == [made["id"]]
        assert (tmp_path / SOCKET_NAME).stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / SOCKET_NAME).exists()
    assert [key["id"] for key in await _ask(tmp_path, ListKeys())] == [made["id"]]


async def test_a_backup_is_made_while_it_serves_and_tells_how_far_it_is(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    async with _served(tmp_path):
        request = Backup(str(tmp_path / "copy"))
        made = await operate(tmp_path, request, lambda *step: steps.append(step))
    assert (tmp_path / "copy" / "MOBILESYNC").exists()
    assert steps[-1] == (made["bytes"], made["bytes"])


async def test_a_refusal_comes_through(tmp_path: Path) -> None:
    async with _served(tmp_path):
        with pytest.raises(CommandFailed, match="no such API key") as caught:
            await _ask(tmp_path, RevokeKey("nobody"))
        assert caught.value.failure.exit_code is ExitCode.REFUSED
        with pytest.raises(CommandFailed, match="exists already"):
            await _ask(tmp_path, Backup(str(tmp_path)))


async def test_a_socket_file_that_nobody_listens_on_is_no_server(tmp_path: Path) -> None:
    await _ask(tmp_path, CREATE, create=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / SOCKET_NAME))
    assert len(await _ask(tmp_path, ListKeys())) == 1
    async with _served(tmp_path):
        assert len(await _ask(tmp_path, ListKeys())) == 1


async def test_the_folders_name_may_be_long(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120) / ("y" * 120)
    deep.mkdir(parents=True)
    async with _served(deep):
        assert await _ask(deep, ListKeys()) == []


@pytest.mark.parametrize("line", [b"{}\n", b"nonsense\n", b'{"type": "halt"}\n', b"\xff\n"])
async def test_what_is_no_request_gets_an_answer_and_hurts_nobody(
    tmp_path: Path, line: bytes
) -> None:
    async with _served(tmp_path):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET_NAME))
        writer.write(line)
        writer.write_eof()
        answer = msgspec.json.decode(await reader.read())
        writer.close()
        assert answer["type"] == "failed"
        assert await _ask(tmp_path, ListKeys()) == []


async def test_who_only_looks_whether_it_is_there_is_no_fault(tmp_path: Path) -> None:
    async with _served(tmp_path):
        with structlog.testing.capture_logs() as logs:
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET_NAME))
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
    assert logs == []


async def test_a_silent_or_endless_request_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_REQUEST_TIMEOUT_S", 0.05)
    async with _served(tmp_path):
        for data in (b"", b"x" * (control.LINE_BYTES_MAX * 3)):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET_NAME))
            writer.write(data)
            assert b"failed" in await reader.read()
            writer.close()


async def test_a_server_that_dies_while_asked_is_told(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    async with await asyncio.start_unix_server(hang_up, str(tmp_path / SOCKET_NAME)):
        with pytest.raises(CommandFailed, match="ended before it answered"):
            await _ask(tmp_path, ListKeys())


async def test_errors_of_the_store_are_ours(tmp_path: Path) -> None:
    async with _served(tmp_path):
        (tmp_path / SOCKET_NAME).unlink()
        with pytest.raises(MobilesyncError):
            await _ask(tmp_path, ListKeys())
