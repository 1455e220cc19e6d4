"""What became of oplogs, for those who asked to be told.

Strategy: an oplog that was published with a `callback`, or whose app wants to know what was never
delivered, is *awaited*: noted in the commit that stores it, until the first of these: a device has
processed it, it is recalled, or it ends. Acks come by as progress of sync points; what is told of
them is kept in the commit that the advances ride in, so that it is told exactly when it is proven.

What is awaited is in memory too, by channel, because each ack asks.

Invariants:
- one outcome for each callback;
- at most WAITING_MAX are awaited; publishes with a callback are refused beyond, and what was only
  to be watched for its end is not.
"""

import heapq
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from msgspec import Struct, json, structs

from mobilesync.domain.channel import EVERYONE, Channel
from mobilesync.domain.errors import InvalidRequest, NotFound, Overloaded
from mobilesync.domain.message_id import whole_message_id
from mobilesync.domain.oplog import Appended, Draft
from mobilesync.engine.acks import Progress, given_ids
from mobilesync.engine.happenings import Listener
from mobilesync.engine.session import Session
from mobilesync.storage.contract import Also, Document, Store

KIND = "awaited"
WAITING_MAX = 100_000
DEVICES_MAX = 16
"""Devices that are remembered to have received one awaited oplog."""
DUE_MAX = 1_000

Outcome = Literal["processed", "delivered", "undelivered", "recalled"]


class Awaited(Struct, frozen=True):
    """One oplog whose fate somebody wants to know."""

    channel: Channel
    id: int
    message_id: str
    expires_at_ms: int
    callback: str = ""
    """The webhook to be told; empty when only the end without delivery is of interest."""
    received_by: tuple[str, ...] = ()


