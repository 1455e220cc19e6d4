"""G5: what a device could not get before is offered again when the device has changed.

Strategy: the journal tells which ids a sync point moved over because of the device's OS, version,
attributes or user. When a device logs in changed, those that it may see now are appended anew, with
their origin. An offer of `everyone` or the device goes to the device's own channel; one that is for
a user goes to that user's channel, for this device alone, so that no other user of the device can
get it. The message id of an offer is made from its origin, so it is appended once however often
this runs.

A device that lost its store passes the origin again: then the offer is passed over (`judge`).

The evidence rides along with acks, and a crash may lose the last of it. A Hello that says more than
the store knows tells that: the ids between are judged again, by what the device was before.

Invariants:
- the last word on an id counts: a later lap that covers it without a skip means that it was had;
- an offer is made only of what is still valid, and not withdrawn or superseded.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from mobilesync.domain.channel import Channel, device_target, is_user_target, user_target
from mobilesync.domain.clock import Clock
from mobilesync.domain.conditions import Conditions
from mobilesync.domain.errors import OutcomeUnknown, Refused
from mobilesync.domain.message_id import RESERVED
from mobilesync.domain.oplog import Appended, Details, Draft, Oplog, Origin
from mobilesync.domain.reasons import OFFERED_AGAIN, Reason
from mobilesync.domain.rules import Viewer
from mobilesync.domain.sync_point import Advance, Head, Skip, SyncPoint, user_owner
from mobilesync.engine.feed import Feed, FeedPage, skips_of
from mobilesync.engine.proof import last_words
from mobilesync.engine.session import Session
from mobilesync.engine.ticker import pause
from mobilesync.storage.contract import Store

CANDIDATES_MAX = 1_000
"""Of one channel at one login: the newest."""
RECOVERED_IDS_MAX = 10_000
STEPS_MAX = 5_000
_PAGE_BYTES = 1024 * 1024
_ONE_BYTES = 1

Append = Callable[[Sequence[Draft]], Awaitable[list[Appended]]]


class Offers:
    """Offers again, and judges what was offered."""

    def __init__(self, store: Store, feed: Feed, clock: Clock, append: Append) -> None:
        """`append` stores drafts and wakes who waits (publisher.py)."""
        self._store = store
        self._feed = feed
        self._clock = clock
        self._append = append
        self.offered = 0
        """Oplogs offered so far."""

    # At login ----------------------------------------------------------------------------

    async def recover(
        self, channel: Channel, known: int, said: int, head: Head, before: Viewer
    ) -> tuple[Skip, ...]:
        """What a device that holds `said`, of which only `known` was on record, does not get of
        what is between the two, judged by what it was `before`."""
        low, high = max(known, head.trimmed, said - RECOVERED_IDS_MAX), min(said, head.last)
        now_ms = self._clock.wall_ms()
        refused: list[tuple[int, Reason]] = []
        while low < high:
            page = await self._feed.page(channel, low, high, (_PAGE_BYTES, high - low))
            judged = page.judge(before, now_ms)[1]
            refused += ((oplog_id, reason) for oplog_id, reason in judged if oplog_id <= high)
            if page.upto <= low:
                break
            low = page.upto
        return tuple(skips_of(refused))

    async def offer(
        self,
        session: Session,
        points: Mapping[Channel, SyncPoint],
        shared: Mapping[Channel, SyncPoint],
        heads: Mapping[Channel, Head],
    ) -> int:
        """Offer the session's device again what it may see now; answer how many.

        `points` are the device's in the session's channels, `shared` those of its user in the
        channels where the sync point is the user's. Raises Refused, OutcomeUnknown; then the next
        login offers it.
        """
        drafts: dict[tuple[str, Origin], Draft] = {}
        viewer = session.viewer
        for channel in dict.fromkeys((*points, *shared, *session.cursors)):
            head = heads.get(channel)
            if head is None:
                continue
            # What an earlier user of this session was refused, and no ack has told of yet.
            cursor = session.cursors.get(channel)
            ids = dict.fromkeys(cursor.refused or ()) if cursor is not None else {}
            owners = {session.device: points.get(channel)}
            if channel in shared:
                owners[user_owner(session.user)] = shared[channel]
            for owner, point in owners.items():
                if point is not None and point.refused > head.trimmed:
                    found = await self.refused_ids(channel, owner, head, point.received)
                    if owner != session.device:
                        found = await self._not_had(session, channel, head, found)
                    ids.update(dict.fromkeys(found))
            for is_offer, draft in await self._drafts(
                channel, viewer, sorted(ids), shared=channel in shared
            ):
                # One offer of each root. Where an offer of it was refused too, that is offered:
                # the root's own offer was stored before, and would be taken for a repeat.
                root = channel.biz, _root(draft)
                if is_offer or root not in drafts:
                    drafts[root] = draft
        if not drafts or session.has_ended():
            return 0
        answers = await self._append([*drafts.values()])
        fresh = sum(not answer.duplicate for answer in answers)
        self.offered += fresh
        return fresh

    async def refused_ids(
        self, channel: Channel, owner: str, head: Head, received: int
    ) -> list[int]:
        """The ids up to `received` that the owner was refused for what it was, by the journal."""
        refused: dict[int, None] = {}
        after = head.trimmed
        while True:
            steps = await self._store.journal(channel, owner, after, STEPS_MAX)
            for step in steps:
                _cover(refused, step)
            # Steps come lap by lap, so only what has one lap can be read page by page. That so
            # many are of several laps takes thousands of acks and an operator; then the rest is
            # not looked at, and not offered.
            if len(steps) < STEPS_MAX or steps[-1].lap or steps[-1].received <= after:
                break
            after = steps[-1].received
            await pause(0)
        ids = [oplog_id for oplog_id in refused if head.trimmed < oplog_id <= received]
        return sorted(ids)[-CANDIDATES_MAX:]

    async def _drafts(
        self, channel: Channel, viewer: Viewer, ids: Iterable[int], *, shared: bool
    ) -> list[tuple[bool, Draft]]:
        """Whether what is offered is an offer itself, and the draft; the oldest first."""
        drafts: list[tuple[bool, Draft]] = []
        now_ms = self._clock.wall_ms()
        for oplog_id in ids:
            page = await self._feed.page(channel, oplog_id - 1, oplog_id, (_ONE_BYTES, 1))
            chosen, _ = page.judge(viewer, now_ms)
            if chosen and chosen[0].oplog.id == oplog_id:
                oplog = chosen[0].oplog
                is_offer = oplog.details is not None and oplog.details.origin is not None
                draft = offer_of(channel, oplog, viewer.user, viewer.device, shared=shared)
                drafts.append((is_offer, draft))
        return drafts

    # At the pump -------------------------------------------------------------------------

    async def judge(self, session: Session, page: FeedPage) -> frozenset[int]:
        """Those of the page's offers that the device gets, or got, at their origin."""
        found: list[int] = []
        for each in page.oplogs:
            details = each.oplog.details
            origin = details.origin if details is not None else None
            if origin is not None and not origin.by_operator:
                channel = Channel(page.channel.app, page.channel.biz, origin.target)
                if await self.has_at_origin(session, channel, origin.id):
                    found.append(each.oplog.id)
        return frozenset(found)

    async def has_at_origin(self, session: Session, channel: Channel, oplog_id: int) -> bool:
        """Whether the session's device gets, or got, the oplog in its own channel."""
        cursor = session.cursors.get(channel)
        if cursor is None or cursor.read < oplog_id:
            # The device has not passed it in this life of its store: it will, at the origin.
            return True
        if oplog_id > cursor.start:
            return cursor.refused is None or oplog_id not in cursor.refused
        refused = session.refused.get(channel)
        if refused is None:
            refused = session.refused[channel] = await self._refused_before(session, channel)
        return oplog_id not in refused

    async def _refused_before(self, session: Session, channel: Channel) -> frozenset[int]:
        """What the device, or its user, was refused in the channel before this session."""
        # What the last session acked may not be in the journal yet.
        with suppress(Refused, OutcomeUnknown):
            await self._store.put_documents([])
        heads = await self._store.heads(channel.app, [channel.target])
        head = heads.get(channel, Head(0, 0))
        ids = await self.refused_ids(channel, session.device, head, head.last)
        if is_user_target(channel.target):
            owner = user_owner(session.user)
            users = await self.refused_ids(channel, owner, head, head.last)
            ids += await self._not_had(session, channel, head, users)
        return frozenset(ids)

    async def _not_had(
        self, session: Session, channel: Channel, head: Head, ids: Sequence[int]
    ) -> list[int]:
        """Those of `ids` that the session's device has not got either: where the sync point is
        the user's, it may have passed them on another device."""
        if not ids:
            return []
        steps = await self._store.journal(channel, session.device, head.trimmed, STEPS_MAX)
        words = last_words(steps, head.trimmed, head.last)
        return [oplog_id for oplog_id in ids if words.get(oplog_id) != 0]


