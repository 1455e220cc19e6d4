"""`mobilesync serve` as a process of its own, to be killed and started again at the same address.

Strategy: certificate, settings file and ports stay, as those of an installed server would; only
the data folder is at stake, and may be on another disk than everything else.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from mobilesync.cli.control import STORE_NAME
from mobilesync.cli.development import read_development
from mobilesync.engine.clock import SystemClock
from mobilesync.transports.certificates import development_certificate
from tests.crash.phone import Door
from tests.measurement import unmeasured_environment
from tests.ports import free_port

APP = "demo"
SECRET = "a secret that only the crash tests know"
_READY_TIMEOUT_S = 30.0
_COMMAND_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0
_SETTINGS = """
log_level = "info"
drain_s = 0.2
tls_certificate = "{certificate}"
tls_key = "{key}"

[apps.{app}]
hs256_secret = "{secret}"
"""


class ServerFailed(Exception):
    """The server did not start, or a command failed; the text says what it said."""


class ServerProcess:
    """All lives of one server."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.data = data
        self.settings: Sequence[str] = ()
        """Flags of `mobilesync serve`, from the next start on."""
        self.kills = 0
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        port = self._api_port = free_port()
        while port == self._api_port:
            port = free_port()
        self.api_origin = f"http://127.0.0.1:{self._api_port}"
        self.api_key = ""
        """Good once it was started."""
        folder.mkdir(exist_ok=True)
        files = development_certificate(folder, SystemClock().wall_ms())
        self._config = folder / "mobilesync.toml"
        named = {"certificate": files.certificate, "key": files.key}
        self._config.write_text(_SETTINGS.format(app=APP, secret=SECRET, **named))
        self.door = Door(port, str(files.certificate), APP, SECRET)

    async def begin(self) -> None:
        """Start the process, and do not wait for it."""
        assert self._process is None
        with (self._folder / "server.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "mobilesync.cli", "serve", "--json"),
                *("--config", str(self._config), "--data", str(self.data)),
                *("--port", str(self.door.port), "--api-port", str(self._api_port)),
                *self.settings,
                env=clean_environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )

    async def start(self) -> None:
        """Start, and return when it serves. Raises ServerFailed."""
        await self.begin()
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(_READY_TIMEOUT_S):
            line = await self._process.stdout.readline()
        if not line:
            await self._ended()
            raise ServerFailed(f"it did not start: {self.log_tail()}")
        left = read_development(self.data)
        assert left is not None
        self.api_key = left.api_key

    async def kill(self) -> None:
        """End it with -9, whatever it is doing."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        status = await self._ended()
        assert status == -signal.SIGKILL, f"it had ended with {status}: {self.log_tail()}"
        self.kills += 1

    async def stop(self) -> None:
        """End it in good order."""
        assert self._process is not None
        self._process.terminate()
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            status = await self._ended()
        assert status == 0, f"it ended with {status}: {self.log_tail()}"

    async def abandon(self) -> None:
        """End whatever there is. Idempotent."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._ended()

    async def _ended(self) -> int:
        process, self._process = self._process, None
        assert process is not None
        assert process.stdout is not None
        await process.stdout.read()
        return await process.wait()

    def lineage(self) -> tuple[int, ...]:
        """The epochs of the store, as its folder says."""
        told = msgspec.json.decode((self.data / STORE_NAME / "MOBILESYNC").read_bytes())
        return tuple(told["lineage"])

    async def command(self, *arguments: str) -> Any:
        """Run `mobilesync … --json`; what it says. Raises ServerFailed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mobilesync.cli", *arguments, "--json"),
            env=clean_environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(_COMMAND_TIMEOUT_S):
            said, complaint = await process.communicate()
        if process.returncode:
            raise ServerFailed(f"{arguments[0]}: {complaint.decode(errors='replace')}")
        return msgspec.json.decode(said)

    def log_tail(self) -> str:
        """The last of what it has written to standard error."""
        return (self._folder / "server.log").read_text(errors="replace")[-3000:]


def clean_environment() -> dict[str, str]:
    """For processes that are killed: coverage would leave broken files behind, and settings of
    whoever runs the tests are not ours."""
    kept = unmeasured_environment().items()
    return {name: value for name, value in kept if not name.startswith("MOBILESYNC_")}
