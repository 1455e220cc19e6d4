"""Forecasts: whom a publish would reach, told without publishing it.

Strategy: the publication is checked as a publish checks it, then judged for every known device that
its target means, by the very rules that the pump judges with: a living session as it is, any other
device as it was when it was here last. Devices are read page by page with a pause after each, so
that a walk over a hundred thousand of them holds up nobody.

Not here: HTTP (api/dry_run.py).

Invariants:
- nothing is stored, sent, created or counted against the app's rate;
- `devices` = `online` + `offline` + all of `refused`; what is withheld is among the online ones;
- at most RUNNING_MAX walks at a time, over at most DEVICES_MAX devices each.
"""

from collections import Counter

from msgspec import Struct, field, structs

from mobilesync.domain.channel import is_user_target, user_target
from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import Overloaded
from mobilesync.domain.oplog import Oplog, oplog_of
from mobilesync.domain.reasons import Reason
from mobilesync.domain.rules import Look, Viewer, refusal, withheld
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.configs import SyncConfigs
from mobilesync.engine.devices import KnownDevice
from mobilesync.engine.publication import Checked, Publication
from mobilesync.engine.publisher import Publisher
from mobilesync.engine.receivers import Receivers
from mobilesync.engine.scheduler import Scheduler
from mobilesync.engine.session import Session
from mobilesync.engine.sessions import Sessions
from mobilesync.engine.ticker import pause
from mobilesync.storage.contract import Store

RUNNING_MAX = 2
DEVICES_MAX = 500_000
PAGE = 128
"""At up to 20 us each, read and judged: 3 ms before others have their turn."""
SAMPLES_MAX = 10


class Sample(Struct, frozen=True):
    """One device that would get it."""

    device: str
    user: str
    online: bool


class Forecast(Struct):
    """What a publish would do."""

    due_ms: int
    """When it would be appended; 0 for now."""
    expires_at_ms: int
    duplicate_of: int = 0
    """The oplog that has its message id already; 0 for none."""
    is_scheduled_already: bool = False
    """Whether one with its message id is scheduled already."""
    devices: int = 0
    """Known devices that the target means."""
    online: int = 0
    """Of those, connected ones that get it."""
    offline: int = 0
    """Of those, others that get it when they connect."""
    refused: Counter[Reason] = field(default_factory=Counter)
    """Those that do not get it, by the reason."""
    withheld: Counter[Reason] = field(default_factory=Counter)
    """Connected ones that get it later, by what withholds it now."""
    samples: list[Sample] = field(default_factory=list)
    """Some that get it."""
    is_complete: bool = True
    """False when there are more devices than are looked at."""


class Forecasts:
    """Makes them."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        scheduler: Scheduler,
        receivers: Receivers,
        sessions: Sessions,
        configs: SyncConfigs,
        clock: Clock,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._scheduler = scheduler
        self._receivers = receivers
        self._sessions = sessions
        self._configs = configs
        self._clock = clock
        self._running = 0

    async def of(self, app: str, publication: Publication) -> Forecast:
        """What a publish of `publication` would do now.

        Raises what Publisher.check raises, Overloaded when too many are made, StoreUnavailable.
        """
        checked = self._publisher.check(app, publication)
        if self._running >= RUNNING_MAX:
            hint = f"at most {RUNNING_MAX} at the same time"
            raise Overloaded("too many dry runs", retry_after_s=2, hint=hint)
        self._running += 1
        try:
            return await self._make(checked)
        finally:
            self._running -= 1

    async def _make(self, checked: Checked) -> Forecast:
        draft = checked.draft
        channel = draft.channel
        forecast = Forecast(checked.due_ms, draft.expires_at_ms)
        if not checked.is_notice:
            forecast.duplicate_of = await self._store.find(channel, draft.message_id)
            waiting = await self._scheduler.find(channel, draft.message_id)
            forecast.is_scheduled_already = waiting is not None
        judge = _Judge(checked, self._configs.find(channel.app, channel.biz), self._now_ms(checked))
        after = ""
        while forecast.is_complete:
            page = await self._receivers.page(channel, after, PAGE)
            for known in page:
                judge.count(forecast, known, self._session(channel.app, known.device))
            if len(page) < PAGE:
                break
            after = page[-1].device
            forecast.is_complete = forecast.devices < DEVICES_MAX
            await pause(0)
        return forecast

    def _now_ms(self, checked: Checked) -> int:
        return checked.due_ms or self._clock.wall_ms()

    def _session(self, app: str, device: str) -> tuple[Session | None, bool]:
        session = self._sessions.of_device(app, device)
        return session, session is not None and self._sessions.is_newest(session)


class _Judge:
    """Judges one oplog that is not there yet."""

    def __init__(self, checked: Checked, config: SyncConfig | None, now_ms: int) -> None:
        self._channel = checked.draft.channel
        self._oplog: Oplog = oplog_of(checked.draft, 0)
        self._is_notice = checked.is_notice
        self._config = config
        self._look = Look(now_ms)

    def count(
        self, forecast: Forecast, known: KnownDevice, living: tuple[Session | None, bool]
    ) -> None:
        """Add one device to `forecast`."""
        session, is_newest = living
        viewer = _viewer(known, session)
        forecast.devices += 1
        reason = self._refusal(viewer, is_online=session is not None)
        waits: Reason | None = None
        if session is not None:
            viewer = structs.replace(viewer, is_newest=is_newest)
            waits = withheld(self._config, self._channel, viewer)
        if reason is None and self._is_notice:
            # It does not wait.
            reason = waits
        if reason is not None:
            forecast.refused[reason] += 1
            return
        if waits is not None:
            forecast.withheld[waits] += 1
        forecast.online += session is not None
        forecast.offline += session is None
        if len(forecast.samples) < SAMPLES_MAX:
            sample = Sample(known.device, viewer.user, session is not None)
            forecast.samples.append(sample)

    def _refusal(self, viewer: Viewer, *, is_online: bool) -> Reason | None:
        target = self._channel.target
        if is_user_target(target) and target != user_target(viewer.user):
            return Reason.WRONG_USER
        if self._is_notice and not is_online:
            return Reason.NOT_KEPT
        return refusal(self._oplog, viewer, self._look)


def _viewer(known: KnownDevice, session: Session | None) -> Viewer:
    if session is not None:
        return session.viewer
    return Viewer(known.device, known.user, known.conditions_see)
