"""Planted bugs with rules: of bizzes, of publishes, and of what operators do.

As in plants.py, each is a mistake that a person could make, and one line at its core.
"""

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from mobilesync.client import acks as client_acks
from mobilesync.client import arrivals
from mobilesync.domain import rules
from mobilesync.domain.channel import Channel
from mobilesync.domain.message_id import RESERVED
from mobilesync.domain.oplog import Draft, oplog_of
from mobilesync.domain.sync_point import Advance
from mobilesync.engine import (
    acks,
    consumption,
    feed,
    login,
    offers,
    places,
    publisher,
    pump,
    replays,
    sessions,
    window,
)
from mobilesync.engine.acks import Progress
from mobilesync.engine.arrival import Entry
from mobilesync.engine.replays import Replay
from mobilesync.engine.scheduled import Scheduled
from mobilesync.engine.scheduler import Scheduler
from mobilesync.engine.service import Service
from mobilesync.engine.ticker import pause
from mobilesync.sim.disk import DiskHabits, SimStore
from mobilesync.sim.plant import Plant
from mobilesync.sim.scenario import Scenario
from mobilesync.storage.contract import Document, Page
from mobilesync.storage.disk import Disk

_Rules = Mapping[str, Any]
_ONE_POINT: _Rules = {"multi_device": False, "consumed_by": "each", "user_check": False}
_ONE_CONSUMER: _Rules = {"multi_device": True, "consumed_by": "one", "user_check": False}
_FOR_USERS: _Rules = {"target_kind": "user", "user_check": True}


def _nothing(*_arguments: Any, **_named: Any) -> Any:
    return None


class _OneUser(Plant):
    """The bug shows itself where a user has several devices."""

    def scenario(self, drawn: Scenario) -> Scenario:
        drawn = super().scenario(drawn)
        devices = tuple(replace(plan, user=drawn.users[0]) for plan in drawn.devices)
        return replace(drawn, devices=devices)


class WithheldIgnored(Plant):
    """The pump does not ask whether a rule withholds the channel."""

    guarantees = frozenset({"WITHHELD"})
    patches = ((pump, "withheld", _nothing),)
    faults = frozenset({"rules_change"})
    rules = (("PAY", _FOR_USERS),)


class NoticesUnchecked(Plant):
    """The user check is not asked about for what is not kept."""

    guarantees = frozenset({"WITHHELD"})
    patches = ((sessions, "withheld", _nothing),)
    rules = (("LIVE", _FOR_USERS),)


class _WideStore(SimStore):
    """Forgets users, attributes and shares of devices, but not systems and versions."""

    async def read(self, channel: Channel, after: int, count_max: int, bytes_max: int) -> Page:
        page = await super().read(channel, after, count_max, bytes_max)
        narrow = (
            msgspec.structs.replace(
                oplog.conditions, users=(), user_number_min=0, attributes=(), rollout=None
            )
            if oplog.conditions is not None
            else None
            for oplog in page.oplogs
        )
        oplogs = [
            msgspec.structs.replace(oplog, conditions=conditions)
            for oplog, conditions in zip(page.oplogs, narrow, strict=True)
        ]
        return Page(oplogs, page.upto, page.floor)


class AudienceIgnored(Plant):
    """Users, custom attributes and rollouts are not looked at."""

    guarantees = frozenset({"G4"})
    server_store_class = _WideStore
    kinds = frozenset({"audiences", "attributes", "rollout"})


def _no_steps(_session: Any, _advances: Sequence[Advance]) -> list[Advance]:
    return []


class PointNotShared(_OneUser):
    """What one device of the user has acked does not move the user's point."""

    guarantees = frozenset({"ONE-POINT"})
    patches = (
        (acks, "shared_steps", _no_steps),
        (login, "shared_steps", _no_steps),
    )
    rules = (("MAIL", _ONE_POINT),)


def _all_ids(before: int, upto: int, _skipped: object) -> list[tuple[int, int]]:
    return [(before + 1, upto)]


class ConsumedUnseen(_OneUser):
    """What a device was passed over counts as consumed by it."""

    guarantees = frozenset({"CONSUMED"})
    patches = ((consumption, "given_ids", _all_ids),)
    rules = (("MAIL", _ONE_CONSUMER),)


def _no_news(_entry: Entry) -> Iterator[Progress]:
    return iter(())


