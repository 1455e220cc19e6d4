"""The simulated operator: changes rules, recalls, rewinds and offers, and retries until it knows.

Strategy: as the publisher (publisher.py), one task for each wish. What is asked for is an oplog or
a sync point that the operator has seen in an answer; it may be gone by now, which ends the wish.

Invariant: every call is in the history before the service hears of it, and its end after.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import InvalidRequest, MobilesyncError, OutcomeUnknown
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.service import Service
from mobilesync.sim import history as h
from mobilesync.sim.chronicle import Chronicle
from mobilesync.sim.loop import VirtualLoop, pause
from mobilesync.sim.server import NoAnswer, SimServer

FIRST_CALL = 1_000_000
"""Calls of operators have numbers of their own."""
GIVE_UP_S = 10.0

_Work = Callable[[Service], Awaitable[Any]]
_Ask = Callable[[int], h.Fact]
_Tell = Callable[[int, Any], h.Done]


class SimOperator:
    """All wishes of one run."""

    def __init__(
        self, loop: VirtualLoop, rng: random.Random, server: SimServer, chronicle: Chronicle
    ) -> None:
        self._loop = loop
        self._rng = rng
        self._server = server
        self._chronicle = chronicle
        self._calls = FIRST_CALL
        self._tasks: dict[asyncio.Task[None], None] = {}
        self.rules: dict[tuple[str, str], SyncConfig] = {}
        """What this operator wanted last, for each biz."""

    def busy(self) -> int:
        """Wishes that have not come to their end."""
        return len(self._tasks)

    async def settled(self) -> None:
        """Returns when every wish has come to its end."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def put_rules(self, app: str, rules: SyncConfig) -> None:
        """Have the biz's rules changed; a later wish for the same biz takes its place."""
        self.rules[app, rules.biz] = rules

        async def work(service: Service) -> None:
            await service.configs.put(app, rules)

        self._begin(
            lambda call: h.RulesAsked(self._now_ms(), call, app, rules),
            work,
            lambda call, _: h.Done(self._now_ms(), call),
            lambda: self.rules[app, rules.biz] is rules,
        )

    def recall(self, channel: Channel, oplog_id: int) -> None:
        """Have an oplog recalled."""

        async def work(service: Service) -> Any:
            return await service.interventions.recall(channel, oplog_id)

        self._begin(
            lambda call: h.RecallAsked(self._now_ms(), call, channel, oplog_id),
            work,
            lambda call, recalled: h.Done(self._now_ms(), call, channel.target, recalled.by_id),
        )

    def rewind(self, channel: Channel, device: str, to: int) -> None:
        """Have a device's sync point put back."""

        async def work(service: Service) -> Any:
            return await service.interventions.replay(channel, device, to)

        self._begin(
            lambda call: h.RewindAsked(
                self._now_ms(), call, channel, f"{channel.app}/{device}", to
            ),
            work,
            lambda call, replayed: h.Done(
                self._now_ms(), call, channel.target, replayed.floor, replayed.received_before
            ),
        )

    def offer(self, channel: Channel, oplog_id: int, device: str) -> None:
        """Have an oplog offered to a device again."""

        async def work(service: Service) -> Any:
            return await service.interventions.offer_again(channel, oplog_id, device)

        self._begin(
            lambda call: h.OfferAsked(
                self._now_ms(), call, channel, oplog_id, f"{channel.app}/{device}"
            ),
            work,
            lambda call, offered: h.Done(self._now_ms(), call, offered.target, offered.id),
        )

    def _begin(
        self,
        ask: _Ask,
        work: _Work,
        tell: _Tell,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        task = self._loop.create_task(self._carry_out(ask, work, tell, is_wanted))
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._tasks[task]

    async def _carry_out(
        self, ask: _Ask, work: _Work, tell: _Tell, is_wanted: Callable[[], bool]
    ) -> None:
        wait_s = 0.2
        while is_wanted() and not await self._call(ask, work, tell):
            await pause(wait_s * (0.5 + self._rng.random()))
            wait_s = min(4.0, wait_s * 2)

    async def _call(self, ask: _Ask, work: _Work, tell: _Tell) -> bool:
        """One attempt; whether no other is needed."""
        self._calls += 1
        call = self._calls
        add = self._chronicle.add
        add(ask(call))
        try:
            answer = await self._server.ask(work, give_up_s=GIVE_UP_S)
        except InvalidRequest as error:
            add(h.Denied(self._now_ms(), call, error.code))
            return True
        except (NoAnswer, OutcomeUnknown):
            add(h.Unanswered(self._now_ms(), call))
            return False
        except MobilesyncError as error:
            add(h.Denied(self._now_ms(), call, error.code))
            return False
        add(tell(call, answer))
        return True

    def _now_ms(self) -> int:
        return self._chronicle.now_ms()
