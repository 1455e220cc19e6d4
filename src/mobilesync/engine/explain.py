"""What happened to one oplog on one device, or why not yet: the proof, read out.

Strategy: three questions, in this order. What does the journal prove (`proof.py`)? If nothing: may
the device ever get it, by the very rules that the pump judges with? If so: where does it wait, in a
living session, under a rule that withholds its channel, or for the device to come back?

Not here: the rules (domain/rules.py), what there is to know (evidence.py), the words
(sentences.py), HTTP (api/).
"""

from typing import Any

from msgspec import Struct, field, structs

from mobilesync.domain.channel import EVERYONE, Channel, device_target, is_user_target, user_target
from mobilesync.domain.clock import Clock
from mobilesync.domain.conditions import Conditions
from mobilesync.domain.errors import NotFound
from mobilesync.domain.oplog import Oplog
from mobilesync.domain.reasons import OFFERED_AGAIN, Reason
from mobilesync.domain.rules import Look, Viewer, refusal, withheld
from mobilesync.engine.devices import KnownDevice
from mobilesync.engine.evidence import Case, Evidence, Subject
from mobilesync.engine.receivers import Receivers
from mobilesync.engine.scheduler import Scheduler
from mobilesync.engine.sentences import sentence
from mobilesync.engine.ticker import pause
from mobilesync.protocol.codes import Waits
from mobilesync.storage.contract import Store

RECEIPTS_BEFORE_OTHERS = 8
"""Each costs about 0.2 ms."""

_WAITS: dict[int, Reason] = {
    Waits.NO_HANDLER: Reason.NO_HANDLER,
    Waits.HANDLER_FAILED: Reason.HANDLER_FAILED,
}


class Explanation(Struct, frozen=True):
    """One answer."""

    reason: Reason
    details: dict[str, Any] = field(default_factory=dict)
    """What the reason is about: versions, ids, times."""
    sent_at_ms: int = 0
    received_at_ms: int = 0
    processed_at_ms: int = 0

    @property
    def sentence(self) -> str:
        """All of it in words."""
        times = {"sent_at_ms": self.sent_at_ms, "processed_at_ms": self.processed_at_ms}
        return sentence(self.reason, times | self.details)


class Receipt(Struct, frozen=True):
    """One device that an oplog is for, and what happened there."""

    device: str
    user: str
    """Who is logged in on it, or was last."""
    online: bool
    explanation: Explanation


