"""The publishers: an `Exchange` driven over httpx, once sync and once async.

Strategy: everything that could differ between the two lives in exchange.py and calls.py; here is
only sending and waiting.

Not here: when to try again and what an answer means (exchange.py, retries.py).
"""

import asyncio
import random
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx

from mobilesync.publishing import calls
from mobilesync.publishing.answers import (
    DryRun,
    Explanation,
    Offered,
    Published,
    Recalled,
    Receipt,
    Replayed,
)
from mobilesync.publishing.calls import Call, which_oplog
from mobilesync.publishing.exchange import Exchange, Wait
from mobilesync.publishing.publication import Payload, Publication, PublishOptions
from mobilesync.publishing.retries import Retries

TIMEOUT_S = 30.0
PAGE = 100
"""Receipts that are asked for at once."""
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

_Answer = TypeVar("_Answer")


class Publisher:
    """Publishes to one app. Safe to share between threads.

    Whatever it does it tries again by itself, safely, until the tries of `retries` are used up.
    Each method raises PublishError.
    """

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
        self._app = app
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
        self, biz: str, target: str, payload: Payload, **options: Unpack[PublishOptions]
    ) -> Published:
        """Publish one oplog; see `Publication`. Durable on the server when it returns."""
        return self.publish_batch([Publication(biz, target, payload, **options)])[0]

    def publish_batch(self, publications: Sequence[Publication]) -> list[Published]:
        """Publish all or none, in their order. As `publish` otherwise.

        Raises ValueError for an empty batch; InvalidPublication with `items` if any is invalid.
        """
        return self._do(calls.publish(self._app, publications, self._entropy))

    def dry_run(
        self, biz: str, target: str, payload: Payload, **options: Unpack[PublishOptions]
    ) -> DryRun:
        """What `publish` would do: whether it is valid, and whom it would reach."""
        return self.dry_run_of(Publication(biz, target, payload, **options))

    def dry_run_of(self, publication: Publication) -> DryRun:
        """As `dry_run`."""
        return self._do(calls.dry_run(self._app, publication, self._entropy))

    def recall(
        self, biz: str, target: str, *, id: int | None = None, message_id: str = ""
    ) -> Recalled:
        """See to it that an oplog, named in one way, reaches nobody who has not got it yet."""
        return self._do(calls.recall(self._app, which_oplog(biz, target, id, message_id)))

    def offer_again(
        self, biz: str, target: str, device: str, *, id: int | None = None, message_id: str = ""
    ) -> Offered:
        """Have an oplog appended anew for `device`, whatever that has had. The key needs the scope
        configure. Not tried again once it may be done: OutcomeUnknown then says so."""
        which = which_oplog(biz, target, id, message_id)
        return self._do(calls.offer_again(self._app, which, device))

    def replay(self, biz: str, target: str, device: str, *, to: int) -> Replayed:
        """Put the sync point of `device` in a channel back to the oplog id `to`, so that it gets
        again what comes after. The key needs the scope configure."""
        return self._do(calls.replay(self._app, biz, target, device, to))

    def explain(
        self, biz: str, target: str, device: str, *, id: int | None = None, message_id: str = ""
    ) -> Explanation:
        """What happened to an oplog on `device`, or why not yet. The key needs the scope
        inspect."""
        which = which_oplog(biz, target, id, message_id)
        return self._do(calls.explain(self._app, which, device))

    def receipts(
        self, biz: str, target: str, *, id: int | None = None, message_id: str = ""
    ) -> Iterator[Receipt]:
        """What happened to an oplog on each known device that it is for, by device id. The key
        needs the scope inspect."""
        which = which_oplog(biz, target, id, message_id)
        after = ""
        while True:
            page = self._do(calls.receipts(self._app, which, after, PAGE))
            yield from page.receipts
            after = page.after
            if not after:
                return

    def _do(self, call: Call[_Answer]) -> _Answer:
        exchange = Exchange(call, self._retries, self._entropy)
        while True:
            step = self._try(exchange)
            if not isinstance(step, Wait):
                return step
            time.sleep(step.wait_s)

    def _try(self, exchange: Exchange[_Answer]) -> _Answer | Wait:
        call = exchange.call
        try:
            answer = self._client.request(
                call.method, call.path, content=call.content, params=call.query
            )
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
        self._app = app
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
        self, biz: str, target: str, payload: Payload, **options: Unpack[PublishOptions]
    ) -> Published:
        """As `Publisher.publish`."""
        return (await self.publish_batch([Publication(biz, target, payload, **options)]))[0]

    async def publish_batch(self, publications: Sequence[Publication]) -> list[Published]:
        """As `Publisher.publish_batch`."""
        return await self._do(calls.publish(self._app, publications, self._entropy))

    async def dry_run(
        self, biz: str, target: str, payload: Payload, **options: Unpack[PublishOptions]
    ) -> DryRun:
        """As `Publisher.dry_run`."""
        return await self.dry_run_of(Publication(biz, target, payload, **options))

    async def dry_run_of(self, publication: Publication) -> DryRun:
        """As `Publisher.dry_run`."""
        return await self._do(calls.dry_run(self._app, publication, self._entropy))

    async def recall(
        self, biz: str, target: str, *, id: int | None = None, message_id: str = ""
    ) -> Recalled:
        """As `Publisher.recall`."""
        return await self._do(calls.recall(self._app, which_oplog(biz, target, id, message_id)))

    async def offer_again(
        self, biz: str, target: str, device: str, *, id: int | None = None, message_id: str = ""
    ) -> Offered:
        """As `Publisher.offer_again`."""
        which = which_oplog(biz, target, id, message_id)
        return await self._do(calls.offer_again(self._app, which, device))

    async def replay(self, biz: str, target: str, device: str, *, to: int) -> Replayed:
        """As `Publisher.replay`."""
        return await self._do(calls.replay(self._app, biz, target, device, to))

    async def explain(
        self, biz: str, target: str, device: str, *, id: int | None = None, message_id: str = ""
    ) -> Explanation:
        """As `Publisher.explain`."""
        which = which_oplog(biz, target, id, message_id)
        return await self._do(calls.explain(self._app, which, device))

    async def receipts(
        self, biz: str, target: str, *, id: int | None = None, message_id: str = ""
    ) -> AsyncIterator[Receipt]:
        """As `Publisher.receipts`."""
        which = which_oplog(biz, target, id, message_id)
        after = ""
        while True:
            page = await self._do(calls.receipts(self._app, which, after, PAGE))
            for receipt in page.receipts:
                yield receipt
            after = page.after
            if not after:
                return

    async def _do(self, call: Call[_Answer]) -> _Answer:
        exchange = Exchange(call, self._retries, self._entropy)
        while True:
            step = await self._try(exchange)
            if not isinstance(step, Wait):
                return step
            await asyncio.sleep(step.wait_s)

    async def _try(self, exchange: Exchange[_Answer]) -> _Answer | Wait:
        call = exchange.call
        try:
            answer = await self._client.request(
                call.method, call.path, content=call.content, params=call.query
            )
        except httpx.TransportError as error:
            return _unanswered(exchange, error)
        return _answered(exchange, answer)


def _answered(exchange: Exchange[_Answer], answer: httpx.Response) -> _Answer | Wait:
    retry_after = answer.headers.get("retry-after", "")
    return exchange.answered(answer.status_code, answer.content, retry_after)


def _unanswered(exchange: Exchange[_Answer], error: httpx.TransportError) -> Wait:
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in reason:
        raise exchange.distrusted(reason)
    return exchange.unanswered(reason, sent=not isinstance(error, _NEVER_SENT))


def _headers(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}", "content-type": "application/json"}


def _trust(ca_file: str | Path | None) -> ssl.SSLContext | bool:
    return True if ca_file is None else ssl.create_default_context(cafile=str(ca_file))
