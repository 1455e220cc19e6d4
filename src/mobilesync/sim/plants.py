"""Planted bugs: known mistakes, each breaking a guarantee, to show that the checkers see them.

A checker is worth as much as what it catches.

Not here: mistakes with the rules of bizzes and of publishes (rule_plants.py).
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from mobilesync.client.inbox import Channel as BizAndTarget
from mobilesync.client.inbox import InboxRow
from mobilesync.client.local_store import LocalStore
from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Appended, Draft, Oplog, oplog_of
from mobilesync.domain.sync_point import Advance, Head, Resume, SyncPoint
from mobilesync.engine import arrival
from mobilesync.engine.service import Service
from mobilesync.engine.session import Session
from mobilesync.engine.sessions import Sessions
from mobilesync.engine.ticker import Ticker
from mobilesync.engine.waker import Waker
from mobilesync.protocol.codec import encode_push
from mobilesync.protocol.messages import Push
from mobilesync.sim.device_store import WatchedStore
from mobilesync.sim.disk import DiskHabits, SimStore
from mobilesync.sim.plant import Plant
from mobilesync.sim.rule_plants import RULE_PLANTS
from mobilesync.sim.scenario import Scenario
from mobilesync.storage.contract import Also, Page
from mobilesync.storage.disk import Disk


class _UnsyncedStore(SimStore):
    """Answers before the sync: a power cut takes what came since the kernel last wrote back."""

    def __init__(self, disk: Disk, habits: DiskHabits, rng: random.Random) -> None:
        super().__init__(disk, habits, rng)
        self._written_back = disk.copy()

    async def _sync_disk(self) -> None:
        if self._rng.random() < 0.2:
            self._written_back = self.disk.copy()
        self._habits.on_sync()

    async def after_death(self, rng: random.Random) -> Disk:
        return self._written_back


class AnswerBeforeSync(Plant):
    """The publisher is answered when the kernel has the bytes, not the disk."""

    guarantees = frozenset({"G1"})
    server_store_class = _UnsyncedStore
    faults = frozenset({"power_cut"})


class _UncommittedStore(SimStore):
    """Shows oplogs that have an id but are not durable yet, and wakes who waits for them."""

    waker: Waker | None = None

    async def append(self, drafts: Sequence[Draft], also: Also | None = None) -> list[Appended]:
        loop = asyncio.get_running_loop()
        for draft in drafts:
            if self.waker is not None:
                loop.call_soon(self.waker.wake, draft.channel.app, draft.channel.target)
        return await super().append(drafts, also)

    async def heads(self, app: str, targets: Sequence[str]) -> dict[Channel, Head]:
        heads = await super().heads(app, targets)
        for channel, oplogs in self._uncommitted().items():
            if channel.app == app and channel.target in targets:
                heads[channel] = Head(oplogs[-1].id, self.lineage[-1])
        return heads

    async def read(self, channel: Channel, after: int, count_max: int, bytes_max: int) -> Page:
        page = await super().read(channel, after, count_max, bytes_max)
        more = [o for o in self._uncommitted().get(channel, []) if o.id > page.upto]
        return Page([*page.oplogs, *more], more[-1].id) if more else page

    def _uncommitted(self) -> dict[Channel, list[Oplog]]:
        found: dict[Channel, list[Oplog]] = {}
        for drafts, _ in self._unconfirmed.values():
            for draft in drafts:
                oplog_id = self._assigned_ids.get((draft.channel, draft.message_id))
                if oplog_id is not None:
                    found.setdefault(draft.channel, []).append(oplog_of(draft, oplog_id))
        return found


class PushBeforeDurable(Plant):
    """The pump is not capped at the durable head: a device may hold what the store forgets."""

    guarantees = frozenset({"G1", "G2", "G3"})
    server_store_class = _UncommittedStore
    faults = frozenset({"server_kill", "power_cut"})

    def adjust(self, service: Service) -> None:
        assert isinstance(service.store, _UncommittedStore)
        service.store.waker = service.waker

    def store(self, disk: Disk, habits: DiskHabits, rng: random.Random) -> SimStore:
        habits.sync_s = 1.0
        return super().store(disk, habits, rng)


class _ReversedStore(SimStore):
    """Gives ids to a batch in the wrong order."""

    async def append(self, drafts: Sequence[Draft], also: Also | None = None) -> list[Appended]:
        return (await super().append(drafts[::-1], also))[::-1]


class BatchReversed(Plant):
    """Ids of a batch are not in the order of its items."""

    guarantees = frozenset({"G2"})
    server_store_class = _ReversedStore


class _SkippingStore(SimStore):
    """Leaves an oplog out of a page now and then."""

    async def read(self, channel: Channel, after: int, count_max: int, bytes_max: int) -> Page:
        page = await super().read(channel, after, count_max, bytes_max)
        if len(page.oplogs) > 1 and self._rng.random() < 0.3:
            return Page(page.oplogs[1:], page.upto)
        return page


class PumpSkips(Plant):
    """A page leaves an oplog out, and says that it is complete."""

    guarantees = frozenset({"G2"})
    server_store_class = _SkippingStore


def _from_the_beginning(
    point: SyncPoint | None, head: Head | None, lineage: Sequence[int]
) -> Resume:
    return Resume(0)


class AfterIgnored(Plant):
    """The session begins at id 0, whatever the device holds."""

    guarantees = frozenset({"CONDUCT", "G2", "G3"})
    patches = ((arrival, "resume", _from_the_beginning),)
    faults = frozenset({"cut"})


class WakesLostUnhealed(Plant):
    """Wakes are lost, and no sweep heals that."""

    guarantees = frozenset({"G3"})

    def scenario(self, drawn: Scenario) -> Scenario:
        service = replace(drawn.service, sweep_interval_s=1e6)
        return replace(drawn, service=service, lose_wakes=0.5, faults=frozenset())


class _WrongUserStore(SimStore):
    """Shows the channels of a user who is somebody else."""

    async def heads(self, app: str, targets: Sequence[str]) -> dict[Channel, Head]:
        return await super().heads(app, [*targets, "user:ann"])


class WrongTarget(Plant):
    """A session is shown another user's channels."""

    guarantees = frozenset({"G4"})
    server_store_class = _WrongUserStore