class Explainer:
    """Answers for any oplog and device."""

    def __init__(
        self,
        store: Store,
        evidence: Evidence,
        receivers: Receivers,
        scheduler: Scheduler,
        clock: Clock,
    ) -> None:
        self._store = store
        self._evidence = evidence
        self._receivers = receivers
        self._scheduler = scheduler
        self._clock = clock

    async def explain(self, channel: Channel, oplog_id: int, device: str) -> Explanation:
        """What happened to the oplog on the device, or why not yet. Raises StoreUnavailable."""
        await self._evidence.settle()
        subject = await self._evidence.subject(channel, oplog_id)
        return await self._explain(await self._evidence.case(subject, device))

    async def explain_message(
        self, channel: Channel, message_id: str, device: str
    ) -> tuple[int, Explanation]:
        """As `explain`, for the oplog that was published with `message_id`; and its id, or 0 while
        it is scheduled. Raises NotFound when it was never published, or has ended."""
        oplog_id = await self._store.find(channel, message_id)
        if not oplog_id:
            waiting = await self._scheduler.find(channel, message_id)
            if waiting is not None:
                return 0, _because(Reason.SCHEDULED, due_ms=waiting.due_ms)
            subject = await self._evidence.subject(channel, 0)
            if subject.is_of_notices:
                return 0, _because(Reason.NOT_KEPT)
            # It may have been appended between the two looks.
            oplog_id = await self.find(channel, message_id)
        return oplog_id, await self.explain(channel, oplog_id, device)

    async def find(self, channel: Channel, message_id: str) -> int:
        """The id of the oplog with `message_id`. Raises NotFound."""
        oplog_id = await self._store.find(channel, message_id)
        if oplog_id:
            return oplog_id
        hint = "it was never published, or it has ended and is forgotten"
        if await self._scheduler.find(channel, message_id) is not None:
            hint = "it is scheduled, and not due yet"
        raise NotFound("no oplog has this message id", field="message_id", hint=hint)

    async def receipts(
        self, channel: Channel, oplog_id: int, after: str, count_max: int
    ) -> list[Receipt]:
        """What happened to the oplog on each known device that its target means: up to
        `count_max`, by device id, above `after`. Raises StoreUnavailable."""
        await self._evidence.settle()
        subject = await self._evidence.subject(channel, oplog_id)
        receipts: list[Receipt] = []
        for known in await self._receivers.page(channel, after, count_max):
            receipts.append(await self._receipt(subject, known))
            if len(receipts) % RECEIPTS_BEFORE_OTHERS == 0:
                await pause(0)
        return receipts

    async def _receipt(self, subject: Subject, known: KnownDevice) -> Receipt:
        case = await self._evidence.case(subject, known.device, known)
        user = case.session.user if case.session is not None else known.user
        online = case.session is not None
        return Receipt(known.device, user, online, await self._explain(case))

    async def _explain(self, case: Case) -> Explanation:
        proof = case.proof
        answer = _of_channel(case.subject)
        if answer is not None:
            return answer
        answer = (
            await self._proven(case)
            or _never(case)
            or await self._refused(case)
            or self._in_session(case)
            or _waiting(case)
        )
        if not proof.is_current and proof.received_at_ms:
            answer.details["put_back"] = True
        return structs.replace(
            answer,
            sent_at_ms=answer.sent_at_ms or proof.sent_at_ms,
            received_at_ms=proof.received_at_ms,
            processed_at_ms=proof.processed_at_ms,
        )

    # What is proven ----------------------------------------------------------------------

    async def _proven(self, case: Case) -> Explanation | None:
        proof = case.proof
        if not proof.is_current:
            return None
        if proof.skipped is not None:
            details = await self._details(case, proof.skipped)
            return _because(proof.skipped, at_ms=proof.skipped_at_ms, **details)
        if proof.processed_at_ms:
            return _because(Reason.PROCESSED)
        if proof.received_at_ms:
            return _saved(case)
        return None

    # What the rules say ------------------------------------------------------------------

    async def _refused(self, case: Case) -> Explanation | None:
        """Whether a rule passes over the oplog, as things stand."""
        cursor, oplog = case.cursor, case.subject.oplog
        for skip in (cursor.skips or ()) if cursor is not None else ():
            if skip.first <= case.subject.id <= skip.last:
                reason = Reason(skip.reason)
                return _because(reason, **await self._details(case, reason))
        if oplog is None or (cursor is not None and cursor.told >= case.subject.id):
            return None
        newer = await self._evidence.newer(case.channel, oplog)
        is_offered = await self._evidence.is_offered(case, oplog)
        refused = refusal(oplog, case.viewer, Look(self._clock.wall_ms(), newer, is_offered))
        if refused is None and await self._evidence.user_has_passed(case.subject):
            refused = Reason.ELSEWHERE
        return _because(refused, **await self._details(case, refused)) if refused else None

    def _in_session(self, case: Case) -> Explanation | None:
        session, cursor = case.session, case.cursor
        if session is None:
            return None
        if cursor is not None and cursor.told >= case.subject.id:
            pushes = cursor.pushes or ()
            sent_at_ms = next((p.sent_at_ms for p in pushes if p.upto >= case.subject.id), 0)
            return structs.replace(_because(Reason.SENT), sent_at_ms=sent_at_ms)
        viewer = structs.replace(session.viewer, is_newest=self._evidence.is_newest(session))
        reason = withheld(case.subject.config, case.channel, viewer)
        if reason is not None:
            return _because(reason)
        return _because(Reason.QUEUED, under_way=session.window.count)

    # What a reason is about --------------------------------------------------------------

    async def _details(self, case: Case, reason: Reason) -> dict[str, Any]:
        oplog, config = case.subject.oplog, case.subject.config
        if oplog is None:
            return {}
        viewer = case.viewer
        details: dict[str, Any] = {}
        if oplog.conditions is not None:
            details = _of_conditions(reason, oplog.conditions, viewer)
            if details and oplog.conditions.refusal(*_seen(viewer)) is not reason:
                # It was passed over for what the device was then.
                details = {"changed": True}
        if reason in OFFERED_AGAIN:
            offered = await self._evidence.offered_as(case, oplog)
            if offered is not None:
                details |= {"offered_target": offered[0], "offered_id": offered[1]}
        match reason:
            case Reason.EXPIRED:
                details["expired_at_ms"] = oplog.expires_at_ms
            case Reason.SUPERSEDED:
                details["superseded_by"] = await self._evidence.superseded_by(case, oplog)
            case Reason.RECALLED | Reason.CONSUMED:
                details |= _of_withdrawal(oplog)
            case Reason.OVER_THRESHOLD if config is not None:
                details["repush_threshold"] = config.repush_threshold
            case Reason.ELSEWHERE:
                details["devices"] = await self._evidence.holders(case.subject)
            case Reason.OFFERED if oplog.details is not None and oplog.details.origin is not None:
                origin = oplog.details.origin
                details |= {"origin_target": origin.target, "origin_id": origin.id}
        return details


