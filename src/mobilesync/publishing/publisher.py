"""The publishers: an `Exchange` driven over httpx, once sync and once async.

Strategy: everything that could differ between the two lives in exchange.py; here is only sending
and waiting.

Not here: when to try again and what an answer means (exchange.py, retries.py).
"""

import asyncio
import random
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import httpx

from mobilesync.publishing.exchange import Exchange, Payload, Publication, Published, Wait
from mobilesync.publishing.retries import Retries

TIMEOUT_S = 30.0
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Publisher:
    """Publishes to one app. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        *,
        app: str,
        key: str,
        ca_file: str | Path | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: Retries | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`url` is the API's, such as `https://sync.example.com`; `key` an API key with the scope
        publish; `ca_file` the certificate to trust, if it is none of the public ones.
        `transport` replaces the network, for tests.
        """
        self._path = _path(app)
        self._retries = retries or Retries()
        self._entropy = random.SystemRandom()
        self._client = httpx.Client(
            base_url=url,
            headers=_headers(key),
            timeout=timeout_s,
            verify=_trust(ca_file),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._client.close()

    def publish(
        self,
        biz: str,
        target: str,
        payload: Payload,
        *,
        message_id: str = "",
        valid_until_ms: int | None = None,
        os: Sequence[str] = (),
        app_version_min: str = "",
        app_version_max: str = "",
    ) -> Published:
        """Publish one oplog; see `Publication`. Durable on the server when it returns.

        Tries again by itself, safely, until the tries of `retries` are used up. Raises
        PublishError.
        """
        publication = Publication(
            biz, target, payload, message_id, valid_until_ms, os, app_version_min, app_version_max
        )
        return self.publish_batch([publication])[0]

    def publish_batch(self, publications: Sequence[Publication]) -> list[Published]:
        """Publish all or none, in their order. As `publish` otherwise.

        Raises ValueError for an empty batch; InvalidPublication with `items` if any is invalid.
        """
        exchange = Exchange(publications, self._retries, self._entropy)
        while True:
            step = self._try(exchange)
            if not isinstance(step, Wait):
                return step
            time.sleep(step.wait_s)

    def _try(self, exchange: Exchange) -> list[Published] | Wait:
        try:
            answer = self._client.post(self._path, content=exchange.content)
        except httpx.TransportError as error:
            return _unanswered(exchange, error)
        return _answered(exchange, answer)


class AsyncPublisher:
    """As `Publisher`, for asyncio."""

    def __init__(
        self,
        url: str,
        *,
        app: str,
        key: str,
        ca_file: str | Path | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """As in `Publisher`."""
        self._path = _path(app)
        self._retries = retries or Retries()
        self._entropy = random.SystemRandom()
        self._client = httpx.AsyncClient(
            base_url=url,
            headers=_headers(key),
            timeout=timeout_s,
            verify=_trust(ca_file),
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._client.aclose()

    async def publish(
        self,
        biz: str,
        target: str,
        payload: Payload,
        *,
        message_id: str = "",
        valid_until_ms: int | None = None,
        os: Sequence[str] = (),
        app_version_min: str = "",
        app_version_max: str = "",
    ) -> Published:
        """As `Publisher.publish`."""
        publication = Publication(
            biz, target, payload, message_id, valid_until_ms, os, app_version_min, app_version_max
        )
        return (await self.publish_batch([publication]))[0]

    async def publish_batch(self, publications: Sequence[Publication]) -> list[Published]:
        """As `Publisher.publish_batch`."""
        exchange = Exchange(publications, self._retries, self._entropy)
        while True:
            step = await self._try(exchange)
            if not isinstance(step, Wait):
                return step
            await asyncio.sleep(step.wait_s)

    async def _try(self, exchange: Exchange) -> list[Published] | Wait:
        try:
            answer = await self._client.post(self._path, content=exchange.content)
        except httpx.TransportError as error:
            return _unanswered(exchange, error)
        return _answered(exchange, answer)


def _answered(exchange: Exchange, answer: httpx.Response) -> list[Published] | Wait:
    retry_after = answer.headers.get("retry-after", "")
    return exchange.answered(answer.status_code, answer.content, retry_after)


def _unanswered(exchange: Exchange, error: httpx.TransportError) -> Wait:
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in reason:
        raise exchange.distrusted(reason)
    return exchange.unanswered(reason, sent=not isinstance(error, _NEVER_SENT))


def _path(app: str) -> str:
    return f"/v1/apps/{quote(app, safe='')}/oplogs"


def _headers(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}", "content-type": "application/json"}


def _trust(ca_file: str | Path | None) -> ssl.SSLContext | bool:
    return True if ca_file is None else ssl.create_default_context(cafile=str(ca_file))
