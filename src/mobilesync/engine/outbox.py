"""The outbox: whatever businesses are to hear of waits here, durably, until they have it.

Strategy: a Listener (happenings.py). Whoever finds a fact asks `wants`, which costs next to nothing
where nobody does, and puts it in; here it becomes an event. Each webhook of the app that subscribes
to it has a queue of its own (event_queue.py), so none can hold up another. `put` only notes: events
put in the same turn of the loop as `store.advance` are in the same commit as the proof that they
tell of.

Not here: what events say (events.py), sending them (delivery.py).

Invariants:
- `put` never waits and never fails: at a queue's bound events are lost, which is counted and told;
- a webhook that is offline takes no events, and keeps those that it has.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import InvalidRequest, Overloaded
from mobilesync.engine.event_queue import EventQueue, encode_waiting
from mobilesync.engine.events import TEST, Event, event_of, make_id
from mobilesync.engine.happenings import Kind
from mobilesync.engine.metrics import Metrics
from mobilesync.engine.options import WebhookOptions
from mobilesync.engine.webhooks import Webhook, Webhooks
from mobilesync.storage.contract import Store


class QueueReport(Struct, frozen=True, kw_only=True):
    """How the delivery to a webhook goes."""

    queued: int
    oldest_age_s: float | None
    """Age of the first event that waits; None when none does."""
    tries: int
    """Since the server started."""
    failures: int
    last_status: int
    last_failure: str
    last_try_ms: int
    lost: int
    """Events of which the receiver has not been told yet that they are missing."""


class Outbox:
    """The queues of all webhooks. Fits Listener; see there for what is not said here."""

    def __init__(
        self,
        store: Store,
        webhooks: Webhooks,
        *,
        clock: Clock,
        metrics: Metrics,
        options: WebhookOptions,
    ) -> None:
        self._store = store
        self._webhooks = webhooks
        self._clock = clock
        self._metrics = metrics
        self._options = options
        self._queues: dict[tuple[str, str], EventQueue] = {}
        self._by_app: dict[str, list[EventQueue]] = {}
        self._subscribers: dict[tuple[str, str], list[tuple[EventQueue, frozenset[str]]]] = {}
        """By app and kind; only of webhooks that are online, and only where there are some."""
        self._ready: Callable[[EventQueue], None] = _nobody
        webhooks.on_change(self._changed)
        webhooks.on_remove(self._clear)
        metrics.gauge(
            "mobilesync_webhook_events_queued",
            "events that wait for a webhook",
            lambda: sum(queue.length for queue in self.queues()),
        )
        metrics.gauge(
            "mobilesync_webhooks_failing",
            "webhooks whose last delivery failed",
            lambda: sum(queue.state.failures > 0 for queue in self.queues()),
        )

    async def load(self) -> None:
        """Find what waits, once the webhooks are loaded. Call before anything else."""
        for app, webhook in self._webhooks.all():
            queue = self._queue(app, webhook.name)
            await queue.load()
            self._changed(app, webhook.name, webhook)

    def on_ready(self, ready: Callable[[EventQueue], None]) -> None:
        """Call `ready(queue)` when a queue may have something to deliver."""
        self._ready = ready

    def queues(self) -> Iterable[EventQueue]:
        """Those of all webhooks."""
        return self._queues.values()

    def wants(self, app: str, kind: Kind, biz: str = "") -> bool:
        """Whether anybody subscribes to it. Without a biz, whether anybody does for some biz."""
        subscribers = self._subscribers.get((app, kind))
        return subscribers is not None and any(
            not bizzes or not biz or biz in bizzes for _, bizzes in subscribers
        )

    def put(
        self,
        app: str,
        kind: Kind,
        data: Mapping[str, Any],
        *,
        biz: str = "",
        coalesce: str = "",
    ) -> None:
        """Have it sent to every webhook of the app that subscribes to it."""
        subscribers = self._subscribers.get((app, kind))
        if subscribers is None:
            return
        value = b""
        for queue, bizzes in subscribers:
            if not bizzes or not biz or biz in bizzes:
                value = value or encode_waiting(self._event(app, kind, data, biz), coalesce)
                queue.add(value, coalesce)
                self._ready(queue)

    def put_for(self, app: str, webhook: str, kind: Kind, data: Mapping[str, Any]) -> None:
        """Have it sent to one webhook, whatever that subscribes to. When it is offline or gone
        nobody gets the event."""
        self._add(app, webhook, self._event(app, kind, data, str(data.get("biz", ""))))

    def has(self, app: str, webhook: str) -> bool:
        """Also when it is offline."""
        return self._webhooks.find(app, webhook) is not None

    def cancel(self, app: str, coalesce: str) -> None:
        """Take it back from all queues in which it was not sent yet."""
        for queue in self._by_app.get(app, ()):
            queue.cancel(coalesce)

    def test(self, app: str, name: str) -> Event:
        """Have a test event sent, and end the wait after failures.

        Raises UnknownWebhook; InvalidRequest when it is offline; Overloaded when it has no room.
        """
        webhook = self._webhooks.get(app, name)
        queue = self._queues[app, name]
        if not queue.is_online:
            hint = "put it online first"
            raise InvalidRequest("the webhook is offline", field="webhook", hint=hint)
        now_ms = self._clock.wall_ms()
        event = Event(
            id=make_id(TEST, app, name, queue.state.next, now_ms),
            type=TEST,
            app=app,
            at_ms=now_ms,
            data={"webhook": webhook.name},
        )
        queue.due_s = 0.0
        if not self._add(app, name, event):
            hint = "its receiver must take what waits first"
            raise Overloaded("the webhook's queue is full", hint=hint)
        return event

    async def report(self, app: str, name: str) -> QueueReport:
        """How a webhook's delivery goes. Raises UnknownWebhook, StoreUnavailable."""
        self._webhooks.get(app, name)
        queue = self._queues[app, name]
        oldest_ms = await queue.oldest_ms()
        age_s = None if oldest_ms is None else max(0, self._clock.wall_ms() - oldest_ms) / 1000
        state = queue.state
        return QueueReport(
            queued=queue.length,
            oldest_age_s=age_s,
            tries=queue.tries,
            failures=state.failures,
            last_status=state.last_status,
            last_failure=state.last_failure,
            last_try_ms=state.last_try_ms,
            lost=state.lost,
        )

    def _event(self, app: str, kind: Kind, data: Mapping[str, Any], biz: str) -> Event:
        epoch = self._store.lineage[-1]
        return event_of(kind, app, data, biz=biz, epoch=epoch, at_ms=self._clock.wall_ms())

    def _add(self, app: str, name: str, event: Event) -> bool:
        """False when there is no such queue, or no room in it."""
        queue = self._queues.get((app, name))
        if queue is None or not queue.is_online:
            return False
        kept = queue.add(encode_waiting(event, ""), "")
        self._ready(queue)
        return kept

    def _queue(self, app: str, name: str) -> EventQueue:
        queue = self._queues.get((app, name))
        if queue is None:
            queue = self._queues[app, name] = EventQueue(
                self._store,
                app,
                name,
                queue_max=self._options.queue_max,
                clock=self._clock,
                metrics=self._metrics,
            )
        return queue

    def _changed(self, app: str, name: str, webhook: Webhook | None) -> None:
        queue = self._queue(app, name)
        if webhook is None:
            queue.is_online = False
            del self._queues[app, name]
        else:
            queue.is_online = webhook.status == "online"
        self._subscribe(app)
        if queue.is_online:
            queue.reopen()
            # Whatever kept its receiver from answering may be what was changed.
            queue.due_s = 0.0
            self._ready(queue)

    def _subscribe(self, app: str) -> None:
        for key in [key for key in self._subscribers if key[0] == app]:
            del self._subscribers[key]
        mine = self._by_app[app] = []
        for webhook in self._webhooks.list(app):
            queue = self._queues.get((app, webhook.name))
            if queue is None:
                continue
            mine.append(queue)
            for kind in webhook.kinds if queue.is_online else ():
                subscriber = (queue, frozenset(webhook.bizzes))
                self._subscribers.setdefault((app, kind), []).append(subscriber)

    async def _clear(self, app: str, name: str) -> bool:
        return await self._queues[app, name].clear()


def _nobody(queue: EventQueue) -> None:
    """Without a courier, events wait."""
