"""The simulated business server: publishes, and retries until it knows.

Strategy: each publication is a task that calls, and calls again with the same message id while the
answer is missing or a refusal: what the HTTP API's clients are told to do. Some are published once
more although they were answered, and some twice at the same time: both must be harmless (G8).

Invariant: every call is in the history before the service hears of it, and its end after.
"""

import asyncio
import random
from collections.abc import Sequence

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Rollout
from mobilesync.domain.errors import InvalidRequest, MobilesyncError, OutcomeUnknown
from mobilesync.engine.publication import Publication
from mobilesync.sim import history as h
from mobilesync.sim.chronicle import Chronicle, digest_of
from mobilesync.sim.loop import VirtualLoop, pause
from mobilesync.sim.server import NoAnswer, SimServer

LATENCY_S = 0.02
GIVE_UP_S = 10.0
ANSWERED_MAX = 1_000


class SimPublisher:
    """All publishes of one run."""

    def __init__(
        self, loop: VirtualLoop, rng: random.Random, server: SimServer, chronicle: Chronicle
    ) -> None:
        self._loop = loop
        self._rng = rng
        self._server = server
        self._chronicle = chronicle
        self._calls = 0
        self._batches = 0
        self._tasks: dict[asyncio.Task[None], None] = {}
        self.lose_answers = 0.0
        """How many answers are lost on their way."""
        self.hang_up_s = GIVE_UP_S
        self.answered: list[tuple[Channel, int]] = []
        """What an operator may know of: oplogs by channel and id, as they were answered."""

    def begin(self, app: str, publications: Sequence[Publication]) -> None:
        """Publish in a task of its own, until every item is known to be stored or invalid."""
        task = self._loop.create_task(self._publish(app, publications))
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def busy(self) -> int:
        """Publishes that have not come to their end."""
        return len(self._tasks)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._tasks[task]

    async def _publish(self, app: str, publications: Sequence[Publication]) -> None:
        again = self._rng.random()
        if again < 0.05:
            # Twice at once, as two workers of one job queue would.
            twin = self._loop.create_task(self._call(app, publications))
        else:
            twin = None
        wait_s = 0.2
        while not await self._call(app, publications):
            await pause(wait_s * (0.5 + self._rng.random()))
            wait_s = min(4.0, wait_s * 2)
        if 0.05 <= again < 0.15:
            await pause(self._rng.random() * 20)
            await self._call(app, publications)
        if twin is not None:
            await twin

    async def _call(self, app: str, publications: Sequence[Publication]) -> bool:
        """One attempt; whether no other is needed."""
        calls = self._ask(app, publications)
        now_ms = self._chronicle.now_ms
        await pause(self._rng.random() * LATENCY_S)
        try:
            published = await self._server.publish(app, publications, give_up_s=self.hang_up_s)
        except InvalidRequest as error:
            # Its validity may have ended while it was retried.
            for call in calls:
                self._chronicle.add(h.Denied(now_ms(), call, error.code))
            return True
        except (NoAnswer, OutcomeUnknown):
            for call in calls:
                self._chronicle.add(h.Unanswered(now_ms(), call))
            return False
        except MobilesyncError as error:
            for call in calls:
                self._chronicle.add(h.Denied(now_ms(), call, error.code))
            return False
        await pause(self._rng.random() * LATENCY_S)
        if self._rng.random() < self.lose_answers:
            for call in calls:
                self._chronicle.add(h.Unanswered(now_ms(), call))
            return False
        for call, item, answer in zip(calls, publications, published, strict=True):
            fact = h.Answered(now_ms(), call, answer.id, answer.duplicate)
            self._chronicle.add(fact)
            if answer.id and len(self.answered) < ANSWERED_MAX:
                self.answered.append((Channel(app, item.biz, item.target), answer.id))
        return True

    def _ask(self, app: str, publications: Sequence[Publication]) -> list[int]:
        calls: list[int] = []
        self._batches += 1
        batch = self._batches if len(publications) > 1 else 0
        for item in publications:
            self._calls += 1
            self._chronicle.add(self._asked(app, item, batch))
            calls.append(self._calls)
        return calls

    def _asked(self, app: str, item: Publication, batch: int) -> h.Asked:
        salt = item.rollout_salt or item.biz
        return h.Asked(
            self._chronicle.now_ms(),
            self._calls,
            Channel(app, item.biz, item.target),
            item.message_id,
            digest_of(item.payload),
            item.valid_until_ms or 0,
            item.os,
            item.app_version_min,
            item.app_version_max,
            # When it is stored has nothing to do with the others.
            0 if item.valid_from_ms else batch,
            item.users,
            item.user_number_min,
            item.user_number_max,
            tuple((name, tuple(values)) for name, values in item.attributes.items()),
            Rollout(item.rollout_percent, salt) if item.rollout_percent < 100 else None,
            item.key,
            item.valid_from_ms or 0,
        )
