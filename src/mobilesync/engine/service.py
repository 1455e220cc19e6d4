"""The whole service without a network: the composition of the one path.

    publish → append → wake → pump → push → (the device applies) → ack → advance → trim

It runs on whatever asyncio loop is running, with a fixed number of tasks, and reads neither a
clock nor randomness but through its arguments: the simulator runs it as it is.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence

import structlog

from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import Refused
from mobilesync.domain.oplog import Appended, Draft
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.apps import Apps
from mobilesync.engine.attendance import Attendance
from mobilesync.engine.audit import Audit
from mobilesync.engine.configs import SyncConfigs
from mobilesync.engine.consumption import Consumption
from mobilesync.engine.courier import Courier
from mobilesync.engine.delivery import Delivery
from mobilesync.engine.devices import Devices
from mobilesync.engine.evidence import Evidence
from mobilesync.engine.explain import Explainer
from mobilesync.engine.feed import Feed
from mobilesync.engine.forecast import Forecasts
from mobilesync.engine.happenings import Listener
from mobilesync.engine.interventions import Interventions
from mobilesync.engine.login import Authenticator
from mobilesync.engine.metrics import Metrics
from mobilesync.engine.offers import Offers
from mobilesync.engine.options import ServiceOptions
from mobilesync.engine.outbox import Outbox
from mobilesync.engine.outcomes import DUE_MAX, Outcomes
from mobilesync.engine.presence import Presence
from mobilesync.engine.publisher import Publisher
from mobilesync.engine.push_gateway import PushGateway
from mobilesync.engine.receivers import Receivers
from mobilesync.engine.replays import Replays
from mobilesync.engine.scheduler import Scheduler
from mobilesync.engine.session import Session
from mobilesync.engine.sessions import Sessions
from mobilesync.engine.slices import in_slices
from mobilesync.engine.tail import Tail
from mobilesync.engine.ticker import Ticker, pause
from mobilesync.engine.user_check import TICK_S as USER_CHECK_TICK_S
from mobilesync.engine.user_check import Unasked, UserCheck, UserChecks
from mobilesync.engine.wake_ups import WakeUps
from mobilesync.engine.waker import Waker
from mobilesync.engine.webhooks import Webhooks
from mobilesync.storage.contract import Store

log = structlog.get_logger(__name__)

DRAIN_STEP_S = 0.1
TRIM_STEPS_MAX = 1_000
"""Steps of retention in one tick; what is left waits for the next."""


class Service:
    """Publisher, scheduler, sessions and their housekeeping over one store."""

    def __init__(
        self,
        store: Store,
        apps: Apps,
        authenticator: Authenticator,
        *,
        clock: Clock,
        entropy: random.Random,
        options: ServiceOptions | None = None,
        metrics: Metrics | None = None,
        waker: Waker | None = None,
        listener: Listener | None = None,
        gateways: Mapping[str, Sequence[PushGateway]] | None = None,
        audit: Audit | None = None,
        user_check: UserCheck | None = None,
        courier: Courier | None = None,
    ) -> None:
        """`listener` is told what happens: the outbox, unless given, from where `courier` carries
        it to the webhooks; without one it waits there. `gateways` are the push services of each
        app; `audit` is given by who notes in it, too: there is one for one store; `user_check`
        asks the callbacks of those apps that have one."""
        self.store = store
        self.apps = apps
        self.clock = clock
        self.options = options or ServiceOptions()
        self.metrics = metrics or Metrics()
        self.waker = waker or Waker()
        create = self.options.create_biz_on_first_use
        self.audit = audit or Audit(store, clock, self.options.audit)
        self.configs = SyncConfigs(store, create_on_first_use=create, audit=self.audit)
        self._open_outbox(entropy, courier)
        self.listener = listener or self.outbox
        self._lay_path(authenticator, entropy)
        self._gather_company(entropy, gateways or {}, user_check or Unasked())
        self._introduce()
        self._sweep_number = 0
        self._lag_due_s = 0.0
        self._just_woken: dict[str, None] = {}
        """Apps whose sessions were woken in this turn of the loop."""
        self._tickers = [
            Ticker("wheel", self.options.wheel_tick_s, self.sessions.turn_wheel),
            Ticker("sweep", self.options.sweep_interval_s, self._sweep),
            Ticker("trim", self.options.trim_interval_s, self.trim),
            Ticker("wake-ups", self.options.wake_ups.tick_s, self.wake_ups.wake_due),
            Ticker("scheduler", self.options.scheduler.tick_s, self.scheduler.tick),
            Ticker("user-checks", USER_CHECK_TICK_S, self.user_checks.tick),
            Ticker("lag", self.options.lag_interval_s, self._measure_lag),
            Ticker("audit", self.options.audit.prune_interval_s, self._prune_audit),
        ]
        self._add_metrics()

    def _lay_path(self, authenticator: Authenticator, entropy: random.Random) -> None:
        """What an oplog meets on its way: publisher, sessions, and what they share."""
        store, clock, size = self.store, self.clock, self.options.session
        tail = Tail(self.options.tail_bytes)
        feed = Feed(store, tail, push_count=size.push_count, push_bytes=size.push_bytes)
        self.devices = Devices(store)
        self.replays = Replays(store)
        self.outcomes = Outcomes(store, self.listener)
        self.offers = Offers(store, feed, clock, self._append)
        self.attendance = Attendance(
            store, self.configs, self.devices, self.replays, self.offers, clock
        )
        self.sessions = Sessions(
            store,
            authenticator,
            self.configs,
            self.waker,
            feed,
            self.offers,
            self.attendance,
            self.replays,
            clock=clock,
            entropy=entropy,
            options=self.options,
            metrics=self.metrics,
        )
        self.scheduler = Scheduler(
            store,
            self.configs,
            self._append,
            clock=clock,
            options=self.options.scheduler,
            metrics=self.metrics,
        )
        self.publisher = Publisher(
            store,
            self.apps,
            self.configs,
            self.sessions,
            self.waker,
            feed,
            tail,
            self.outcomes,
            self.scheduler,
            clock=clock,
            entropy=entropy,
            limits=self.options.publisher,
            metrics=self.metrics,
        )

    def _gather_company(
        self,
        entropy: random.Random,
        gateways: Mapping[str, Sequence[PushGateway]],
        user_check: UserCheck,
    ) -> None:
        """What stands beside the path: it watches, answers questions, or starts something on it."""
        store, clock, sessions = self.store, self.clock, self.sessions
        self.consumption = Consumption(store, self.configs, clock, self._append)
        self.interventions = Interventions(
            store,
            self.configs,
            self.devices,
            self.replays,
            sessions,
            self._append,
            clock=clock,
            entropy=entropy,
        )
        receivers = Receivers(self.devices)
        evidence = Evidence(store, self.configs, self.devices, sessions, self.offers)
        self.explainer = Explainer(store, evidence, receivers, self.scheduler, clock)
        self.forecasts = Forecasts(
            store, self.publisher, self.scheduler, receivers, sessions, self.configs, clock
        )
        self.wake_ups = WakeUps(
            sessions,
            self.devices,
            self.listener,
            gateways,
            clock,
            self.metrics,
            self.options.wake_ups,
        )
        self.presence = Presence(sessions, self.devices, self.listener, clock)
        self.user_checks = UserChecks(
            user_check,
            self.apps,
            self._judged,
            clock=clock,
            entropy=entropy,
            metrics=self.metrics,
        )

    def _introduce(self) -> None:
        """Who is told of what."""
        self.configs.on_change(self._config_changed)
        self.publisher.on_appended.append(self.wake_ups.appended)
        self.sessions.on_progress += [self.outcomes.progressed, self.consumption.progressed]
        self.attendance.on_arrived += [
            self.presence.arrived,
            self.wake_ups.arrived,
            self.user_checks.ask,
        ]
        self.attendance.on_left.append(self.presence.left)

    def _open_outbox(self, entropy: random.Random, courier: Courier | None) -> None:
        options = self.options.webhooks
        self.webhooks = Webhooks(
            self.store,
            entropy=entropy,
            plain_loopback=options.plain_loopback,
            audit=self.audit,
        )
        self.outbox = Outbox(
            self.store, self.webhooks, clock=self.clock, metrics=self.metrics, options=options
        )
        self._delivery: Delivery | None = None
        if courier is not None:
            self._delivery = Delivery(
                self.outbox,
                self.webhooks,
                courier,
                clock=self.clock,
                entropy=entropy,
                metrics=self.metrics,
                options=options,
            )

    async def start(self) -> None:
        """Begin to serve. The store must be open."""
        await self.configs.load()
        await self.webhooks.load()
        await self.outbox.load()
        if self._delivery is not None:
            self._delivery.start()
        await self.replays.load()
        await self.outcomes.load()
        await self.consumption.start()
        self.wake_ups.start()
        self.presence.start(self.apps.names())
        await self.scheduler.load()
        self.sessions.pump.start(self.options.pump_workers)
        self._lag_due_s = self.clock.monotonic_s() + self.options.lag_interval_s
        for ticker in self._tickers:
            ticker.start()

    async def drain(self, spread_s: float) -> None:
        """Send all devices away within `spread_s`, advising them to come back spread over as
        long again. New connections are refused likewise. The publisher goes on.
        """
        spread_ms = round(spread_s * 1000)
        steps = max(1, round(spread_s / DRAIN_STEP_S))
        each = len(self.sessions) // steps + 1
        while self.sessions.drain(spread_ms, each):
            await pause(DRAIN_STEP_S)

    async def stop(self) -> None:
        """End all sessions and housekeeping. The store stays open: it is its opener's to close."""
        for ticker in self._tickers:
            await ticker.stop()
        await self.presence.stop()
        await self.wake_ups.stop()
        await self.consumption.stop()
        await self.scheduler.stop()
        await self.user_checks.stop()
        await self.sessions.stop()
        await self.publisher.stop()
        if self._delivery is not None:
            await self._delivery.stop()

    async def trim(self) -> None:
        """Forget what has ended, step by step, until the store has been gone through once."""
        # First, for what is trimmed takes its proof with it.
        self._settle_outcomes()
        for _ in range(TRIM_STEPS_MAX):
            try:
                report = await self.store.trim(self.clock.wall_ms(), self.options.trim_channels)
            except Refused as refusal:
                log.warning("trim_refused", reason=refusal.hint)
                return
            self.metrics.oplogs_trimmed += report.oplogs
            if report.finished:
                return
            await pause(0)

    async def _append(self, drafts: Sequence[Draft]) -> list[Appended]:
        return await self.publisher.append(drafts)

    def _judged(self, session: Session, valid: bool) -> None:
        if valid:
            self.sessions.validated(session)

    def _settle_outcomes(self) -> None:
        while self.outcomes.settle(self.clock.wall_ms()) == DUE_MAX:
            continue

    async def _sweep(self) -> None:
        """Heal lost wakes: have some sessions look at their channels unasked."""
        slices = self.options.sweep_slices
        some = self.sessions.slice(self._sweep_number, slices)
        self._sweep_number += 1
        self.metrics.sweeps += len(some)
        in_slices(some, self.sessions.wake_all_targets)

    async def _measure_lag(self) -> None:
        now_s = self.clock.monotonic_s()
        self.metrics.loop_lag_s.observe(max(0.0, now_s - self._lag_due_s))
        self._lag_due_s = now_s + self.options.lag_interval_s

    def _config_changed(self, app: str, config: SyncConfig | None) -> None:
        # Only what was withheld before can be news; going offline is none.
        if config is not None and config.status != "online":
            return
        # Once for all changes of one commit: hundreds of bizzes times all sessions are millions.
        # All of them are in memory already, so what is woken by the first one sees the others.
        if app not in self._just_woken:
            self._just_woken[app] = None
            asyncio.get_running_loop().call_soon(self._just_woken.pop, app)
            self.sessions.wake_app(app)

    async def _prune_audit(self) -> None:
        await self.audit.prune(self.apps.names())

    def _add_metrics(self) -> None:
        metrics, store = self.metrics, self.store
        metrics.gauge("mobilesync_sessions", "connections held", lambda: len(self.sessions))
        metrics.gauge(
            "mobilesync_oldest_unacked_seconds",
            "age of the oldest push that no ack has answered",
            self.sessions.oldest_unacked_s,
        )
        metrics.counter("mobilesync_commits_total", "group commits", lambda: store.stats().commits)
        metrics.counter(
            "mobilesync_committed_oplogs_total",
            "oplogs in group commits",
            lambda: store.stats().committed,
        )
        metrics.counter(
            "mobilesync_commit_seconds_total",
            "time spent in group commits",
            lambda: store.stats().commit_s,
        )
        metrics.gauge(
            "mobilesync_store_queued", "drafts waiting to be stored", lambda: store.stats().queued
        )
        metrics.gauge(
            "mobilesync_store_disk_bytes", "size of the store", lambda: store.stats().disk_bytes
        )
        metrics.gauge(
            "mobilesync_store_failed",
            "1 when the store takes no more writes",
            lambda: float(bool(store.stats().failed)),
        )