def _cover(refused: dict[int, None], step: Advance) -> None:
    """Take a step into account: what it covers was had, but for what it passed over."""
    for oplog_id in [each for each in refused if step.before < each <= step.received]:
        del refused[oplog_id]
    for skip in step.skips:
        if skip.reason in OFFERED_AGAIN:
            refused.update(dict.fromkeys(range(skip.first, skip.last + 1)))


def offer_of(
    channel: Channel,
    oplog: Oplog,
    user: str,
    device: str,
    *,
    shared: bool = False,
    by_operator: str = "",
) -> Draft:
    """The draft that offers `oplog` of `channel` to `device` again.

    `shared` when the sync point is the user's; `by_operator` is a unique name when an operator
    wants it, whatever the device has had.
    """
    conditions = oplog.conditions or Conditions()
    old = oplog.details or Details()
    # An offer of an offer keeps the first origin.
    origin = old.origin or Origin(channel.target, oplog.id)
    target = channel.target
    only = "" if shared else device
    if conditions.names_users and user:
        target = user_target(user)
    elif not is_user_target(channel.target):
        target, only = device_target(device), ""
    return Draft(
        Channel(channel.app, channel.biz, target),
        oplog.payload,
        _message_id(channel.target, oplog.id, "" if shared else device, by_operator),
        oplog.published_at_ms,
        oplog.expires_at_ms,
        oplog.expires_by_retention,
        _for_device(conditions, only),
        Details(old.key, "", Origin(origin.target, origin.id, bool(by_operator))),
    )


def _root(draft: Draft) -> Origin:
    """What the draft is an offer of, whoever wanted it."""
    assert draft.details is not None
    assert draft.details.origin is not None
    return Origin(draft.details.origin.target, draft.details.origin.id)


def _for_device(conditions: Conditions, device: str) -> Conditions | None:
    made = Conditions(
        conditions.os,
        conditions.app_version_min,
        conditions.app_version_max,
        conditions.users,
        conditions.user_number_min,
        conditions.user_number_max,
        conditions.attributes,
        conditions.rollout,
        device,
    )
    return None if made == Conditions() else made


def _message_id(target: str, oplog_id: int, device: str, by_operator: str) -> str:
    name = f"{target}\0{device}\0{by_operator}".encode()
    digest = hashlib.blake2b(name, digest_size=16).hexdigest()
    return f"{RESERVED}offer:{digest}:{oplog_id}"