class Outcomes:
    """Watches over oplogs."""

    def __init__(self, store: Store, listener: Listener) -> None:
        self._store = store
        self._listener = listener
        self._waiting: dict[Channel, dict[int, Awaited]] = {}
        self._due: list[tuple[int, Channel, int]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    async def load(self) -> None:
        """Read all from the store. Call before anything else."""
        for value in (await self._store.documents(KIND)).values():
            self._keep(json.decode(value, type=Awaited))

    # For the publisher -------------------------------------------------------------------

    def check_callback(self, app: str, target: str, callback: str) -> None:
        """Raises InvalidRequest, NotFound, Overloaded when an oplog cannot have the callback."""
        if target == EVERYONE:
            hint = "the outcome of a publish to everyone is in: inspect oplog"
            raise InvalidRequest("no callback for everyone", field="callback", hint=hint)
        if not self._listener.has(app, callback):
            hint = "the name of one of the app's webhooks"
            raise NotFound("no such webhook", field="callback", hint=hint)
        if self._count >= WAITING_MAX:
            raise Overloaded("too many callbacks are awaited", retry_after_s=60)

    def also(self, drafts: Sequence[Draft]) -> Also | None:
        """What is to be stored together with `drafts`."""
        if not self._may_be_awaited(drafts):
            return None

        def documents(answers: Sequence[Appended]) -> list[Document]:
            return [_document(each) for each in self._awaited(drafts, answers)]

        return documents

    def stored(self, drafts: Sequence[Draft], answers: Sequence[Appended]) -> None:
        """`drafts` are durable."""
        if self._may_be_awaited(drafts):
            for each in self._awaited(drafts, answers):
                self._keep(each)
        for draft in drafts:
            if draft.details is None:
                continue
            withdraws = draft.details.withdraws
            if withdraws is not None and not withdraws.by:
                self._recalled(draft.channel, withdraws.ids)

    # For sessions and housekeeping -------------------------------------------------------

    def progressed(self, session: Session, progress: Progress) -> None:
        """A device's sync point has moved."""
        channel = progress.channel
        biz = channel.biz
        wants_delivered = self._listener.wants(channel.app, "oplog.delivered", biz)
        wants_processed = self._listener.wants(channel.app, "oplog.processed", biz)
        waiting = self._waiting.get(channel)
        if not (wants_delivered or wants_processed or waiting):
            return
        received = given_ids(progress.received_before, progress.received, progress.skipped)
        if received and wants_delivered:
            data = _moved(session, progress, received)
            self._listener.put(channel.app, "oplog.delivered", data, biz=biz)
        processed = given_ids(progress.processed_before, progress.processed, progress.passed)
        if processed and wants_processed:
            data = _moved(session, progress, processed)
            self._listener.put(channel.app, "oplog.processed", data, biz=biz)
        if waiting:
            self._look(session.device, waiting, received, processed)

    def settle(self, now_ms: int) -> int:
        """Tell what has ended by `now_ms`; answer whether there may be more (how many were)."""
        count = 0
        while self._due and self._due[0][0] <= now_ms and count < DUE_MAX:
            _, channel, oplog_id = heapq.heappop(self._due)
            awaited = self._waiting.get(channel, {}).get(oplog_id)
            if awaited is not None:
                self._end(awaited, "delivered" if awaited.received_by else "undelivered")
                count += 1
        return count

    def _may_be_awaited(self, drafts: Sequence[Draft]) -> bool:
        """Whether any of `drafts` may be awaited; quick when nobody wants to know, as is usual."""
        bizzes: set[tuple[str, str]] = set()
        for draft in drafts:
            if draft.details is not None:
                return True
            app, biz, _ = draft.channel
            bizzes.add((app, biz))
        wants = self._listener.wants
        return any(wants(app, "oplog.undelivered", biz) for app, biz in bizzes)

    def _is_awaited(self, draft: Draft) -> bool:
        if draft.details is not None:
            if draft.details.callback:
                return True
            if draft.details.withdraws is not None or draft.details.origin is not None:
                return False
        channel = draft.channel
        return (
            channel.target != EVERYONE
            and self._count < WAITING_MAX
            and self._listener.wants(channel.app, "oplog.undelivered", channel.biz)
        )

    def _awaited(self, drafts: Sequence[Draft], answers: Sequence[Appended]) -> Iterable[Awaited]:
        for draft, answer in zip(drafts, answers, strict=True):
            if answer.duplicate or not self._is_awaited(draft):
                continue
            callback = draft.details.callback if draft.details is not None else ""
            message_id = whole_message_id(draft.message_id, answer.id)
            yield Awaited(draft.channel, answer.id, message_id, draft.expires_at_ms, callback)

    def _keep(self, awaited: Awaited) -> None:
        waiting = self._waiting.setdefault(awaited.channel, {})
        if awaited.id not in waiting:
            self._count += 1
            heapq.heappush(self._due, (awaited.expires_at_ms, awaited.channel, awaited.id))
        waiting[awaited.id] = awaited

    def _look(
        self,
        device: str,
        waiting: dict[int, Awaited],
        received: Sequence[tuple[int, int]],
        processed: Sequence[tuple[int, int]],
    ) -> None:
        for oplog_id in [each for each in waiting if _is_in(each, received)]:
            awaited = waiting[oplog_id]
            if not awaited.callback:
                self._forget(awaited)
            elif len(awaited.received_by) < DEVICES_MAX and device not in awaited.received_by:
                awaited = structs.replace(awaited, received_by=(*awaited.received_by, device))
                waiting[oplog_id] = awaited
                self._store.note_documents([_document(awaited)])
        for oplog_id in [each for each in waiting if _is_in(each, processed)]:
            awaited = waiting[oplog_id]
            # One that was passed over on this device was not processed by it.
            if device in awaited.received_by:
                self._end(awaited, "processed", device)

    def _recalled(self, channel: Channel, ids: Iterable[tuple[int, int]]) -> None:
        waiting = self._waiting.get(channel, {})
        for oplog_id in [each for each in waiting if _is_in(each, tuple(ids))]:
            self._end(waiting[oplog_id], "recalled")

    def _end(self, awaited: Awaited, outcome: Outcome, device: str = "") -> None:
        channel = awaited.channel
        data: dict[str, Any] = {
            "biz": channel.biz,
            "target": channel.target,
            "id": awaited.id,
            "message_id": awaited.message_id,
            "outcome": outcome,
            "device": device,
            "received_by": list(awaited.received_by),
        }
        if awaited.callback:
            self._listener.put_for(channel.app, awaited.callback, "oplog.outcome", data)
        if outcome == "undelivered" and self._listener.wants(
            channel.app, "oplog.undelivered", channel.biz
        ):
            self._listener.put(channel.app, "oplog.undelivered", data, biz=channel.biz)
        self._forget(awaited)

    def _forget(self, awaited: Awaited) -> None:
        waiting = self._waiting.get(awaited.channel, {})
        if waiting.pop(awaited.id, None) is not None:
            self._count -= 1
        if not waiting:
            self._waiting.pop(awaited.channel, None)
        self._store.note_documents([Document(KIND, _key(awaited), None)])


def _document(awaited: Awaited) -> Document:
    return Document(KIND, _key(awaited), json.encode(awaited))


def _key(awaited: Awaited) -> str:
    return "\0".join((*awaited.channel, str(awaited.id)))


def _moved(session: Session, progress: Progress, ids: Sequence[tuple[int, int]]) -> dict[str, Any]:
    channel = progress.channel
    return {
        "biz": channel.biz,
        "target": channel.target,
        "device": session.device,
        "user": session.user,
        "lap": progress.lap,
        "ids": [list(each) for each in ids],
    }


def _is_in(oplog_id: int, ranges: Sequence[tuple[int, int]]) -> bool:
    return any(first <= oplog_id <= last for first, last in ranges)