_WATCH = Sessions.watch


def _watch_more(registry: Sessions, session: Session, targets: Sequence[str]) -> None:
    _WATCH(registry, session, tuple(dict.fromkeys((*session.targets, *targets))))


class OldUserKept(Plant):
    """After a user change the session still watches the old user's channels."""

    guarantees = frozenset({"G4"})
    patches = ((Sessions, "watch", _watch_more),)
    faults = frozenset({"switch_user"})


class _BlindStore(SimStore):
    """Forgets the conditions."""

    async def read(self, channel: Channel, after: int, count_max: int, bytes_max: int) -> Page:
        page = await super().read(channel, after, count_max, bytes_max)
        oplogs = [msgspec.structs.replace(oplog, conditions=None) for oplog in page.oplogs]
        return Page(oplogs, page.upto)


class ConditionsIgnored(Plant):
    """Operating system and app version are not looked at."""

    guarantees = frozenset({"G4"})
    server_store_class = _BlindStore


class _EternalStore(SimStore):
    """Forgets that oplogs end."""

    async def read(self, channel: Channel, after: int, count_max: int, bytes_max: int) -> Page:
        page = await super().read(channel, after, count_max, bytes_max)
        oplogs = [msgspec.structs.replace(oplog, expires_at_ms=2**53) for oplog in page.oplogs]
        return Page(oplogs, page.upto)


class ValidityIgnored(Plant):
    """What has ended is still pushed."""

    guarantees = frozenset({"G3"})
    server_store_class = _EternalStore
    faults = frozenset({"cut", "reinstall"})


class Chatty(Plant):
    """Now and then the server says again where each channel is."""

    guarantees = frozenset({"G6"})

    def adjust(self, service: Service) -> None:
        async def chat() -> None:
            for session in service.sessions.slice(0, 1):
                for channel, cursor in session.cursors.items():
                    place = (channel.biz, channel.target, cursor.told, cursor.told)
                    session.write(encode_push(*place, ()))

        Ticker("chat", 20.0, chat).start()


class NoBackpressure(Plant):
    """The pump does not look at what the kernel has not taken."""

    guarantees = frozenset({"G7"})
    faults = frozenset({"stall", "reinstall", "half_open"})

    def scenario(self, drawn: Scenario) -> Scenario:
        drawn = super().scenario(drawn)
        session = replace(
            drawn.service.session,
            push_bytes=600,
            push_count=3,
            window_bytes=512 * 1024,
            window_count=2000,
            buffered_bytes_max=1024,
        )
        return replace(drawn, service=replace(drawn.service, session=session), publishes=80)

    def adjust(self, service: Service) -> None:
        vars(service.sessions.pump)["_buffered_bytes_max"] = 2**60


class _ForgetfulStore(SimStore):
    """Forgets its message ids."""

    async def append(self, drafts: Sequence[Draft], also: Also | None = None) -> list[Appended]:
        for draft in drafts:
            self.disk.message_ids.pop((draft.channel, draft.message_id), None)
        return await super().append(drafts, also)


