"""The simulated app: the code that a developer would write around the SDK.

Strategy: handlers write down that they began and finished, and behave as the payload says: its
first byte is n for nothing special, s to take some time, f to fail at first, h to hang at first,
p to fail always. One biz works inside the SDK's local transaction. Tokens come from a callable that
may have trouble.

Not here: when the app runs (device.py).
"""

import random
from collections.abc import Awaitable, Callable

from mobilesync.client.client import Client
from mobilesync.client.events import ReceivedNotice, ReceivedOplog, WithdrawnOplogs
from mobilesync.client.transaction import Transaction
from mobilesync.domain.channel import Channel
from mobilesync.sim import history as h
from mobilesync.sim.chronicle import Chronicle, digest_of
from mobilesync.sim.clock import true_ms
from mobilesync.sim.device_store import Deadly
from mobilesync.sim.loop import VirtualLoop, pause
from mobilesync.sim.scenario import DevicePlan

TRANSACTIONAL_BIZ = "PAY"
DONE_TABLE = "CREATE TABLE IF NOT EXISTS done (target TEXT, epoch INTEGER, id INTEGER)"
HOUR_MS = 3_600_000


class AppTrouble(Exception):
    """What the app's own code fails with: a handler, or its token callable."""


class App:
    """One device's app, through all its lives."""

    def __init__(
        self, plan: DevicePlan, loop: VirtualLoop, rng: random.Random, chronicle: Chronicle
    ) -> None:
        self.plan = plan
        self.name = f"{plan.app}/{plan.device}"
        self._loop = loop
        self._rng = rng
        self._chronicle = chronicle
        self.deadly: Deadly | None = None
        """Of the life that runs."""
        self.token_ms = HOUR_MS
        """How long a token is good."""
        self.token_trouble = False

    def register(self, client: Client, bizzes: tuple[str, ...]) -> None:
        """Register handlers for `bizzes`."""
        for biz in bizzes:
            if biz == TRANSACTIONAL_BIZ:
                client.on(biz, transactional=True)(self._handle_in_transaction)
            else:
                client.on(biz)(self._handle)
            client.on_withdrawn(biz)(self._withdrawn)

    def notice(self, notice: ReceivedNotice) -> None:
        """The handler of notices."""
        self._chronicle.say(self.name, f"notice {digest_of(notice.payload)}")

    def _withdrawn(self, withdrawn: WithdrawnOplogs) -> None:
        channel = Channel(self.plan.app, withdrawn.biz, withdrawn.target)
        told = (channel, withdrawn.epoch, withdrawn.ranges, withdrawn.reason)
        self._chronicle.add(h.ToldWithdrawn(self._chronicle.now_ms(), self.name, *told))

    def token_source(self, user: str) -> Callable[[], Awaitable[str]]:
        """The token callable for `user`."""
        return lambda: self._token(user)

    async def _token(self, user: str) -> str:
        if self.token_trouble:
            await pause(self._rng.random() * 60)
            raise AppTrouble
        expires_at_ms = true_ms(self._loop) + self.token_ms
        return f"{self.plan.app}|{user}|{self.plan.device}|{expires_at_ms}"

    async def _handle(self, oplog: ReceivedOplog) -> None:
        await self._work(oplog)
        self._finished(oplog)

    async def _handle_in_transaction(self, oplog: ReceivedOplog, local: Transaction) -> None:
        row = (oplog.target, oplog.epoch, oplog.id)
        local.execute("INSERT INTO done VALUES (?, ?, ?)", row)
        await self._work(oplog)
        self._finished(oplog)

    async def _work(self, oplog: ReceivedOplog) -> None:
        channel = Channel(self.plan.app, oplog.biz, oplog.target)
        named = (oplog.id, oplog.message_id)
        digest = digest_of(oplog.payload)
        self._chronicle.add(
            h.HandlerBegan(
                self._chronicle.now_ms(), self.name, channel, *named, digest, oplog.epoch
            )
        )
        habit = oplog.payload[:1]
        if habit == b"s":
            await pause(self._rng.random() * 2)
        if habit == b"h" and oplog.attempt == 1:
            await pause(HOUR_MS / 1000)
        deadly = self.deadly
        if deadly is not None and deadly.at("handler", "inside"):
            deadly.die()
        if habit == b"p" or (habit == b"f" and oplog.attempt <= 2):
            self._chronicle.add(
                h.HandlerFailed(self._chronicle.now_ms(), self.name, channel, *named)
            )
            raise AppTrouble

    def _finished(self, oplog: ReceivedOplog) -> None:
        channel = Channel(self.plan.app, oplog.biz, oplog.target)
        named = (oplog.id, oplog.message_id, oplog.epoch)
        self._chronicle.add(h.HandlerFinished(self._chronicle.now_ms(), self.name, channel, *named))
        deadly = self.deadly
        if deadly is not None and deadly.at("handler", "after"):
            deadly.die()
