"""Receivers of webhooks for the tests of the engine, and an outbox that delivers to them.

`Receivers` is the network: each address answers as a test wants. What it is given is checked as a
receiver would, by its signature.
"""

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from mobilesync.engine.courier import NotDelivered
from mobilesync.engine.delivery import Delivery
from mobilesync.engine.event_queue import EventQueue
from mobilesync.engine.happenings import Kind
from mobilesync.engine.metrics import Metrics
from mobilesync.engine.options import WebhookOptions
from mobilesync.engine.outbox import Outbox
from mobilesync.engine.webhooks import Webhook, Webhooks
from mobilesync.publishing import verify_webhook
from mobilesync.sim.clock import SimClock
from mobilesync.sim.loop import VirtualLoop
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.engine.world import APP, EPOCH, Gate

SECRET = "whsec_" + "c2VjcmV0" * 4
HANG, REFUSE = "hang", "refuse"
Answer = int | str | Gate


def numbered(number: int) -> dict[str, Any]:
    """What is told of a fact that is like no other number's."""
    return {"number": number, "id": number, "ids": [[number, number]]}


@dataclass
class Post:
    """One request that came."""

    at_s: float
    webhook: str
    request_id: str
    events: list[dict[str, Any]]
    accepted: bool = False

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.events]


@dataclass
class Receivers:
    """Every receiver there is, by address. Fits Courier."""

    posts: list[Post] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    """What an address answers next; 200 when nothing is said."""
    always: dict[str, Answer] = field(default_factory=dict)
    under_way: dict[str, int] = field(default_factory=dict)

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        now_s = SimClock(loop).wall_ms() / 1000
        checked = verify_webhook(SECRET, headers, body, now_s=now_s)
        events = json.loads(body)["events"]
        post = Post(loop.time(), checked.webhook, headers["webhook-id"], events)
        self.posts.append(post)
        assert not self.under_way.get(url), "one delivery at a time"
        self.under_way[url] = 1
        try:
            status = await self._answer(url, timeout_s)
            post.accepted = 200 <= status < 300
            return status
        finally:
            self.under_way[url] = 0

    async def _answer(self, url: str, timeout_s: float) -> int:
        left = self.answers.get(url)
        answer = left.pop(0) if left else self.always.get(url, 200)
        if answer == HANG:
            await asyncio.sleep(timeout_s)
            raise NotDelivered("no answer in time")
        if answer == REFUSE:
            raise NotDelivered("nobody is there")
        if isinstance(answer, Gate):
            await answer.passed()
            return 200
        assert isinstance(answer, int)
        return answer

    def got(self, webhook: str = "hook") -> list[dict[str, Any]]:
        """Every event that came to a webhook, as often as it came."""
        return [event for post in self.posts if post.webhook == webhook for event in post.events]

    def numbers(self, webhook: str = "hook") -> list[int]:
        """The numbers of `World.put`, as they came."""
        return [e["data"]["number"] for e in self.got(webhook) if "number" in e["data"]]


class Hooks:
    """An outbox over a store, with its webhooks, and the delivery to `receivers`."""

    def __init__(
        self,
        receivers: Receivers | None = None,
        *,
        disk: Disk | None = None,
        store: MemoryStore | None = None,
        **options: Any,
    ) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.clock = SimClock(loop)
        self.disk = disk or Disk((EPOCH,))
        self.store = store or MemoryStore(self.disk)
        self.receivers = receivers or Receivers()
        self.metrics = Metrics()
        self.webhooks = Webhooks(self.store, entropy=random.Random(1))
        chosen = replace(WebhookOptions(), **options)
        self.outbox = Outbox(
            self.store,
            self.webhooks,
            clock=self.clock,
            metrics=self.metrics,
            options=chosen,
        )
        self.delivery = Delivery(
            self.outbox,
            self.webhooks,
            self.receivers,
            clock=self.clock,
            entropy=random.Random(2),
            metrics=self.metrics,
            options=chosen,
        )
        self.count = 0
        self.crashed = False

    async def __aenter__(self) -> Self:
        await self.webhooks.load()
        await self.outbox.load()
        self.delivery.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.delivery.stop()
        if not self.crashed:
            await self.store.close()

    async def crash(self) -> None:
        """End as a killed process does: what was only noted is gone."""
        self.crashed = True
        self.store.kill()
        await self.delivery.stop()

    async def hook(self, name: str = "hook", *kinds: Kind, app: str = APP, **more: Any) -> str:
        """Create or change a webhook; answers its address."""
        url = more.pop("url", f"https://{app}.example/{name}")
        chosen = kinds or ("oplog.delivered",)
        webhook = Webhook(name=name, url=url, kinds=chosen, secret=SECRET, **more)
        await self.webhooks.put(app, webhook)
        return str(url)

    def put(
        self,
        count: int = 1,
        *,
        app: str = APP,
        kind: Kind = "oplog.delivered",
        biz: str = "CHAT",
        coalesce: str = "",
    ) -> list[int]:
        """Put events with the next numbers."""
        numbers = list(range(self.count + 1, self.count + count + 1))
        self.count += count
        for number in numbers:
            self.outbox.put(app, kind, numbered(number), biz=biz, coalesce=coalesce)
        return numbers

    def queue(self, name: str = "hook", app: str = APP) -> EventQueue:
        return next(q for q in self.outbox.queues() if (q.app, q.name) == (app, name))

    def waiting(self, name: str = "hook", app: str = APP) -> int:
        """How many documents wait for a webhook on the disk."""
        kind = f"outbox/{app}/{name}"
        return sum(of == kind for of, _ in self.disk.documents)
