"""What an operator does to a store on this machine: keys and backups, served or not.

Strategy: only one process may have a store open. So a running server listens on a socket file in
its data folder, and a command asks it; when no server answers, the command opens the store itself.
Both ways end in `perform`. Who may use the socket is whom the data folder's permissions let: they
could read and write the store anyway, so no key is asked for.

The conversation: one request as a line of JSON; lines of `Progress`; one `Done` or `Failed`.

Not here: what businesses do (api/), and everything over a network.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from mobilesync.api.keys import ApiKeys, Scope
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.failures import CommandFailed, failure_of
from mobilesync.engine.audit import Audit
from mobilesync.engine.clock import SystemClock
from mobilesync.storage.embedded.opening import open_embedded
from mobilesync.storage.embedded.store import EmbeddedStore

log = structlog.get_logger(__name__)

SOCKET_NAME = "control.sock"
STORE_NAME = "store"
LINE_BYTES_MAX = 64 * 1024
_REQUEST_TIMEOUT_S = 5.0
WHO = "command line"
"""What the audit calls whoever uses the socket."""

Report = Callable[[int, int], None]


class Backup(Struct, tag="backup"):
    """Copy the store into `path`, an absolute path of a folder that does not exist."""

    path: str


class CreateKey(Struct, tag="create-key"):
    """Make an API key."""

    name: str
    scopes: list[Scope]
    app: str = ""


class ListKeys(Struct, tag="list-keys"):
    """Tell all API keys, without their secrets."""


class RevokeKey(Struct, tag="revoke-key"):
    """Make an API key useless."""

    id: str


class Progress(Struct, tag="progress"):
    """How far long work is, in bytes."""

    done: int
    total: int


class Done(Struct, tag="done"):
    """It is done; `result` is for the command to show."""

    result: Any


class Failed(Struct, tag="failed"):
    """It failed."""

    code: str
    message: str
    hint: str
    exit_code: int


Request = Backup | CreateKey | ListKeys | RevokeKey
_Answer = Progress | Done | Failed


async def perform(request: Request, store: EmbeddedStore, keys: ApiKeys, report: Report) -> Any:
    """Do what `request` asks; the answer can be written as JSON. `report` may be called from
    another thread. Raises MobilesyncError.
    """
    match request:
        case Backup(path):
            made = await store.backup(Path(path), report)
            return {"path": str(made.path), "bytes": made.bytes, "epoch": made.epoch}
        case CreateKey(name, scopes, app):
            new = await keys.create(name, scopes, app, who=WHO)
            return {"text": new.text, **msgspec.to_builtins(new.key)}
        case ListKeys():
            return msgspec.to_builtins(keys.list())
        case RevokeKey(key_id):
            await keys.revoke(key_id, who=WHO)
            return {"id": key_id}


async def operate(data: Path, request: Request, report: Report, *, create: bool = False) -> Any:
    """Have `request` performed on the store in `data`: by its server, or here if there is none.

    `create` makes a store if there is none. Raises MobilesyncError, CommandFailed.
    """
    try:
        reader, writer = await _connect(data)
    except (FileNotFoundError, ConnectionRefusedError):
        return await _operate_here(data, request, report, create)
    try:
        writer.write(msgspec.json.encode(request) + b"\n")
        while line := await reader.readline():
            match msgspec.json.decode(line, type=_Answer):
                case Progress(done, total):
                    report(done, total)
                case Done(result):
                    return result
                case Failed(code, message, hint, exit_code):
                    raise CommandFailed(
                        message, hint=hint, code=code, exit_code=ExitCode(exit_code)
                    )
    finally:
        writer.close()
    hint = "see the server's log, then look whether it was done"
    raise CommandFailed("the server ended before it answered", hint=hint)


class Control:
    """The server's side: answers on the socket file in the data folder."""

    def __init__(self, data: Path, store: EmbeddedStore, keys: ApiKeys) -> None:
        self._data = data
        self._store = store
        self._keys = keys
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. The store must be open: that it is ours means that no other server listens."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _socket_path(self._data) as path:
            path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                listener.bind(str(path))
            finally:
                os.umask(before)
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listener, limit=LINE_BYTES_MAX
        )

    async def close(self) -> None:
        """Stop listening. Idempotent."""
        if self._server is not None:
            self._server.close()
            self._server = None
            (self._data / SOCKET_NAME).unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()

        def report(done: int, total: int) -> None:
            loop.call_soon_threadsafe(_write, writer, Progress(done, total))

        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                line = await reader.readline()
            if not line:
                return  # somebody looked whether the server is there, as `doctor` does
            request = msgspec.json.decode(line, type=Request)
            log.info("control_request", operation=type(request).__name__)
            _write(writer, Done(await perform(request, self._store, self._keys, report)))
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                log.exception("control_failed")
                _write(writer, Failed("INTERNAL", "the server failed; see its log", "", 1))
            else:
                _write(writer, Failed(*msgspec.structs.astuple(failure)))
        finally:
            with contextlib.suppress(OSError):
                await writer.drain()
            writer.close()


async def _operate_here(data: Path, request: Request, report: Report, create: bool) -> Any:
    store = await open_embedded(data / STORE_NAME, random=SystemRandom(), create=create)
    try:
        clock = SystemClock()
        audit = Audit(store, clock)
        keys = ApiKeys(store, clock=clock, random_bytes=secrets.token_bytes, audit=audit)
        await keys.load()
        return await perform(request, store, keys, report)
    finally:
        await store.close()


async def _connect(data: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    with _socket_path(data) as path:
        return await asyncio.open_unix_connection(str(path), limit=LINE_BYTES_MAX)


@contextmanager
def _socket_path(data: Path) -> Iterator[Path]:
    """The socket file, by a short name: the kernel takes 107 bytes, whatever the folder's name."""
    handle = os.open(data, os.O_PATH | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{handle}/{SOCKET_NAME}")
    finally:
        os.close(handle)


def _write(writer: asyncio.StreamWriter, answer: _Answer) -> None:
    if not writer.is_closing():
        writer.write(msgspec.json.encode(answer) + b"\n")
