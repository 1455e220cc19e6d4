"""Opens the API's port, inside the running loop, and closes it gracefully.

Strategy: start and stop are the caller's, as for every other part of the service: no signals, no
process that ends when the port is taken.

Not here: the operations (app.py), connections and their bounds (connections.py).
"""

import asyncio
import ssl

from mobilesync.api.connections import Connections
from mobilesync.api.incoming import Answers
from mobilesync.api.options import ListenOptions

TLS_HANDSHAKE_TIMEOUT_S = 10.0
FLUSH_STEP_S = 0.01


class ApiServer:
    """A listener. Made by `serve_api`."""

    def __init__(self, listener: asyncio.Server, connections: Connections) -> None:
        self._listener = listener
        self._connections = connections
        self.port: int = listener.sockets[0].getsockname()[1]
        """Of use when 0 was asked for."""

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections.open)

    async def stop(self, grace_s: float) -> None:
        """Accept nothing more, let requests under way finish for `grace_s`, then end them.

        Those get no answer, as after a cut: the message id makes trying again safe.
        """
        self._listener.close()
        self._connections.end()
        loop = asyncio.get_running_loop()
        end_s = loop.time() + grace_s
        late: set[asyncio.Task[None]] = set()
        tasks = self._connections.tasks
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
        while self._connections.unsent() and loop.time() < end_s:  # noqa: ASYNC110 - at the end
            await asyncio.sleep(FLUSH_STEP_S)
        for connection in list(self._connections.open):
            connection.transport.abort()
        # The connections take note in this turn of the loop, and so write no answer.
        await asyncio.sleep(0)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await self._listener.wait_closed()


async def serve_api(
    api: Answers,
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
    loop = asyncio.get_running_loop()
    connections = Connections(api, chosen, loop)
    listener = await loop.create_server(
        connections.make,
        host,
        port,
        ssl=tls,
        backlog=chosen.backlog,
        ssl_handshake_timeout=TLS_HANDSHAKE_TIMEOUT_S if tls else None,
    )
    return ApiServer(listener, connections)
