"""Wake-ups: a device that is not connected is asked to come, when something is there for it.

Strategy: an append notes its target; a moment later, whoever of the target still has no session is
woken: the app's webhook is told which devices, and each device's push service is asked, by the
token that the device named among its attributes (`apns_token`, `fcm_token`). Nothing of any oplog
goes along. Targets are merged: one that was woken is left alone until one of its devices has come,
or `again_after_s` has passed. `everyone` wakes nobody, for that would be a storm.

A wake-up is help and no duty: what a crash, a full queue or a push service loses costs time only,
since the device comes by itself some day and gets everything.

Invariants:
- a target waits, or was woken lately, but is never in both;
- at most `targets_max` are remembered and `queue_max` pushes wait: beyond, wake-ups are dropped and
  counted.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog
from msgspec import structs

from mobilesync.domain.channel import EVERYONE, is_user_target
from mobilesync.domain.clock import Clock
from mobilesync.domain.conditions import Conditions
from mobilesync.domain.errors import MobilesyncError
from mobilesync.domain.oplog import Draft
from mobilesync.engine.devices import Devices, KnownDevice
from mobilesync.engine.happenings import Listener
from mobilesync.engine.metrics import Metrics
from mobilesync.engine.options import WakeUpOptions
from mobilesync.engine.push_gateway import PushGateway, WakeOutcome
from mobilesync.engine.session import Session
from mobilesync.engine.sessions import Sessions

log = structlog.get_logger(__name__)

CONDITIONS_MAX = 8
"""Remembered for one target; with more of them, whoever it is may be woken."""
DEVICES_MAX = 20
"""Of one user: those who were seen last are not known apart, so the first by id."""
ATTEMPTS_MAX = 4
_Target = tuple[str, str]


@dataclass(slots=True)
class _Waiting:
    due_s: float
    conditions: list[Conditions]
    """Of the oplogs that wait; empty when one of them is for everybody."""


@dataclass(frozen=True, slots=True)
class _Push:
    app: str
    known: KnownDevice
    gateway: PushGateway
    attempt: int = 1


class WakeUps:
    """Wakes devices through webhooks and push services."""

    def __init__(
        self,
        sessions: Sessions,
        devices: Devices,
        listener: Listener,
        gateways: Mapping[str, Sequence[PushGateway]],
        clock: Clock,
        metrics: Metrics,
        options: WakeUpOptions,
    ) -> None:
        """`gateways` are the push services of each app."""
        self._sessions = sessions
        self._devices = devices
        self._listener = listener
        self._gateways = gateways
        self._clock = clock
        self._metrics = metrics
        self._options = options
        self._waiting: OrderedDict[_Target, _Waiting] = OrderedDict()
        self._woken: OrderedDict[_Target, float] = OrderedDict()
        self._queue: asyncio.Queue[_Push] = asyncio.Queue(options.queue_max)
        self._workers: list[asyncio.Task[None]] = []
        self._retries = 0
        """Pushes that are to be tried again later."""

    def start(self) -> None:
        """Begin to ask push services, if there are any."""
        if any(self._gateways.values()):
            loop = asyncio.get_running_loop()
            self._workers = [loop.create_task(self._run()) for _ in range(self._options.workers)]

    async def stop(self) -> None:
        """End; what waits is forgotten."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    # What is noted -----------------------------------------------------------------------

    def appended(self, drafts: Sequence[Draft]) -> None:
        """`drafts` are durable. Cheap, and never raises."""
        now_s = self._clock.monotonic_s()
        app, is_wanted = "", False
        for draft in drafts:
            if draft.channel.app != app:
                app = draft.channel.app
                is_wanted = self._is_wanted(app)
            if is_wanted and draft.channel.target != EVERYONE:
                self._await(draft, now_s)

    def _await(self, draft: Draft, now_s: float) -> None:
        key = (draft.channel.app, draft.channel.target)
        woken_s = self._woken.get(key)
        if woken_s is not None and now_s < woken_s + self._options.again_after_s:
            return
        waiting = self._waiting.get(key)
        if waiting is None:
            if len(self._waiting) >= self._options.targets_max:
                self._metrics.wake_ups_dropped += 1
                return
            self._woken.pop(key, None)
            due_s = now_s + self._options.delay_s
            conditions = [draft.conditions] if draft.conditions is not None else []
            self._waiting[key] = _Waiting(due_s, conditions)
        elif draft.conditions is None or len(waiting.conditions) >= CONDITIONS_MAX:
            waiting.conditions.clear()
        elif waiting.conditions:
            waiting.conditions.append(draft.conditions)

    def arrived(self, session: Session) -> None:
        """A device has come: whatever was to wake it is needless, and it may be woken again."""
        for target in session.targets:
            if target == EVERYONE:
                continue
            key = (session.app, target)
            # Its user may have other devices, which are still to come.
            if not is_user_target(target):
                self._waiting.pop(key, None)
                self._listener.cancel(session.app, f"wake-up {target}")
            self._woken.pop(key, None)

    # What is due -------------------------------------------------------------------------

    async def wake_due(self) -> None:
        """Wake for all targets whose moment has come. Called by a ticker."""
        now_s = self._clock.monotonic_s()
        while self._waiting:
            key, waiting = next(iter(self._waiting.items()))
            if waiting.due_s > now_s:
                return
            del self._waiting[key]
            try:
                await self._wake(*key, waiting.conditions)
            except MobilesyncError as error:
                log.warning("not_woken", app=key[0], reason=str(error))

    async def _wake(self, app: str, target: str, conditions: Sequence[Conditions]) -> None:
        absent = await self._absent(app, target, conditions)
        if absent is None:
            return
        self._woken[app, target] = self._clock.monotonic_s()
        if len(self._woken) > self._options.targets_max:
            self._woken.popitem(last=False)
        self._metrics.wake_ups += 1
        if self._listener.wants(app, "device.wake-up"):
            data = {"target": target, "devices": [known.device for known in absent]}
            self._listener.put(app, "device.wake-up", data, coalesce=f"wake-up {target}")
        for known in absent:
            for gateway in self._gateways.get(app, ()):
                if known.attributes.get(f"{gateway.kind}_token"):
                    self._enqueue(_Push(app, known, gateway))

    async def _absent(
        self, app: str, target: str, conditions: Sequence[Conditions]
    ) -> list[KnownDevice] | None:
        """The known devices of the target without a session; None when nobody needs to be woken."""
        owner = target.partition(":")[2]
        names = [owner]
        if is_user_target(target):
            names = await self._devices.of_user(app, owner, DEVICES_MAX)
        found: list[KnownDevice] = []
        is_anybody_here = False
        for name in names:
            known = await self._devices.find(app, name)
            if known is None or (is_user_target(target) and known.user != owner):
                continue
            if self._sessions.of_device(app, name) is not None:
                is_anybody_here = True
            elif not conditions or any(
                each.admits(known.conditions_see, known.user, name) for each in conditions
            ):
                found.append(known)
        # A device or user that nobody here has ever seen: the business may know how to reach it.
        return found if found or not (is_anybody_here or conditions) else None

    # Push services -----------------------------------------------------------------------

    def _is_wanted(self, app: str) -> bool:
        return bool(self._gateways.get(app)) or self._listener.wants(app, "device.wake-up")

    def _enqueue(self, push: _Push) -> None:
        if self._queue.full():
            self._metrics.wake_ups_dropped += 1
        else:
            self._queue.put_nowait(push)

    async def _run(self) -> None:
        while True:
            push = await self._queue.get()
            try:
                await self._push(push)
            except Exception:
                log.exception("wake_up_failed", app=push.app, gateway=push.gateway.kind)

    async def _push(self, push: _Push) -> None:
        app, device = push.app, push.known.device
        if self._sessions.of_device(app, device) is not None:
            return
        kind = push.gateway.kind
        result = await push.gateway.wake(push.known.attributes[f"{kind}_token"])
        counts = self._metrics.wake_up_pushes
        counts[result.outcome.value] = counts.get(result.outcome.value, 0) + 1
        match result.outcome:
            case WakeOutcome.TOKEN_GONE:
                await self._forget(app, device, f"{kind}_token", push.known)
            case WakeOutcome.REFUSED:
                log.error("wake_up_refused", app=app, gateway=kind, reason=result.reason)
            case WakeOutcome.RETRY if push.attempt < ATTEMPTS_MAX:
                self._retry_later(push, result.retry_after_s)

    def _retry_later(self, push: _Push, delay_s: float) -> None:
        if self._retries >= self._options.queue_max:
            self._metrics.wake_ups_dropped += 1
            return
        self._retries += 1
        again = _Push(push.app, push.known, push.gateway, push.attempt + 1)
        asyncio.get_running_loop().call_later(delay_s, self._retry, again)

    def _retry(self, push: _Push) -> None:
        self._retries -= 1
        self._enqueue(push)

    async def _forget(self, app: str, device: str, name: str, then: KnownDevice) -> None:
        """The push token is good for nothing, unless the device has named another since."""
        known = await self._devices.find(app, device)
        if known is None or known.attributes.get(name) != then.attributes[name]:
            return
        left = {key: value for key, value in known.attributes.items() if key != name}
        self._devices.note(app, structs.replace(known, attributes=left))