def _of_channel(subject: Subject) -> Explanation | None:
    """What is so for every device."""
    head = subject.head
    if not 1 <= subject.id <= head.last:
        if subject.is_of_notices:
            return _because(Reason.NOT_KEPT)
        return _because(Reason.NO_SUCH_OPLOG, last=head.last)
    return _because(Reason.TRIMMED, trimmed=head.trimmed) if subject.oplog is None else None


def _saved(case: Case) -> Explanation:
    """The device has it, and its handler is not done."""
    point = case.point
    reason = Reason.PROCESSING
    details: dict[str, Any] = {"since_ms": case.proof.received_at_ms}
    if point is not None:
        reason = _WAITS.get(point.waits, Reason.PROCESSING)
        if point.processed + 1 < case.subject.id:
            # What the device waits for is an oplog before this one.
            details["behind"] = point.processed + 1
    return _because(reason, **details)


def _never(case: Case) -> Explanation | None:
    """Whether the oplog is for somebody else, or the device has never been here."""
    target, known = case.channel.target, case.known
    if target in (EVERYONE, device_target(case.device)):
        return None if known is not None else _because(Reason.NEVER_CONNECTED)
    if not is_user_target(target):
        return _because(Reason.WRONG_DEVICE, target=target)
    if known is None:
        return _because(Reason.NEVER_CONNECTED)
    user = case.session.user if case.session is not None else known.user
    if user_target(user) != target:
        return _because(Reason.WRONG_USER, target=target, user=user)
    return None


def _waiting(case: Case) -> Explanation:
    """Nobody is there to be pushed to."""
    config, known = case.subject.config, case.known
    if config is not None and config.status == "offline":
        return _because(Reason.CONFIG_OFFLINE)
    since_ms = known.offline_since_ms if known is not None else 0
    last_ms = known.online_since_ms if known is not None else 0
    # A server that died with the session could not note its end.
    return _because(Reason.OFFLINE, since_ms=since_ms, last_connected_ms=last_ms)


def _of_conditions(reason: Reason, conditions: Conditions, viewer: Viewer) -> dict[str, Any]:
    """What of the device, and of the oplog, a condition compares."""
    attributes = viewer.attributes
    match reason:
        case Reason.VERSION:
            return {
                "app_version": attributes.app_version,
                "app_version_min": conditions.app_version_min,
                "app_version_max": conditions.app_version_max,
            }
        case Reason.OS:
            return {"os": attributes.os, "admitted": list(conditions.os)}
        case Reason.AUDIENCE:
            return {"user": viewer.user}
        case Reason.ATTRIBUTES:
            for name, values in conditions.attributes:
                value = attributes.custom.get(name)
                if value not in values:
                    return {"attribute": name, "value": value, "admitted": list(values)}
            return {"attribute": ""}
        case Reason.ROLLOUT if conditions.rollout is not None:
            return {"percent": conditions.rollout.percent, "salt": conditions.rollout.salt}
        case Reason.OTHER_DEVICE:
            return {"device": conditions.device}
        case _:
            return {}


def _of_withdrawal(oplog: Oplog) -> dict[str, Any]:
    withdrawn = oplog.withdrawn
    if withdrawn is None:
        return {}
    by = {"device": withdrawn.by} if withdrawn.by else {}
    return {"by_id": withdrawn.by_id, "withdrawn_at_ms": withdrawn.at_ms, **by}


def _seen(viewer: Viewer) -> tuple[Any, str, str]:
    return viewer.attributes, viewer.user, viewer.device


def _because(reason: Reason, **details: Any) -> Explanation:
    return Explanation(reason, details)
