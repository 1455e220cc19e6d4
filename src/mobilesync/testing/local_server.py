"""A whole Mobilesync in a test: real store, real TLS, real HTTP, on free ports of this machine.

Strategy: the very server that `mobilesync serve` runs, in development mode, in a temporary folder
and on the loop of the test. So what passes here is not a stand-in's behaviour. It starts in about
a tenth of a second.

    async with LocalServer() as server:
        async with server.publisher() as publisher, server.client("ada", "phone") as phone:
            ...
"""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mobilesync.cli.configuration import load_configuration
from mobilesync.cli.development import Development
from mobilesync.cli.server import Server
from mobilesync.cli.settings import SETTINGS
from mobilesync.client import Client
from mobilesync.engine.clock import SystemClock
from mobilesync.engine.tokens import sign_token
from mobilesync.publishing import AsyncPublisher

TOKEN_LIFETIME_MS = 3_600_000


class LocalServer:
    """A running server; `async with` starts and stops it. Everything it stored is gone then."""

    def __init__(self, **settings: object) -> None:
        """`settings` are names and values of the settings page, over what suits a test.

        Raises TypeError for a name that is no setting; starting raises BadSetting for a value.
        """
        if unknown := settings.keys() - {setting.name for setting in SETTINGS}:
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
        self._settings: dict[str, object] = {"port": 0, "api_port": 0, "drain_s": 0.1, **settings}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._server: Server | None = None
        self._clock = SystemClock()

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="mobilesync-")
        flags = {**self._settings, "data": self._folder.name}
        try:
            self._server = Server(load_configuration(None, {}, flags))
            await self._server.start()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        assert self._folder is not None
        await self._server.stop()
        self._folder.cleanup()

    @property
    def folder(self) -> Path:
        """A folder for the devices' local stores; gone with the server."""
        assert self._folder is not None, "the server has not been started"
        return Path(self._folder.name)

    @property
    def access(self) -> Development:
        """Ports, certificate, app and keys of the server."""
        assert self._server is not None, "the server has not been started"
        assert self._server.development is not None
        return self._server.development

    def token(self, user: str, device: str) -> str:
        """A device token, good for an hour, as the app's own backend would sign it."""
        now_ms = self._clock.wall_ms()
        return sign_token(
            self.access.hs256_secret,
            app=self.access.app,
            user=user,
            device=device,
            issued_at_ms=now_ms,
            expires_at_ms=now_ms + TOKEN_LIFETIME_MS,
        )

    def client(self, user: str, device: str, **options: Any) -> Client:
        """A device of `user`, not started yet. The same device finds its local store again."""
        access = self.access
        given = {"store": self.folder / f"device-{device}.db", **options}
        return Client(
            access.host,
            access.port,
            app=access.app,
            user=user,
            device=device,
            token=self.token(user, device),
            ca_file=access.certificate,
            **given,
        )

    def publisher(self) -> AsyncPublisher:
        """A business server's publisher, not opened yet."""
        access = self.access
        return AsyncPublisher(access.api_url, app=access.app, key=access.api_key)
