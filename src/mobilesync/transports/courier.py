"""Carries webhooks to their receivers, over HTTP.

Strategy: one client for all receivers, which keeps a few connections for the next request. Only
the status of an answer counts: of its body no more is read than it takes to use the connection
again, and for no longer.

Not here: which requests, when, and how often (engine/delivery.py).

Invariants:
- a request goes to the address that was asked for, and nowhere else: no redirect is followed;
- a receiver with a bad certificate is no receiver;
- whatever a receiver does, a request ends at its time limit.
"""

import asyncio
import ssl
from collections.abc import Mapping

import httpx

from mobilesync.engine.courier import NotDelivered

LENGTH_DIGITS_MAX = 4
"""Of a body that is read: below 10 kB."""
BODY_S_MAX = 1.0
CONNECTIONS_MAX = 100
IDLE_CONNECTIONS_MAX = 32
IDLE_S = 5.0
"""Below what servers keep an idle connection for, or the next request would meet a closed one."""


class HttpCourier:
    """A Courier (engine/courier.py) that uses the network."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """`tls` is what receivers' certificates are checked with; by default, the machine's."""
        self._tls = tls
        self._http: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> int:
        """See Courier."""
        http = await self._client()
        status = 0
        # A handshake that is cut off from outside leaves its socket open; this one ends it first.
        timeout = httpx.Timeout(timeout_s, connect=timeout_s / 2)
        try:
            async with (
                asyncio.timeout(timeout_s),
                http.stream("POST", url, content=body, headers=headers, timeout=timeout) as answer,
            ):
                status = answer.status_code
                await _use_up(answer)
        except (TimeoutError, httpx.TimeoutException):
            if not status:
                raise NotDelivered(f"no answer in {timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            # UnicodeError: a name that no host can have, such as one with too long a part.
            if not status:
                raise NotDelivered(_reason(error)) from None
        return status

    async def close(self) -> None:
        """End all connections. Idempotent."""
        if self._http is not None:
            await self._http.aclose()

    async def _client(self) -> httpx.AsyncClient:
        async with self._opening:
            if self._http is None:
                tls = self._tls
                if tls is None:
                    # Reading the machine's authorities takes a twentieth of a second.
                    tls = await asyncio.to_thread(ssl.create_default_context)
                self._http = httpx.AsyncClient(
                    verify=tls,
                    follow_redirects=False,
                    limits=httpx.Limits(
                        max_connections=CONNECTIONS_MAX,
                        max_keepalive_connections=IDLE_CONNECTIONS_MAX,
                        keepalive_expiry=IDLE_S,
                    ),
                )
        return self._http


async def _use_up(answer: httpx.Response) -> None:
    """Read a body that says that it is short, so that its connection can be used again; leave any
    other, which ends the connection."""
    length = answer.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and len(length) <= LENGTH_DIGITS_MAX:
        async with asyncio.timeout(BODY_S_MAX):
            async for _ in answer.aiter_raw():
                pass


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
