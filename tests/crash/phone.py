"""An app on a phone: the real SDK over TLS, whose handlers write down each call.

Strategy: payloads begin with a letter that tells the handler what to do, so that chance stays with
whoever publishes: `n` nothing special, `s` take a moment, `f` fail at the first attempt. Bizzes in
`TRANSACTIONAL` work inside the SDK's transaction: their effect must happen exactly once.

Not here: when it dies (recorded_store.py), the process that it lives in (phones.py).
"""

import asyncio
from pathlib import Path

from msgspec import Struct

from mobilesync.client import Client, ClientEvent, ClientOptions, ReceivedOplog, Stopped
from mobilesync.client.clock import SystemClock
from mobilesync.client.transaction import Transaction
from mobilesync.domain.channel import Channel
from mobilesync.engine.tokens import sign_token
from mobilesync.sim import history as h
from mobilesync.sim.chronicle import digest_of
from tests.crash.chronicle import Chronicle, now_ms
from tests.crash.recorded_store import Fate, RecordedStore

BIZZES = ("CHAT", "PAY")
TRANSACTIONAL = "PAY"
OPTIONS = ClientOptions(
    reconnect_s=0.1,
    reconnect_max_s=0.4,
    connect_timeout_s=10,
    handler_backoff_s=0.05,
    handler_backoff_max_s=0.2,
    attempts_max=1000,
)
"""Impatient, so that a round is short; and never parked: then what is not handled is a finding."""
_SLOW_S = 0.05
_TOKEN_MS = 3600 * 1000


class Door(Struct, frozen=True):
    """How a device reaches the server."""

    port: int
    certificate: str
    app: str
    secret: str


class Plan(Struct, frozen=True):
    """A device."""

    device: str
    user: str
    os: str
    app_version: str = "1.0"

    def name(self, app: str) -> str:
        """As histories call it."""
        return f"{app}/{self.device}"

    def targets(self) -> tuple[str, ...]:
        """Whose oplogs it gets."""
        user = (f"user:{self.user}",) if self.user else ()
        return (*user, f"device:{self.device}", "everyone")


class HandlerTrouble(Exception):
    """What a handler fails with when it is told to."""


class Phone:
    """One life of one device."""

    def __init__(
        self, plan: Plan, door: Door, folder: Path, chronicle: Chronicle, fate: Fate
    ) -> None:
        self._plan = plan
        self._door = door
        self._chronicle = chronicle
        self._fate = fate
        self._name = plan.name(door.app)
        self._is_new = not store_path(folder, plan).exists()
        self._store = RecordedStore(
            store_path(folder, plan), app=door.app, device=plan.device, fate=fate
        )
        self._is_closing = False
        self.troubles: list[str] = []
        """What must not happen to a client that does nothing wrong."""
        self._client = Client(
            "127.0.0.1",
            door.port,
            app=door.app,
            device=plan.device,
            store=self._store,
            token=self._token,
            user=plan.user,
            os=plan.os,
            app_version=plan.app_version,
            ca_file=door.certificate,
            options=OPTIONS,
        )
        for biz in BIZZES:
            if biz == TRANSACTIONAL:
                self._client.on(biz, transactional=True)(self._handle_in_transaction)
            else:
                self._client.on(biz)(self._handle)
        self._client.on_state(self._changed)

    async def start(self) -> None:
        plan = self._plan
        if self._is_new:
            self._chronicle.add(h.Installed(now_ms(), self._name))
        started = h.DeviceStarted(now_ms(), self._name, plan.os, plan.app_version)
        self._chronicle.add(started)
        self._chronicle.add(h.LoggedIn(now_ms(), self._name, plan.user))
        await self._client.start()

    async def close(self) -> None:
        self._is_closing = True
        await self._client.close()
        self._store.close()

    def _token(self) -> str:
        issued_at_ms = SystemClock().wall_ms()
        return sign_token(
            self._door.secret,
            app=self._door.app,
            user=self._plan.user,
            device=self._plan.device,
            issued_at_ms=issued_at_ms,
            expires_at_ms=issued_at_ms + _TOKEN_MS,
        )

    def _changed(self, event: ClientEvent) -> None:
        if isinstance(event, Stopped) and not self._is_closing:
            self.troubles.append(f"{self._name} stopped: {event}")

    async def _handle(self, oplog: ReceivedOplog) -> None:
        await self._work(oplog)

    async def _handle_in_transaction(self, oplog: ReceivedOplog, local: Transaction) -> None:
        row = (f"{oplog.biz} {oplog.target}", oplog.epoch, oplog.id)
        local.execute("INSERT INTO done VALUES (?, ?, ?)", row)
        await self._work(oplog)

    async def _work(self, oplog: ReceivedOplog) -> None:
        channel = Channel(self._door.app, oplog.biz, oplog.target)
        of = (self._name, channel, oplog.id, oplog.message_id)
        began = h.HandlerBegan(now_ms(), *of, digest_of(oplog.payload), oplog.epoch)
        self._chronicle.add(began)
        habit = oplog.payload[:1]
        self._fate.pass_by("handler", "inside")
        if habit == b"s":
            await asyncio.sleep(_SLOW_S)
        if habit == b"f" and oplog.attempt == 1:
            self._chronicle.add(h.HandlerFailed(now_ms(), *of))
            raise HandlerTrouble
        self._chronicle.add(h.HandlerFinished(now_ms(), *of, oplog.epoch))
        self._fate.pass_by("handler", "after")


def store_path(folder: Path, plan: Plan) -> Path:
    """Where a device keeps what it has."""
    return folder / f"{plan.device}.sqlite"
