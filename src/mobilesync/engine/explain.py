"""What happened to one oplog on one device, or why not yet: the proof, read out.

Strategy: three questions, in this order. What does the journal prove (`proof.py`)? If nothing: may
the device ever get it, by the very rules that the pump judges with? If so: where does it wait, in a
living session, under a rule that withholds its channel, or for the device to come back?

Not here: the rules (domain/rules.py), HTTP (api/).
"""

from contextlib import suppress
from typing import Any

from msgspec import Struct, field, structs

from mobilesync.domain.channel import EVERYONE, Channel, device_target, is_user_target, user_target
from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import OutcomeUnknown, Refused
from mobilesync.domain.oplog import Oplog
from mobilesync.domain.reasons import SENTENCES, Reason
from mobilesync.domain.rules import Look, Viewer, refusal, withheld
from mobilesync.domain.sync_point import Head, SyncPoint
from mobilesync.engine.configs import SyncConfigs
from mobilesync.engine.devices import Devices, KnownDevice
from mobilesync.engine.feed import NEWER_MAX
from mobilesync.engine.offers import Offers
from mobilesync.engine.proof import Proof, Proofs
from mobilesync.engine.session import Session
from mobilesync.engine.sessions import Sessions
from mobilesync.storage.contract import Store

_ONE_BYTES = 1
DEVICES_MAX = 100
"""Devices of one user that are looked at."""

_WAITS = {0: Reason.PROCESSING, 1: Reason.NO_HANDLER, 2: Reason.HANDLER_FAILED}


class Explanation(Struct, frozen=True):
    """One answer."""

    reason: Reason
    sentence: str
    sent_at_ms: int = 0
    received_at_ms: int = 0
    processed_at_ms: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    """What the sentence is about: versions, ids, times."""


class Case(Struct, frozen=True):
    """What is known of an oplog and a device."""

    channel: Channel
    id: int
    device: str
    head: Head
    oplog: Oplog | None
    """None when it is not stored, or not any more."""
    known: KnownDevice | None
    point: SyncPoint | None
    proof: Proof
    session: Session | None


