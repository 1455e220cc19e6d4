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
from mobilesync.domain.message_id import RESERVED
from mobilesync.domain.oplog import (
    Appended,
    Details,
    Draft,
    Withdrawal,
    WithdrawalReason,
    may_withdraw,
)
from mobilesync.domain.sync_config import RETENTION_S_MAX
from mobilesync.engine.acks import Progress, given_ids
from mobilesync.engine.configs import SyncConfigs
from mobilesync.engine.session import Session
from mobilesync.engine.ticker import pause
from mobilesync.protocol.limits import RANGES_MAX
from mobilesync.storage.contract import Document, Store

log = structlog.get_logger(__name__)

KIND = "consumption"
RETRY_S = 1.0
WAITING_RANGES_MAX = 1_000
"""Of one device in one channel, while the store refuses: what is between further ones, which the
device was passed over, is withdrawn with them."""
_PAGE_COUNT = 500
_PAGE_BYTES = 4 * 1024 * 1024

Append = Callable[[Sequence[Draft]], Awaitable[list[Appended]]]
_Place = tuple[Channel, str]
_Ids = tuple[int, int]
"""A range of ids, both ends in it."""


class Consumption:
    """Withdraws what was consumed."""

    def __init__(self, store: Store, configs: SyncConfigs, clock: Clock, append: Append) -> None:
        self._store = store
        self._configs = configs
        self._clock = clock
        self._append = append
        self._waiting: dict[_Place, list[_Ids]] = {}
        """By channel and device, what it was given and has processed; ascending."""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Withdraw what an earlier life left to be withdrawn."""
        for value in (await self._store.documents(KIND)).values():
            channel, device, given = json.decode(value, type=tuple[Channel, str, list[_Ids]])
            self._waiting[channel, device] = given
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
        given = given_ids(progress.processed_before, progress.processed, progress.passed)
        if given:
            place = (channel, session.device)
            self._waiting[place] = waiting = _joined(self._waiting.get(place, []), given)
            self._note(place, waiting)
            self._go_on()

    def _note(self, place: _Place, waiting: Sequence[_Ids]) -> None:
        value = json.encode((*place, waiting)) if waiting else None
        self._store.note_documents([Document(KIND, _key(place), value)])

    def _go_on(self) -> None:
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._waiting:
            place, waiting = next(iter(self._waiting.items()))
            try:
                await self._withdraw(*place, waiting)
            except MobilesyncError as error:
                log.warning("not_withdrawn_yet", biz=place[0].biz, reason=str(error))
                await pause(RETRY_S)
                continue
            # To the end of the row, with what has come meanwhile.
            upto = waiting[-1][1]
            left = [(max(first, upto + 1), last) for first, last in self._waiting.pop(place)]
            left = [(first, last) for first, last in left if first <= last]
            if left:
                self._waiting[place] = left
            self._note(place, left)

    async def _withdraw(self, channel: Channel, device: str, given: Sequence[_Ids]) -> None:
        before, upto = given[0][0] - 1, given[-1][1]
        while before < upto:
            page = await self._store.read(channel, before, _PAGE_COUNT, _PAGE_BYTES)
            ids = [
                each.id
                for each in page.oplogs
                if any(first <= each.id <= last for first, last in given)
                and may_withdraw(each, WithdrawalReason.CONSUMED)
            ]
            ranges = _ranges(ids)
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


def _joined(waiting: Sequence[_Ids], more: Sequence[_Ids]) -> list[_Ids]:
    """Both, ascending, as few ranges as may be."""
    joined: list[_Ids] = []
    for first, last in sorted([*waiting, *more]):
        if joined and (first <= joined[-1][1] + 1 or len(joined) >= WAITING_RANGES_MAX):
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def _ranges(ids: Sequence[int]) -> list[_Ids]:
    found: list[_Ids] = []
    for each in ids:
        if found and found[-1][1] + 1 == each:
            found[-1] = (found[-1][0], each)
        else:
            found.append((each, each))
    return found