class HelloNotHeard(_OneUser):
    """What a device has processed while it was away is news to nobody."""

    guarantees = frozenset({"CONSUMED"})
    patches = ((Entry, "progress", _no_news),)
    rules = (("MAIL", _ONE_CONSUMER),)
    faults = frozenset({"cut", "half_open", "late_handlers"})


class ConsumptionForgotten(_OneUser):
    """What is to be withdrawn is in memory alone, and the server dies before it is."""

    guarantees = frozenset({"CONSUMED"})
    patches = ((consumption.Consumption, "_note", _nothing),)
    rules = (("MAIL", _ONE_CONSUMER),)
    faults = frozenset({"server_kill", "power_cut"})

    def adjust(self, service: Service) -> None:
        append = service.consumption._append

        async def late(drafts: Any) -> Any:
            await pause(3.0)
            return await append(drafts)

        service.consumption._append = late


def _another_message_id(_target: str, _oplog_id: int, _device: str, _by: str) -> str:
    return f"{RESERVED}offer:{asyncio.get_running_loop().time()}"


class OfferedTwice(Plant):
    """An offer's message id is another one each time."""

    guarantees = frozenset({"G5"})
    patches = ((offers, "_message_id", _another_message_id),)
    faults = frozenset({"upgrade", "attributes"})
    kinds = frozenset({"attributes"})


async def _none_offered(*_arguments: Any) -> int:
    return 0


class OffersLost(Plant):
    """What a device could not get before is not offered when it has changed."""

    guarantees = frozenset({"G3"})
    patches = ((offers.Offers, "offer", _none_offered),)
    faults = frozenset({"upgrade"})


def _note_whatever_it_is(publisher: Any, drafts: Sequence[Draft], answers: Sequence[Any]) -> None:
    for draft, answer in zip(drafts, answers, strict=True):
        if not answer.duplicate:
            publisher._tail.note(draft.channel, oplog_of(draft, answer.id))


class RecallLeavesTail(Plant):
    """A recall marks what is stored, and leaves what is in memory."""

    guarantees = frozenset({"WITHDRAWN"})
    patches = (
        (feed.Feed, "withdrawn", _nothing),
        (publisher.Publisher, "_note", _note_whatever_it_is),
    )
    faults = frozenset({"recall", "device_away", "reinstall"})

    def scenario(self, drawn: Scenario) -> Scenario:
        # A server that dies forgets what is in memory, and so hides the bug.
        return replace(super().scenario(drawn), faults=self.faults, fault_every_s=1.0, publishes=60)


class WithdrawalsUnread(Plant):
    """The SDK saves a withdrawal as an oplog that has nothing to say."""

    guarantees = frozenset({"WITHDRAWN"})
    patches = ((arrivals, "_save_withdrawal", _nothing),)
    faults = frozenset({"recall"})


async def _count_ids(
    _places: Any, _session: Any, _channel: Channel, low: int, high: int
) -> list[int]:
    return list(range(low + 1, high + 1))


class ThresholdCountsIds(Plant):
    """The newest N are counted by their ids, whether or not the device may see them."""

    guarantees = frozenset({"G2"})
    patches = ((places.Places, "_ids", _count_ids),)
    rules = (("CHAT", {"repush_threshold": 2}),)
    faults = frozenset({"device_away", "reinstall"})


async def _no_cut(*_arguments: Any) -> None:
    return


class ThresholdIgnored(Plant):
    """All of a backlog is pushed again."""

    guarantees = frozenset({"THRESHOLD"})
    patches = ((places.Places, "_cut", _no_cut),)
    rules = (("CHAT", {"repush_threshold": 1}),)
    faults = frozenset({"device_away", "reinstall"})


async def _nothing_newer(*_arguments: Any) -> dict[int, Any]:
    return {}


class NewerIgnored(Plant):
    """A device that catches up gets all values of a key."""

    guarantees = frozenset({"KEYS"})
    patches = ((feed.Feed, "_newer", _nothing_newer),)
    kinds = frozenset({"keys"})
    faults = frozenset({"device_away", "reinstall"})


class ReplacedByUnseen(Plant):
    """A value is replaced by a newer one that the device may not see."""

    guarantees = frozenset({"G2", "G3"})
    patches = ((rules, "_replaces", lambda newer, viewer: True),)
    kinds = frozenset({"keys"})
    faults = frozenset({"device_away", "reinstall"})