class Explainer:
    """Answers for any oplog and device."""

    def __init__(
        self,
        store: Store,
        configs: SyncConfigs,
        devices: Devices,
        sessions: Sessions,
        offers: Offers,
        clock: Clock,
    ) -> None:
        self._store = store
        self._configs = configs
        self._devices = devices
        self._sessions = sessions
        self._offers = offers
        self._proofs = Proofs(store)
        self._clock = clock

    async def explain(self, channel: Channel, oplog_id: int, device: str) -> Explanation:
        """What happened to the oplog on the device, or why not yet. Raises StoreUnavailable."""
        # What was acked a moment ago is proven once it is in the journal. A store that takes no
        # writes any more still tells what it knows.
        with suppress(Refused, OutcomeUnknown):
            await self._store.put_documents([])
        case = await self._case(channel, oplog_id, device)
        proof = case.proof
        answer = (
            self._of_channel(case)
            or await self._proven(case)
            or self._never(case)
            or await self._refused(case)
            or self._in_session(case)
            or self._waiting(case)
        )
        return structs.replace(
            answer,
            sent_at_ms=answer.sent_at_ms or proof.sent_at_ms,
            received_at_ms=proof.received_at_ms,
            processed_at_ms=proof.processed_at_ms,
        )

    async def receivers(self, channel: Channel, after: str, count_max: int) -> list[str]:
        """Up to `count_max` known devices that the target means, by id, from `after` on."""
        target = channel.target
        if target == EVERYONE:
            page = await self._devices.page(channel.app, after, count_max)
            return [known.device for known in page]
        owner = target.partition(":")[2]
        if is_user_target(target):
            devices = await self._devices.of_user(channel.app, owner, DEVICES_MAX)
            return [device for device in devices if device > after][:count_max]
        return [owner] if owner > after else []

    async def _case(self, channel: Channel, oplog_id: int, device: str) -> Case:
        store, app = self._store, channel.app
        head = (await store.heads(app, [channel.target])).get(channel, Head(0, 0))
        oplog = None
        if head.trimmed < oplog_id <= head.last:
            page = await store.read(channel, oplog_id - 1, 1, _ONE_BYTES)
            oplog = page.oplogs[0] if page.oplogs and page.oplogs[0].id == oplog_id else None
        point = (await store.points(app, device)).get(channel)
        return Case(
            channel,
            oplog_id,
            device,
            head,
            oplog,
            await self._devices.find(app, device),
            point,
            await self._proofs.of(channel, device, oplog_id, point),
            self._sessions.of_device(app, device),
        )

    def _of_channel(self, case: Case) -> Explanation | None:
        config = self._configs.find(case.channel.app, case.channel.biz)
        if not 1 <= case.id <= case.head.last:
            if config is not None and not config.persistent:
                return _because(Reason.NOT_KEPT)
            return _because(Reason.NO_SUCH_OPLOG, last=case.head.last)
        if case.oplog is None and not case.proof.received_at_ms:
            return _because(Reason.TRIMMED, trimmed=case.head.trimmed)
        return None

    async def _proven(self, case: Case) -> Explanation | None:
        proof, point = case.proof, case.point
        if not proof.is_current:
            return None
        if proof.skipped is not None:
            return await self._skipped(case, proof.skipped)
        if proof.processed_at_ms:
            return _because(Reason.PROCESSED)
        if proof.received_at_ms:
            waits = point.waits if point is not None else 0
            return _because(_WAITS.get(waits, Reason.PROCESSING), since_ms=proof.received_at_ms)
        return None

    async def _skipped(self, case: Case, reason: Reason) -> Explanation:
        details: dict[str, Any] = {"at_ms": case.proof.skipped_at_ms}
        if case.oplog is not None:
            details |= await self._why(case, case.oplog, reason)
        return _because(reason, **details)

    def _never(self, case: Case) -> Explanation | None:
        """Whether the oplog is for somebody else, or the device has never been here."""
        target, known = case.channel.target, case.known
        if target == device_target(case.device) or target == EVERYONE:
            return None if known is not None else _because(Reason.NEVER_CONNECTED)
        if not is_user_target(target):
            return _because(Reason.WRONG_DEVICE, target=target)
        if known is None:
            return _because(Reason.NEVER_CONNECTED)
        user = case.session.user if case.session is not None else known.user
        if user_target(user) != target:
            return _because(Reason.WRONG_USER, target=target, user=user)
        return None

    async def _refused(self, case: Case) -> Explanation | None:
        """Whether a rule will pass over the oplog, as things stand."""
        cursor = case.session.cursors.get(case.channel) if case.session is not None else None
        for skip in (cursor.skips or ()) if cursor is not None else ():
            if skip.first <= case.id <= skip.last:
                details = {}
                if case.oplog is not None:
                    details = await self._why(case, case.oplog, Reason(skip.reason))
                return _because(Reason(skip.reason), **details)
        if case.oplog is None or (cursor is not None and cursor.told >= case.id):
            return None
        newer = await self._newer(case.channel, case.oplog)
        is_offered = await self._is_offered(case, case.oplog)
        look = Look(self._clock.wall_ms(), newer, is_offered)
        reason = refusal(case.oplog, _viewer(case), look)
        if reason is None:
            return None
        return _because(reason, **await self._why(case, case.oplog, reason))

    def _in_session(self, case: Case) -> Explanation | None:
        session = case.session
        if session is None:
            return None
        cursor = session.cursors.get(case.channel)
        if cursor is not None and cursor.told >= case.id:
            pushes = cursor.pushes or ()
            sent_at_ms = next((p.sent_at_ms for p in pushes if p.upto >= case.id), 0)
            return structs.replace(_because(Reason.SENT), sent_at_ms=sent_at_ms)
        config = self._configs.find(case.channel.app, case.channel.biz)
        viewer = structs.replace(session.viewer, is_newest=self._sessions.is_newest(session))
        reason = withheld(config, case.channel, viewer)
        if reason is not None:
            return _because(reason)
        details: dict[str, Any] = {"under_way": session.window.count}
        return _because(Reason.QUEUED, **details)

    def _waiting(self, case: Case) -> Explanation:
        config = self._configs.find(case.channel.app, case.channel.biz)
        if config is not None and config.status == "offline":
            return _because(Reason.CONFIG_OFFLINE)
        known = case.known
        since_ms = known.offline_since_ms if known is not None else 0
        last_ms = known.online_since_ms if known is not None else 0
        # A server that died with the session could not note its end.
        return _because(Reason.OFFLINE, since_ms=since_ms, last_connected_ms=last_ms)

    async def _newer(self, channel: Channel, oplog: Oplog) -> list[Oplog]:
        if not oplog.key:
            return []
        newest = await self._store.newest_of_key(channel, oplog.key, NEWER_MAX)
        return [each for each in newest if each.id > oplog.id]

    async def _is_offered(self, case: Case, oplog: Oplog) -> bool:
        origin = oplog.details.origin if oplog.details is not None else None
        if origin is None or origin.by_operator or case.session is None:
            return False
        place = Channel(case.channel.app, case.channel.biz, origin.target)
        return await self._offers.has_at_origin(case.session, place, origin.id)

    async def _why(self, case: Case, oplog: Oplog, reason: Reason) -> dict[str, Any]:
        """What the reason is about."""
        viewer, conditions = _viewer(case), oplog.conditions
        match reason:
            case Reason.VERSION if conditions is not None:
                return {
                    "app_version": viewer.attributes.app_version,
                    "app_version_min": conditions.app_version_min,
                    "app_version_max": conditions.app_version_max,
                }
            case Reason.OS if conditions is not None:
                return {"os": viewer.attributes.os, "admitted": list(conditions.os)}
            case Reason.AUDIENCE:
                return {"user": viewer.user}
            case Reason.ATTRIBUTES if conditions is not None:
                names = [name for name, _ in conditions.attributes]
                return {name: viewer.attributes.custom.get(name, "") for name in names}
            case Reason.ROLLOUT if conditions is not None and conditions.rollout is not None:
                return {"percent": conditions.rollout.percent, "salt": conditions.rollout.salt}
            case Reason.EXPIRED:
                return {"expired_at_ms": oplog.expires_at_ms}
            case Reason.SUPERSEDED:
                newer = await self._newer(case.channel, oplog)
                return {"superseded_by": newer[0].id} if newer else {}
            case Reason.RECALLED | Reason.CONSUMED if oplog.withdrawn is not None:
                by = {"device": oplog.withdrawn.by} if oplog.withdrawn.by else {}
                return {"by_id": oplog.withdrawn.by_id, "at_ms": oplog.withdrawn.at_ms, **by}
            case Reason.OVER_THRESHOLD:
                config = self._configs.find(case.channel.app, case.channel.biz)
                return {"repush_threshold": config.repush_threshold} if config else {}
            case Reason.ELSEWHERE:
                return {"devices": await self._holders(case)}
            case _:
                return {}

    async def _holders(self, case: Case) -> list[str]:
        """The user's devices that have got the oplog."""
        user = case.channel.target.partition(":")[2]
        found: list[str] = []
        for device in await self._devices.of_user(case.channel.app, user, DEVICES_MAX):
            point = (await self._store.points(case.channel.app, device)).get(case.channel)
            proof = await self._proofs.of(case.channel, device, case.id, point)
            if proof.received_at_ms:
                found.append(device)
        return found


def _viewer(case: Case) -> Viewer:
    if case.session is not None:
        return case.session.viewer
    if case.known is None:
        return Viewer(case.device)
    return Viewer(case.device, case.known.user, case.known.conditions_see, asks_withdrawals=True)


def _because(reason: Reason, **details: Any) -> Explanation:
    return Explanation(reason, SENTENCES[reason], details=details)