class DuplicatesForgotten(Plant):
    """A message id that was stored already is stored again."""

    guarantees = frozenset({"G8"})
    server_store_class = _ForgetfulStore


class _SilentStore(SimStore):
    """Does not say that something was there already."""

    async def append(self, drafts: Sequence[Draft], also: Also | None = None) -> list[Appended]:
        return [Appended(answer.id) for answer in await super().append(drafts, also)]


class DuplicatesNotTold(Plant):
    """A repeated publish is answered as if it were the first."""

    guarantees = frozenset({"G8"})
    server_store_class = _SilentStore


class _HelloIsNoAck:
    """The store as the logins see it: without `advance`."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def advance(self, advances: Sequence[Advance]) -> None:
        """Forgotten."""


class HelloIsNoAck(Plant):
    """An ack that died with its link is never made up for."""

    guarantees = frozenset({"G9"})
    faults = frozenset({"cut", "server_kill", "half_open"})

    def adjust(self, service: Service) -> None:
        logins = vars(service.sessions)["_logins"]
        vars(logins)["_store"] = _HelloIsNoAck(service.store)


def _as_if_nothing_was_lost(
    point: SyncPoint | None, head: Head | None, lineage: Sequence[int]
) -> Resume:
    received = point.received if point else 0
    return Resume(min(received, head.last if head else 0))


class ResetOmitted(Plant):
    """After a restore a device is not told that its sync point is no longer true."""

    guarantees = frozenset({"CONDUCT", "G2", "G3"})
    patches = ((arrival, "resume", _as_if_nothing_was_lost),)
    faults = frozenset({"restore"})


class EpochKept(Plant):
    """A restore does not begin a new epoch: old ids are taken for new ones."""

    guarantees = frozenset({"G1", "G2", "G3"})
    faults = frozenset({"restore"})

    def restored_lineage(self, backup: tuple[int, ...], epoch: int) -> tuple[int, ...]:
        return backup


class _MarksFirst(WatchedStore):
    """Notes that a call is finished before it is made."""

    def take(self, channel: BizAndTarget) -> InboxRow | None:
        row = super().take(channel)
        if row is not None:
            LocalStore.finish(self, [row.key])
        return row


class MarkBeforeCall(Plant):
    """A handler that is cut off is not called again."""

    guarantees = frozenset({"G3"})
    store_class = _MarksFirst
    faults = frozenset({"device_kill_at_seam", "device_kill"})


class _ForgetsMarks(WatchedStore):
    """Loses a mark now and then."""

    def finish(self, keys: Sequence[int]) -> None:
        if self._deadly.rng.random() < 0.9:
            super().finish(keys)
        else:
            self._note_marked(keys)


class MarksForgotten(Plant):
    """A call that has finished is made again."""

    guarantees = frozenset({"G2"})
    store_class = _ForgetsMarks


class _TwoTransactions(WatchedStore):
    """Moves the sync point in one transaction, and saves the oplogs in the next."""

    def apply(self, pushes: Sequence[Push], epoch: int) -> None:
        armed = self._deadly.armed
        if armed is not None and armed[0] == "apply":
            moved = [msgspec.structs.replace(push, oplogs=[]) for push in pushes]
            LocalStore.apply(self, moved, epoch)
            self._deadly.die()
        super().apply(pushes, epoch)


class SaveInTwoTransactions(Plant):
    """A device that dies between the two has moved past oplogs that it does not hold."""

    guarantees = frozenset({"G2", "G3"})
    store_class = _TwoTransactions
    faults = frozenset({"device_kill_at_seam"})


PLANTS: dict[str, type[Plant]] = {
    "answer-before-sync": AnswerBeforeSync,
    "push-before-durable": PushBeforeDurable,
    "batch-reversed": BatchReversed,
    "pump-skips": PumpSkips,
    "after-ignored": AfterIgnored,
    "wakes-lost-unhealed": WakesLostUnhealed,
    "wrong-target": WrongTarget,
    "old-user-kept": OldUserKept,
    "conditions-ignored": ConditionsIgnored,
    "validity-ignored": ValidityIgnored,
    "chatty": Chatty,
    "no-backpressure": NoBackpressure,
    "duplicates-forgotten": DuplicatesForgotten,
    "duplicates-not-told": DuplicatesNotTold,
    "hello-is-no-ack": HelloIsNoAck,
    "reset-omitted": ResetOmitted,
    "epoch-kept": EpochKept,
    "mark-before-call": MarkBeforeCall,
    "marks-forgotten": MarksForgotten,
    "save-in-two-transactions": SaveInTwoTransactions,
    **RULE_PLANTS,
}