async def _remember(keeper: replays.Replays, replay: Replay) -> None:
    keeper._of(replay)[replay.channel] = replay


class ReplayForgotten(Plant):
    """A replay is in memory alone: a server that dies before the device comes forgets it."""

    guarantees = frozenset({"OPERATOR"})
    patches = ((replays.Replays, "put", _remember),)
    faults = frozenset({"rewind", "server_kill", "power_cut", "device_away"})

    def scenario(self, drawn: Scenario) -> Scenario:
        # It must die within the seconds that the device is away.
        return replace(super().scenario(drawn), fault_every_s=1.0)


class _ForgetfulConfigs:
    """The store as the configs see it: what is put there takes effect, and is not kept."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def put_documents(self, documents: Sequence[Document]) -> None:
        """Forgotten, but for what there must be to begin with."""
        kept = [each for each in documents if await self.document(each.kind, each.key) is None]
        await self._store.put_documents(kept)


class RulesForgotten(Plant):
    """A change of rules takes effect, and is gone with the server."""

    guarantees = frozenset({"OPERATOR"})
    faults = frozenset({"rules_change", "server_kill"})

    def adjust(self, service: Service) -> None:
        configs = vars(service.configs)
        configs["_store"] = _ForgetfulConfigs(configs["_store"])


class ScheduledAtOnce(Plant):
    """A publish whose validity begins later is stored like any other."""

    guarantees = frozenset({"SCHEDULED"})
    patches = ((publisher, "_due_ms", lambda config, item, now_ms: 0),)
    kinds = frozenset({"scheduled"})


async def _keep_nothing(_scheduler: Scheduler, items: Sequence[Scheduled]) -> list[bool]:
    return [False] * len(items)


class ScheduleForgotten(Plant):
    """What is scheduled is answered, and kept nowhere."""

    guarantees = frozenset({"SCHEDULED"})
    patches = ((Scheduler, "put", _keep_nothing),)
    kinds = frozenset({"scheduled"})


class SkipsUntold(Plant):
    """The journal is not told what a device was moved over."""

    guarantees = frozenset({"G9"})
    patches = ((window.Cursor, "covered", lambda cursor, received: ()),)


class _HoleyStore(SimStore):
    """Loses a step of the journal now and then, and not the point that it moves."""

    def __init__(self, disk: Disk, habits: DiskHabits, rng: random.Random) -> None:
        super().__init__(disk, habits, rng)
        keep = disk.step

        def step(advance: Advance) -> None:
            if rng.random() < 0.8:
                keep(advance)

        vars(disk)["step"] = step


class StepsLost(Plant):
    """A sync point moves, and its journal does not say so."""

    guarantees = frozenset({"G9"})
    server_store_class = _HoleyStore


def _only_moved(told: client_acks.Acks, channel: tuple[str, str]) -> None:
    told.moved([channel])


class RewoundUnsaid(Plant):
    """A device that was rewound, and is soon back where it was, never says so."""

    guarantees = frozenset({"CONDUCT", "G9"})
    patches = ((client_acks.Acks, "was_reset", _only_moved),)
    faults = frozenset({"rewind"})


RULE_PLANTS: dict[str, type[Plant]] = {
    "withheld-ignored": WithheldIgnored,
    "notices-unchecked": NoticesUnchecked,
    "audience-ignored": AudienceIgnored,
    "point-not-shared": PointNotShared,
    "consumed-unseen": ConsumedUnseen,
    "hello-not-heard": HelloNotHeard,
    "consumption-forgotten": ConsumptionForgotten,
    "offered-twice": OfferedTwice,
    "offers-lost": OffersLost,
    "recall-leaves-tail": RecallLeavesTail,
    "withdrawals-unread": WithdrawalsUnread,
    "threshold-counts-ids": ThresholdCountsIds,
    "threshold-ignored": ThresholdIgnored,
    "newer-ignored": NewerIgnored,
    "replaced-by-unseen": ReplacedByUnseen,
    "replay-forgotten": ReplayForgotten,
    "rules-forgotten": RulesForgotten,
    "scheduled-at-once": ScheduledAtOnce,
    "schedule-forgotten": ScheduleForgotten,
    "skips-untold": SkipsUntold,
    "steps-lost": StepsLost,
    "rewound-unsaid": RewoundUnsaid,
}
