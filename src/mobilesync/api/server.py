"""Opens the API's port, inside the running loop, and closes it gracefully.

Strategy: uvicorn's connections on a listener of our own. uvicorn's server would take the signals,
end the process when the port is taken, and wake ten times a second to look whether it should
stop; start and stop are the caller's here, as for every other part of the service.

Not here: the operations (app.py), bounds on connections (connections.py).
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any

from uvicorn import Config
from uvicorn.server import ServerState

from mobilesync.api.app import AsgiApp, Receive, Scope, Send
from mobilesync.api.connections import bounded

TLS_HANDSHAKE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """Bounds of the listener. What exceeds them is closed or refused."""

    connections_max: int = 2_000
    head_bytes_max: int = 32 * 1024
    """The request line and the headers."""
    head_timeout_s: float = 10.0
    """From the connection, or the first byte of a request, to the end of its headers."""
    keep_alive_s: int = 75
    """How long a connection may rest between requests."""
    backlog: int = 1024


class ApiServer:
    """A listener. Made by `serve_api`."""

    def __init__(self, listener: asyncio.Server, state: ServerState) -> None:
        self._listener = listener
        self._state = state
        self.port: int = listener.sockets[0].getsockname()[1]
        """Of use when 0 was asked for."""

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._state.connections)

    async def stop(self, grace_s: float) -> None:
        """Accept nothing more, let requests under way finish for `grace_s`, then end them.

        Those get no answer, as after a cut: the message id makes trying again safe.
        """
        self._listener.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        late: set[asyncio.Task[None]] = set()
        if self._state.tasks:
            _, late = await asyncio.wait(set(self._state.tasks), timeout=grace_s)
        for connection in list(self._state.connections):
            connection.transport.abort()
        # The connections take note in this turn of the loop, and so write no answer.
        await asyncio.sleep(0)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await self._listener.wait_closed()


async def serve_api(
    app: AsgiApp,
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    options: ListenOptions | None = None,
) -> ApiServer:
    """Listen on `host` and `port` (0: any). Requests are answered when it returns.

    Raises OSError when the address cannot be used.
    """
    chosen = options or ListenOptions()
    connection = bounded(
        connections_max=chosen.connections_max,
        head_bytes_max=chosen.head_bytes_max,
        head_timeout_s=chosen.head_timeout_s,
    )
    config = Config(
        _ended_quietly(app),
        http=connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=chosen.keep_alive_s,
    )
    config.load()
    state = ServerState()
    app_state: dict[str, Any] = {}
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(
        lambda: connection(config, state, app_state, loop),
        host,
        port,
        ssl=tls,
        backlog=chosen.backlog,
        ssl_handshake_timeout=TLS_HANDSHAKE_TIMEOUT_S if tls else None,
    )
    return ApiServer(listener, state)


def _ended_quietly(app: AsgiApp) -> AsgiApp:
    """`app`, whose being cancelled is no fault to be logged."""

    async def quiet(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            return

    return quiet
