"""Who plays in the demo: a business server that publishes by HTTP, and devices with the real SDK.

Strategy: each writes down what it did or saw, so that the end of the story can compare the two.

Not here: the story (demo.py).
"""

import asyncio
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from mobilesync.cli.development import Development
from mobilesync.cli.listen import development_token
from mobilesync.cli.timeline import Timeline
from mobilesync.client import Client, ReceivedOplog
from mobilesync.publishing import AsyncPublisher, Publication, Published

BIZZES = ("CHAT", "PAYMENT", "FLAGS")
WAIT_S = 20.0

ChannelName = tuple[str, str]
"""Biz and target."""


class Business:
    """The business server: publishes through the HTTP API, and remembers what it published."""

    def __init__(self, publisher: AsyncPublisher, timeline: Timeline, pause_s: float) -> None:
        self._publisher = publisher
        self._pause_s = pause_s
        self._timeline = timeline
        # Another run on the same folder must not look like a repetition of this one.
        self._run = secrets.token_hex(4)
        self.published: dict[ChannelName, list[int]] = {}
        self.began_s: dict[str, float] = {}
        """When the publish of a message id began."""

    async def publish(self, biz: str, target: str, text: str) -> None:
        """One oplog, shown; then a pause in which a person can read."""
        began_s = time.perf_counter()
        message_id = self._message_id(0)
        self.began_s[message_id] = began_s
        published = await self._publisher.publish(biz, target, text, message_id=message_id)
        took_ms = (time.perf_counter() - began_s) * 1000
        self._remember(biz, target, published)
        what = f"publishes {biz} to {target} #{published.id}: {text}"
        self._timeline.tell(
            "business", what, f"durable after {took_ms:.1f} ms", brief=f"{took_ms:.0f} ms"
        )
        await asyncio.sleep(self._pause_s)

    async def publish_many(self, biz: str, target: str, texts: list[str]) -> None:
        """A batch in one request, shown as one line."""
        began_s = time.perf_counter()
        publications = [
            Publication(biz, target, text, message_id=self._message_id(place))
            for place, text in enumerate(texts)
        ]
        self.began_s.update((each.message_id, began_s) for each in publications)
        for published in await self._publisher.publish_batch(publications):
            self._remember(biz, target, published)
        took_ms = (time.perf_counter() - began_s) * 1000
        what = f"publishes {len(texts)} {biz} to {target} in one request"
        self._timeline.tell(
            "business", what, f"durable after {took_ms:.1f} ms", brief=f"{took_ms:.0f} ms"
        )

    def _message_id(self, place: int) -> str:
        return f"demo-{self._run}-{len(self.began_s) + place}"

    def _remember(self, biz: str, target: str, published: Published) -> None:
        self.published.setdefault((biz, target), []).append(published.id)


class Device:
    """One device of one user: an SDK client whose local store outlives it."""

    def __init__(
        self,
        user: str,
        name: str,
        *,
        left: Development,
        folder: Path,
        business: Business,
        timeline: Timeline,
    ) -> None:
        self.user = user
        self.name = name
        self.handled: dict[ChannelName, list[int]] = {}
        """Ids in the order in which the handlers were called."""
        self.latencies_ms: list[float] = []
        """Of what was shown, and published while it was online."""
        self.quiet = False
        """Whether arrivals are counted, but not shown."""
        self._left = left
        self._store = folder / f"{name}.db"
        self._business = business
        self._timeline = timeline
        self._arrived = asyncio.Event()
        self._client: Client | None = None
        self._online_s = 0.0

    @property
    def is_online(self) -> bool:
        """Whether its client runs."""
        return self._client is not None

    def targets(self) -> tuple[str, ...]:
        """What it is to receive."""
        return (f"user:{self.user}", f"device:{self.name}", "everyone")

    async def go_online(self) -> None:
        """Connect, with whatever the local store holds. Raises NotConnected."""
        self._online_s = time.perf_counter()
        client = Client(
            self._left.host,
            self._left.port,
            app=self._left.app,
            device=self.name,
            user=self.user,
            token=development_token(self._left, self.user, self.name),
            store=self._store,
            ca_file=self._left.certificate,
            os="demo",
        )
        for biz in BIZZES:
            client.on(biz)(self._handle)
        self._client = client
        await client.start()
        await client.connected(WAIT_S)
        took_ms = (time.perf_counter() - self._online_s) * 1000
        self._timeline.tell(self.name, "is online", f"TLS and login took {took_ms:.0f} ms")

    async def go_offline(self) -> None:
        """Disconnect; the local store stays."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()
            self._timeline.tell(self.name, "is offline")

    def lacks(self, published: Mapping[ChannelName, list[int]]) -> int:
        """How many oplogs that it should have it does not have."""
        return sum(
            len(ids) - len(self.handled.get(channel, []))
            for channel, ids in published.items()
            if channel[1] in self.targets()
        )

    async def has_all(self, published: Mapping[ChannelName, list[int]]) -> None:
        """Wait until it lacks nothing. Raises TimeoutError."""
        async with asyncio.timeout(WAIT_S):
            while self.lacks(published) > 0:
                self._arrived.clear()
                await self._arrived.wait()

    def _handle(self, oplog: ReceivedOplog) -> None:
        now_s = time.perf_counter()
        self.handled.setdefault((oplog.biz, oplog.target), []).append(oplog.id)
        began_s = self._business.began_s.get(oplog.message_id)
        missed = began_s is None or began_s < self._online_s
        if began_s is None:
            detail = brief = ""
        elif missed:
            detail = brief = f"missed {now_s - began_s:.1f} s ago"
        else:
            took_ms = (now_s - began_s) * 1000
            detail, brief = f"{took_ms:.1f} ms after the publish began", f"{took_ms:.0f} ms"
            if not self.quiet:
                self.latencies_ms.append(took_ms)
        if not self.quiet:
            what = f"handles {oplog.biz} of {oplog.target} #{oplog.id}: {oplog.text}"
            self._timeline.tell(self.name, what, detail, brief=brief)
        self._arrived.set()
