"""Consumed by one: what one device of a user has processed is not shown on the user's others.

Strategy: when a device's processed point moves in a channel of such a biz, what it was given there
is withdrawn from the channel: other devices that have not got it are passed over, those that hold
it are told if their SDK asks for that. What is to be withdrawn is noted in the commit that the ack
rides in, and withdrawn by one task, channel by channel, so that a crash between the two loses none.

Invariant: only what the device was given is withdrawn; what it was passed over is not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from msgspec import json

from mobilesync.domain.channel import Channel, is_user_target
from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import MobilesyncError
from mobilesync.domain.oplog import Appended, Details, Draft, Oplog, Withdrawal, WithdrawalReason
from mobilesync.domain.rules import Look, Viewer, refusal
from mobilesync.domain.sync_config import RETENTION_S_MAX
from mobilesync.engine.acks import Progress
from mobilesync.engine.configs import SyncConfigs
from mobilesync.engine.devices import Devices
from mobilesync.engine.offers import RESERVED
from mobilesync.engine.session import Session
from mobilesync.engine.ticker import pause
from mobilesync.protocol.limits import RANGES_MAX
from mobilesync.storage.contract import Document, Store

log = structlog.get_logger(__name__)

KIND = "consumption"
RETRY_S = 1.0
_PAGE_COUNT = 500
_PAGE_BYTES = 4 * 1024 * 1024

Append = Callable[[Sequence[Draft]], Awaitable[list[Appended]]]
_Place = tuple[Channel, str]


class Consumption:
    """Withdraws what was consumed."""

    def __init__(
        self,
        store: Store,
        configs: SyncConfigs,
        devices: Devices,
        clock: Clock,
        append: Append,
    ) -> None:
        self._store = store
        self._configs = configs
        self._devices = devices
        self._clock = clock
        self._append = append
        self._waiting: dict[_Place, tuple[int, int]] = {}
        """By channel and device: ids above the first up to the second."""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Withdraw what an earlier life left to be withdrawn."""
        for value in (await self._store.documents(KIND)).values():
            channel, device, before, upto = json.decode(value, type=tuple[Channel, str, int, int])
            self._waiting[channel, device] = (before, upto)
        self._go_on()

    async def stop(self) -> None:
        """End; what waits is done in the next life."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def progressed(self, session: Session, progress: Progress) -> None:
        """A device's sync point has moved."""
        channel = progress.channel
        if progress.processed <= progress.processed_before or not is_user_target(channel.target):
            return
        config = self._configs.find(channel.app, channel.biz)
        if config is None or config.consumed_by != "one":
            return
        place = (channel, session.device)
        before, _ = self._waiting.get(place, (progress.processed_before, 0))
        self._waiting[place] = (before, progress.processed)
        value = json.encode((channel, session.device, before, progress.processed))
        self._store.note_documents([Document(KIND, _key(place), value)])
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._waiting:
            place, (before, upto) = next(iter(self._waiting.items()))
            try:
                await self._withdraw(*place, before, upto)
            except MobilesyncError as error:
                log.warning("not_withdrawn_yet", biz=place[0].biz, reason=str(error))
                await pause(RETRY_S)
                continue
            now = self._waiting.pop(place)
            if now[1] > upto:
                self._waiting[place] = (upto, now[1])
            else:
                self._store.note_documents([Document(KIND, _key(place), None)])

    async def _withdraw(self, channel: Channel, device: str, before: int, upto: int) -> None:
        known = await self._devices.find(channel.app, device)
        if known is None:
            return
        user = channel.target.partition(":")[2]
        # Ends do not count: it was processed in time, or it makes no difference.
        viewer, look = Viewer(device, user, known.conditions_see), Look(0)
        while before < upto:
            page = await self._store.read(channel, before, _PAGE_COUNT, _PAGE_BYTES)
            given = [
                oplog.id
                for oplog in page.oplogs
                if oplog.id <= upto and not refusal(oplog, viewer, look) and not _withdraws(oplog)
            ]
            ranges = _ranges(given)
            for begin in range(0, len(ranges), RANGES_MAX):
                await self._append(
                    [self._draft(channel, device, ranges[begin : begin + RANGES_MAX])]
                )
            if page.upto <= before:
                return
            before = page.upto

    def _draft(self, channel: Channel, device: str, ranges: Sequence[tuple[int, int]]) -> Draft:
        now_ms = self._clock.wall_ms()
        config = self._configs.find(channel.app, channel.biz)
        retention_s = config.retention_s if config is not None else RETENTION_S_MAX
        withdraws = Withdrawal(tuple(ranges), WithdrawalReason.CONSUMED, device)
        return Draft(
            channel,
            b"",
            f"{RESERVED}consumed:{ranges[0][0]}-{ranges[-1][1]}",
            now_ms,
            now_ms + retention_s * 1000,
            expires_by_retention=False,
            details=Details(withdraws=withdraws),
        )


def _key(place: _Place) -> str:
    channel, device = place
    return "\0".join((*channel, device))


def _withdraws(oplog: Oplog) -> bool:
    return oplog.details is not None and oplog.details.withdraws is not None


def _ranges(ids: Sequence[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for each in ids:
        if found and found[-1][1] + 1 == each:
            found[-1] = (found[-1][0], each)
        else:
            found.append((each, each))
    return found
