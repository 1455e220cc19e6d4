"""What there is to know of one oplog and one device, read from wherever it is kept.

Strategy: all of it is read anew for each question; nothing is held. What was acked a moment ago is
in the journal after `settle`, which costs one commit: call it once for many devices.

Not here: what follows from it (explain.py).
"""

from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct, structs

from mobilesync.domain.channel import Channel, is_user_target
from mobilesync.domain.errors import OutcomeUnknown, Refused
from mobilesync.domain.oplog import Details, Oplog
from mobilesync.domain.rules import Look, Viewer, refusal
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.domain.sync_point import Head, SyncPoint, user_owner
from mobilesync.engine.configs import SyncConfigs
from mobilesync.engine.devices import Devices, KnownDevice
from mobilesync.engine.feed import NEWER_MAX
from mobilesync.engine.offers import Offers, offer_of
from mobilesync.engine.proof import Proof, Proofs
from mobilesync.engine.session import Session
from mobilesync.engine.sessions import Sessions
from mobilesync.engine.window import Cursor
from mobilesync.storage.contract import Store

HOLDERS_MAX = 100
"""Devices of one user that are looked at."""
_ONE_BYTES = 1


class Subject(Struct, frozen=True):
    """One oplog, whatever the device."""

    channel: Channel
    id: int
    head: Head
    oplog: Oplog | None
    """None when it is not stored, or not any more."""
    config: SyncConfig | None

    @property
    def is_of_notices(self) -> bool:
        """Whether what is published to its biz is not kept."""
        return self.config is not None and not self.config.persistent

    @property
    def has_user_point(self) -> bool:
        """Whether the sync point of its channel is the user's."""
        config = self.config
        is_users = is_user_target(self.channel.target)
        return config is not None and config.has_user_points and is_users


class Case(Struct, frozen=True):
    """One oplog and one device."""

    subject: Subject
    device: str
    known: KnownDevice | None
    point: SyncPoint | None
    proof: Proof
    session: Session | None

    @property
    def channel(self) -> Channel:
        """The oplog's."""
        return self.subject.channel

    @property
    def cursor(self) -> Cursor | None:
        """Where the device's living session is in the channel."""
        return self.session.cursors.get(self.channel) if self.session is not None else None

    @property
    def viewer(self) -> Viewer:
        """Whom the rules judge for: the device as it is, or was when it was here last."""
        if self.session is not None:
            return self.session.viewer
        if self.known is None:
            return Viewer(self.device)
        known = self.known
        return Viewer(self.device, known.user, known.conditions_see, asks_withdrawals=True)


class Evidence:
    """Gathers it. All reads raise StoreUnavailable."""

    def __init__(
        self,
        store: Store,
        configs: SyncConfigs,
        devices: Devices,
        sessions: Sessions,
        offers: Offers,
    ) -> None:
        self._store = store
        self._configs = configs
        self._devices = devices
        self._sessions = sessions
        self._offers = offers
        self._proofs = Proofs(store)

    async def settle(self) -> None:
        """Have the journal tell what was acked until now. A store that takes no writes any more
        still tells what it knows."""
        with suppress(Refused, OutcomeUnknown):
            await self._store.put_documents([])

    async def subject(self, channel: Channel, oplog_id: int) -> Subject:
        """The oplog, if it is there."""
        heads = await self._store.heads(channel.app, [channel.target])
        head = heads.get(channel, Head(0, 0))
        oplog = None
        if head.trimmed < oplog_id <= head.last:
            page = await self._store.read(channel, oplog_id - 1, 1, _ONE_BYTES)
            oplog = page.oplogs[0] if page.oplogs and page.oplogs[0].id == oplog_id else None
        config = self._configs.find(channel.app, channel.biz)
        return Subject(channel, oplog_id, head, oplog, config)

    async def case(self, subject: Subject, device: str, known: KnownDevice | None = None) -> Case:
        """The oplog on one device; `known` is what is known of it, if that was read before."""
        channel = subject.channel
        found = known or await self._devices.find(channel.app, device)
        point = (await self._store.points(channel.app, device)).get(channel)
        proof = await self._proofs.of(channel, device, subject.id, point)
        session = self._sessions.of_device(channel.app, device)
        return Case(subject, device, found, point, proof, session)

    def is_newest(self, session: Session) -> bool:
        """Whether the session's device is the one of its user that connected last."""
        return self._sessions.is_newest(session)

    async def newer(self, channel: Channel, oplog: Oplog) -> Sequence[Oplog]:
        """Newer oplogs of its key, newest first, as the pump sees them."""
        if not oplog.key:
            return []
        origin = oplog.details.origin if oplog.details is not None else None
        place = oplog.id
        if origin is not None:
            channel, place = Channel(channel.app, channel.biz, origin.target), origin.id
        newest = await self._store.newest_of_key(channel, oplog.key, NEWER_MAX)
        return [each for each in newest if each.id > place]

    async def is_offered(self, case: Case, oplog: Oplog) -> bool:
        """Whether it offers what the device gets, or got, at its origin."""
        origin = oplog.details.origin if oplog.details is not None else None
        if origin is None or origin.by_operator or case.session is None:
            return False
        place = Channel(case.channel.app, case.channel.biz, origin.target)
        return await self._offers.has_at_origin(case.session, place, origin.id)

    async def offered_as(self, case: Case, oplog: Oplog) -> tuple[str, int] | None:
        """Target and id under which the oplog was offered to the device again, if it was."""
        viewer = case.viewer
        for shared in (False, True):
            offer = offer_of(case.channel, oplog, viewer.user, case.device, shared=shared)
            found = await self._store.find(offer.channel, offer.message_id)
            if found:
                return offer.channel.target, found
        return None

    async def superseded_by(self, case: Case, oplog: Oplog) -> int:
        """The newest oplog that has taken its place for the device; 0 for none."""
        # The key's rule alone: whatever else speaks against the oplog now.
        bare = structs.replace(oplog, conditions=None, details=Details(oplog.key))
        for newer in await self.newer(case.channel, oplog):
            if refusal(bare, case.viewer, Look(0, (newer,))) is not None:
                return newer.id
        return 0

    async def user_has_passed(self, subject: Subject) -> bool:
        """Whether the sync point of the channel's user, where it is the user's, is past it."""
        if not subject.has_user_point:
            return False
        owner = user_owner(_user(subject.channel))
        point = (await self._store.points(subject.channel.app, owner)).get(subject.channel)
        return point is not None and point.received >= subject.id

    async def holders(self, subject: Subject) -> list[str]:
        """The devices of the channel's user that have got the oplog."""
        channel = subject.channel
        found: list[str] = []
        for device in await self._devices.of_user(channel.app, _user(channel), HOLDERS_MAX):
            point = (await self._store.points(channel.app, device)).get(channel)
            proof = await self._proofs.of(channel, device, subject.id, point)
            if proof.received_at_ms:
                found.append(device)
        return found


def _user(channel: Channel) -> str:
    return channel.target.partition(":")[2]
