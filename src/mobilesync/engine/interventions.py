"""What people do to oplogs that are stored, and to devices: recall, replay, offer again.

Strategy: each is checked whole, then stored, and durable when it returns; the ordinary path does
the rest. A recall is an oplog that withdraws another (spec §13.9). A replay puts a sync point back
at the device's next login, which it is made to do at once. An offer is the oplog anew, for one
device.

Not here: HTTP and the record of who did it (api/).
"""

import random
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from mobilesync.domain.channel import (
    EVERYONE,
    Channel,
    device_target,
    is_user_target,
    user_target,
)
from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import InvalidRequest, NotFound
from mobilesync.domain.message_id import RESERVED
from mobilesync.domain.oplog import Appended, Details, Draft, Oplog, Withdrawal, WithdrawalReason
from mobilesync.domain.sync_config import RETENTION_S_MAX
from mobilesync.domain.sync_point import Advance, Head, user_owner
from mobilesync.engine.configs import SyncConfigs
from mobilesync.engine.devices import Devices
from mobilesync.engine.offers import offer_of
from mobilesync.engine.replays import Replay, Replays
from mobilesync.engine.sessions import Sessions
from mobilesync.storage.contract import Store

_ONE_BYTES = 1
_MS_PER_S = 1000

Append = Callable[[Sequence[Draft]], Awaitable[list[Appended]]]


class Recalled(Struct, frozen=True):
    """The answer to a recall. It is durable."""

    id: int
    """The oplog that was recalled."""
    by_id: int
    """The oplog that withdraws it, in the same channel."""
    duplicate: bool
    """It had been recalled before."""


class Offered(Struct, frozen=True):
    """The answer to an offer. It is durable."""

    target: str
    id: int


class Replayed(Struct, frozen=True):
    """The answer to a replay. It is durable, and carried out at the device's next login."""

    floor: int
    received_before: int
    online: bool
    """Whether the device was connected, and has been told to log in again."""


class Interventions:
    """Carries them out."""

    def __init__(
        self,
        store: Store,
        configs: SyncConfigs,
        devices: Devices,
        replays: Replays,
        sessions: Sessions,
        append: Append,
        *,
        clock: Clock,
        entropy: random.Random,
    ) -> None:
        self._store = store
        self._configs = configs
        self._devices = devices
        self._replays = replays
        self._sessions = sessions
        self._append = append
        self._clock = clock
        self._entropy = entropy

    async def recall(self, channel: Channel, oplog_id: int) -> Recalled:
        """See to it that the oplog reaches no device that has not got it when this returns; those
        that have it are told if their SDK asks for that. Its payload is erased.

        Raises NotFound when there is no such oplog, or it has ended; InvalidRequest when it is
        itself a withdrawal; Refused, OutcomeUnknown.
        """
        oplog = await self._oplog(channel, oplog_id)
        if oplog.details is not None and oplog.details.withdraws is not None:
            hint = "what was recalled stays recalled; publish it anew"
            raise InvalidRequest("a recall cannot be recalled", field="id", hint=hint)
        withdraws = Withdrawal(((oplog_id, oplog_id),), WithdrawalReason.RECALLED)
        now_ms = self._clock.wall_ms()
        config = self._configs.find(channel.app, channel.biz)
        retention_s = config.retention_s if config is not None else RETENTION_S_MAX
        draft = Draft(
            channel,
            b"",
            f"{RESERVED}recall:{oplog_id}",
            now_ms,
            now_ms + retention_s * _MS_PER_S,
            expires_by_retention=False,
            details=Details(withdraws=withdraws),
        )
        [answer] = await self._append([draft])
        return Recalled(oplog_id, answer.id, answer.duplicate)

    async def offer_again(self, channel: Channel, oplog_id: int, device: str) -> Offered:
        """Append the oplog anew for one device, whatever it has had.

        Raises NotFound when the oplog or the device is not known; InvalidRequest when the oplog is
        not for that device, or was recalled; Refused, OutcomeUnknown.
        """
        oplog = await self._oplog(channel, oplog_id)
        if oplog.withdrawn is not None or (oplog.details and oplog.details.withdraws):
            raise InvalidRequest("a withdrawn oplog cannot be offered", field="id")
        user = await self._user(channel, device)
        name = f"{self._entropy.getrandbits(64):016x}"
        draft = offer_of(channel, oplog, user, device, by_operator=name)
        [answer] = await self._append([draft])
        return Offered(draft.channel.target, answer.id)

    async def replay(self, channel: Channel, device: str, to: int) -> Replayed:
        """Put the device's sync point in `channel` back to `to`, so that it gets again what comes
        after and is still valid. The app's handlers are called again for it.

        Raises NotFound when the device has no sync point there; InvalidRequest when `to` is not
        below it; Refused, OutcomeUnknown.
        """
        point = (await self._store.points(channel.app, device)).get(channel)
        head = (await self._store.heads(channel.app, [channel.target])).get(channel)
        if point is None or head is None:
            hint = "it has never acked an oplog of this channel"
            raise NotFound("the device has no sync point there", field="device", hint=hint)
        if not 0 <= to < point.received:
            hint = f"0 to {point.received - 1}: below the device's sync point"
            raise InvalidRequest("nothing to replay", field="to", hint=hint)
        floor = max(to, head.floor)
        if floor >= point.received:
            hint = f"retention has left nothing up to {head.floor}"
            raise InvalidRequest("nothing to replay", field="to", hint=hint)
        now_ms = self._clock.wall_ms()
        replay = Replay(channel, device, floor, point.received, now_ms)
        await self._replays.put(replay)
        config = self._configs.find(channel.app, channel.biz)
        if config is not None and config.has_user_points and is_user_target(channel.target):
            owner = user_owner(channel.target.partition(":")[2])
            epoch = self._store.lineage[-1]
            back = Advance(channel, owner, epoch, floor, floor, now_ms, restarts=True)
            self._store.advance([back])
        online = self._sessions.resume(channel.app, device)
        return Replayed(floor, point.received, online)

    async def _oplog(self, channel: Channel, oplog_id: int) -> Oplog:
        heads = await self._store.heads(channel.app, [channel.target])
        head = heads.get(channel, Head(0, 0))
        if head.trimmed < oplog_id <= head.last:
            page = await self._store.read(channel, oplog_id - 1, 1, _ONE_BYTES)
            if page.oplogs and page.oplogs[0].id == oplog_id:
                return page.oplogs[0]
        hint = "it may have ended" if 0 < oplog_id <= head.trimmed else "see the channel's oplogs"
        raise NotFound("no such oplog", field="id", hint=hint)

    async def _user(self, channel: Channel, device: str) -> str:
        """The user that the oplog of `channel` is for on `device`, empty for whoever it is."""
        known = await self._devices.find(channel.app, device)
        if known is None:
            raise NotFound("the device has never connected", field="device")
        if channel.target in (EVERYONE, device_target(device)):
            return known.user
        user = channel.target.partition(":")[2]
        if not is_user_target(channel.target) or known.user != user:
            whose = user_target(known.user) if known.user else "nobody's"
            hint = f"the device belongs to {whose}"
            raise InvalidRequest("the oplog is for another device", field="device", hint=hint)
        return user
