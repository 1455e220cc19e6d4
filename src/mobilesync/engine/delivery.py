"""Delivery: what waits in the outbox goes to its receivers, in order, until they have it.

Strategy: a queue that has something is in one of two lines, and a fixed number of workers serves
each. One turn reads a batch, POSTs it, and deletes it once the receiver has said 2xx; then the
queue lines up again. A crash in between sends the batch again, and the ids in it are the same. In
one line are the webhooks whose last answer was good and quick, in the other all others: however
many hang until the time limit, they take no worker from those that work.

After a failure a queue waits, about twice as long each time, and by chance a little less, so that
a receiver that comes back is not met by everybody at once. A slow tick finds those whose wait is
over; nothing sleeps for a webhook.

Not here: HTTP (transports/courier.py), what waits (event_queue.py).

Invariants:
- one delivery at a time for each webhook, so that its events arrive in order;
- what a receiver has not accepted is deleted only when it is too old, and then counted;
- nothing is sent to a webhook that is offline.
"""

import asyncio
import random
from hashlib import blake2b

import msgspec
import structlog
from msgspec import Raw, Struct

from mobilesync import __version__
from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import MobilesyncError
from mobilesync.engine.courier import Courier, NotDelivered
from mobilesync.engine.event_queue import Batch, EventQueue
from mobilesync.engine.metrics import Metrics
from mobilesync.engine.options import WebhookOptions
from mobilesync.engine.outbox import Outbox
from mobilesync.engine.signature import sign
from mobilesync.engine.ticker import Ticker
from mobilesync.engine.webhooks import Webhook, Webhooks

log = structlog.get_logger(__name__)

GONE = 410
"""The receiver wants nothing from us any more (RFC 9110 §15.5.11)."""
NO_ANSWER = 0
AFTER_FAULT_S = 5.0
"""The wait after something went wrong that is not the receiver's fault."""


class Body(Struct, frozen=True):
    """What is sent."""

    webhook: str
    events: list[Raw]


class Delivery:
    """The workers that empty the outbox."""

    def __init__(
        self,
        outbox: Outbox,
        webhooks: Webhooks,
        courier: Courier,
        *,
        clock: Clock,
        entropy: random.Random,
        metrics: Metrics,
        options: WebhookOptions,
    ) -> None:
        self._outbox = outbox
        self._webhooks = webhooks
        self._courier = courier
        self._clock = clock
        self._entropy = entropy
        self._metrics = metrics
        self._options = options
        # Bounded by the number of webhooks, because each is in one of them at most once.
        self._quick: asyncio.Queue[EventQueue] = asyncio.Queue()
        self._others: asyncio.Queue[EventQueue] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._ticker = Ticker("webhooks", options.tick_s, self._tick)
        outbox.on_ready(self.ready)

    def start(self) -> None:
        """Begin, once the outbox is loaded."""
        loop = asyncio.get_running_loop()
        half = self._options.workers // 2
        lines = [self._others] * half + [self._quick] * (self._options.workers - half)
        self._workers = [loop.create_task(self._run(line)) for line in lines]
        self._ticker.start()

    async def stop(self) -> None:
        """End. What was under way is sent again by the next start."""
        await self._ticker.stop()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers = []

    def ready(self, queue: EventQueue) -> None:
        """Have `queue` delivered soon, if something waits and it is time."""
        if queue.busy or not queue.length or not queue.is_online:
            return
        if queue.due_s > self._clock.monotonic_s():
            return
        queue.busy = True
        line = self._others if queue.state.failures or queue.is_slow else self._quick
        line.put_nowait(queue)

    async def _tick(self) -> None:
        for queue in self._outbox.queues():
            self.ready(queue)

    async def _run(self, line: "asyncio.Queue[EventQueue]") -> None:
        while True:
            queue = await line.get()
            try:
                await self._turn(queue)
            except MobilesyncError as error:
                log.warning("webhook_delayed", webhook=queue.name, reason=error.hint)
                queue.due_s = self._clock.monotonic_s() + AFTER_FAULT_S
            except Exception:
                log.exception("delivery_failed", app=queue.app, webhook=queue.name)
                queue.due_s = self._clock.monotonic_s() + AFTER_FAULT_S
            finally:
                queue.busy = False
            self.ready(queue)

    async def _turn(self, queue: EventQueue) -> None:
        """One request, and what follows from its answer."""
        webhook = self._webhooks.find(queue.app, queue.name)
        if webhook is None or not queue.is_online:
            return
        batch = await queue.take(self._options.batch_max, self._options.batch_bytes)
        if not batch.events:
            return
        begin_s = self._clock.monotonic_s()
        try:
            status, failure = await self._post(webhook, batch)
        except BaseException:
            queue.release()
            raise
        queue.tries += 1
        queue.is_slow = self._clock.monotonic_s() - begin_s > self._options.slow_s
        posts = self._metrics.webhook_posts
        posts[status] = posts.get(status, 0) + 1
        if not failure:
            queue.delivered(batch, status)
            return
        before_ms = self._clock.wall_ms() - round(self._options.age_max_s * 1000)
        queue.failed(batch, status, failure, before_ms)
        failures = queue.state.failures
        queue.due_s = self._clock.monotonic_s() + self._wait_s(failures)
        if failures == 1:
            log.warning("webhook_failing", app=queue.app, webhook=queue.name, reason=failure)
        if status == GONE:
            log.warning("webhook_gone", app=queue.app, webhook=queue.name)
            await self._webhooks.take_offline(queue.app, queue.name, webhook.url)

    async def _post(self, webhook: Webhook, batch: Batch) -> tuple[int, str]:
        """The answer's status, and how it failed; empty when it did not."""
        raws = [waiting.event for _, waiting in batch.events]
        body = msgspec.json.encode(Body(webhook.name, raws))
        # From the content: a batch that is sent again unchanged has the same id.
        request_id = f"msg_{blake2b(body, digest_size=16).hexdigest()}"
        headers = {
            "content-type": "application/json",
            "user-agent": f"mobilesync/{__version__}",
            **sign(webhook.secret, request_id, self._clock.wall_ms() // 1000, body),
        }
        try:
            status = await self._courier.post(webhook.url, headers, body, self._options.timeout_s)
        except NotDelivered as error:
            return NO_ANSWER, error.message
        return status, "" if 200 <= status < 300 else f"it answered {status}"

    def _wait_s(self, failures: int) -> float:
        options = self._options
        bound_s = min(options.retry_max_s, options.retry_first_s * 2.0 ** min(failures - 1, 30))
        return bound_s * (1 + self._entropy.random()) / 2
