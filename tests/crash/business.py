"""Business servers under load: they publish, and try again until they know.

Strategy: some coroutines, each with the real publishing client over HTTP, but with one try a
call, so that every try is in the history. What was not acknowledged is published again with the
same message ids, whatever the reason; some of what was acknowledged is published once more, and
some is published twice at the same time: both must be harmless (G8).

Invariant: a call is in the history before the server can have heard of it.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence

from mobilesync.domain.channel import Channel
from mobilesync.publishing import (
    AsyncPublisher,
    NotStored,
    OutcomeUnknown,
    Publication,
    Published,
    Retries,
)
from mobilesync.sim import history as h
from mobilesync.sim.chronicle import digest_of
from tests.crash.chronicle import Chronicle, now_ms
from tests.crash.phone import BIZZES

TIMEOUT_S = 5.0
_RETRY_S = 0.1
_AGAIN, _TWICE = 0.04, 0.04
_HABITS = "n" * 38 + "sf"


class Business:
    """All business servers of one run, of one app."""

    def __init__(
        self,
        origin: str,
        key: str,
        app: str,
        targets: Sequence[str],
        chronicle: Chronicle,
        seed: int,
        *,
        think_s: float,
    ) -> None:
        self._app = app
        self._targets = targets
        self._chronicle = chronicle
        self._seed = seed
        self._think_s = think_s
        self._calls = itertools.count(1)
        self._batches = itertools.count(1)
        self._names = itertools.count(1)
        self._tasks: list[asyncio.Task[None]] = []
        self._over = False
        self._publisher = AsyncPublisher(
            origin, app=app, key=key, timeout_s=TIMEOUT_S, retries=Retries(tries=1)
        )
        self.published: list[Publication] = []
        """All that was acknowledged; each counts once."""
        self.refusals: dict[str, int] = {}
        """How often a try was not answered with success, by the error's code."""
        self._moved = asyncio.Event()

    @property
    def acknowledged(self) -> int:
        """How many oplogs were."""
        return len(self.published)

    def begin(self, count: int) -> None:
        """Let `count` of them publish until `finish`."""
        for number in range(count):
            chance = random.Random(f"{self._seed} business {number}")
            self._tasks.append(asyncio.create_task(self._work(chance)))

    async def finish(self) -> None:
        """Begin nothing new, and wait until all that was begun is acknowledged."""
        self._over = True
        await asyncio.gather(*self._tasks)
        self._tasks.clear()

    async def close(self) -> None:
        """End at once. Idempotent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._publisher.close()

    async def until_acknowledged(self, more: int) -> None:
        """Wait for `more` acknowledged items. Raises what a publisher has failed with."""
        enough = self.acknowledged + more
        await self._until(lambda: self.acknowledged >= enough)

    async def until_refused(self, code: str) -> None:
        """Wait until a try is refused with `code` from now on."""
        before = self.refusals.get(code, 0)
        await self._until(lambda: self.refusals.get(code, 0) > before)

    async def publish_last(self) -> dict[str, str]:
        """One more to every channel, without conditions; target by message id."""
        places = itertools.product(BIZZES, self._targets)
        items = [
            Publication(biz, target, "n", message_id=f"last-{next(self._names)}")
            for biz, target in places
        ]
        await self._publish(items, random.Random(self._seed))
        return {item.message_id: item.target for item in items}

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._moved.clear()
            moved = asyncio.create_task(self._moved.wait())
            ended, _ = await asyncio.wait([moved, *self._tasks], return_when="FIRST_COMPLETED")
            moved.cancel()
            for task in ended - {moved}:
                task.result()

    async def _work(self, chance: random.Random) -> None:
        while not self._over:
            count = chance.choice((1, 1, 1, 3, 12))
            await self._publish([self._item(chance) for _ in range(count)], chance)
            await asyncio.sleep(chance.uniform(0, 2 * self._think_s))

    def _item(self, chance: random.Random) -> Publication:
        name = f"m{next(self._names)}"
        filling = "." * chance.choice((0, 0, 0, 20, 300, 3000))
        return Publication(
            biz=chance.choice(BIZZES),
            target=chance.choice(self._targets),
            payload=f"{chance.choice(_HABITS)} {name} {filling}",
            message_id=name,
            os=chance.choice(((), (), (), (), ("ios",), ("android", "web"))),
        )

    async def _publish(self, items: Sequence[Publication], chance: random.Random) -> None:
        fate = chance.random()
        twin = asyncio.create_task(self._try(items)) if fate < _TWICE else None
        while not await self._try(items):
            await asyncio.sleep(chance.uniform(0, 2 * _RETRY_S))
        self.published += items
        self._moved.set()
        if twin is not None:
            await twin
        elif fate < _TWICE + _AGAIN:
            await self._try(items)

    async def _try(self, items: Sequence[Publication]) -> bool:
        calls = self._ask(items)
        try:
            answers = await self._publisher.publish_batch(items)
        except NotStored as error:
            self._refused(error.code or "NO_ANSWER")
            for call in calls:
                self._chronicle.add(h.Denied(now_ms(), call, error.code))
            return False
        except OutcomeUnknown as error:
            self._refused(error.code or "NO_ANSWER")
            for call in calls:
                self._chronicle.add(h.Unanswered(now_ms(), call))
            return False
        self._answered(calls, answers)
        return True

    def _ask(self, items: Sequence[Publication]) -> list[int]:
        batch = next(self._batches) if len(items) > 1 else 0
        calls = []
        for item in items:
            assert isinstance(item.payload, str)
            call = next(self._calls)
            channel = Channel(self._app, item.biz, item.target)
            what = (channel, item.message_id, digest_of(item.payload.encode()))
            asked = h.Asked(now_ms(), call, *what, os=tuple(item.os), batch=batch)
            self._chronicle.add(asked)
            calls.append(call)
        return calls

    def _answered(self, calls: Sequence[int], answers: Sequence[Published]) -> None:
        for call, answer in zip(calls, answers, strict=True):
            self._chronicle.add(h.Answered(now_ms(), call, answer.id, answer.duplicate))

    def _refused(self, code: str) -> None:
        self.refusals[code] = self.refusals.get(code, 0) + 1
        self._moved.set()
