"""Who comes and who goes: what is known of devices, and what follows from their coming.

Strategy: a login asks here what is on record of its device (`arriving`), has it put on record if it
has changed (`record`), and tells when it is open (`arrived`): then it is offered what it could not
get before (offers.py), its user is checked if the app wants that, and whoever listens for devices
is told. What fails after the Welcome is logged, and the next login does it again.

Not here: where the device goes on (arrival.py), who may log in (login.py).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from mobilesync.domain.channel import Channel
from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import (
    MobilesyncError,
    OutcomeUnknown,
    Refused,
    StoreUnavailable,
)
from mobilesync.domain.reasons import OFFERED_AGAIN, Reason
from mobilesync.domain.rules import Viewer
from mobilesync.domain.sync_point import Head, Skip, SyncPoint, user_owner
from mobilesync.engine.arrival import Arrival, gaps
from mobilesync.engine.configs import SyncConfigs
from mobilesync.engine.devices import Devices, KnownDevice
from mobilesync.engine.feed import skips_of
from mobilesync.engine.offers import Offers
from mobilesync.engine.proof import STEPS_MAX, last_words
from mobilesync.engine.replays import Replays
from mobilesync.engine.session import Phase, Session
from mobilesync.storage.contract import Store

log = structlog.get_logger(__name__)

Listener = Callable[[Session], None]


class Attendance:
    """Greets devices, and sees them off."""

    def __init__(
        self,
        store: Store,
        configs: SyncConfigs,
        devices: Devices,
        replays: Replays,
        offers: Offers,
        clock: Clock,
    ) -> None:
        self._store = store
        self._configs = configs
        self._devices = devices
        self._replays = replays
        self._offers = offers
        self._clock = clock
        self.on_arrived: list[Listener] = []
        """Called when a session is open for its user, after each Welcome. Must not raise."""
        self.on_left: list[Listener] = []
        """Called when a session that was open has ended. Must not raise."""

    async def arriving(
        self,
        session: Session,
        said: Mapping[Channel, SyncPoint],
        heads: Mapping[Channel, Head],
        targets: Sequence[str],
    ) -> Arrival:
        """See `Greeter` (login.py)."""
        store, app = self._store, session.app
        points = await store.points(app, session.device)
        shared: dict[Channel, SyncPoint] = {}
        if session.user and self._has_user_points(app, heads):
            shared = await store.points(app, user_owner(session.user))
        arrival = Arrival(
            session.device,
            await self._devices.find(app, session.device),
            {channel: point for channel, point in points.items() if channel.target in targets},
            shared,
            self._replays.of_device(app, session.device),
            was_refused=any(p.refused for p in (*points.values(), *shared.values())),
        )
        self._forget_followed(session, said, arrival, targets)
        return replace(
            arrival,
            recovered=await self._recover(session, said, heads, arrival),
            passed=await self._passed(session, said, arrival),
        )

    async def record(self, session: Session, arrival: Arrival) -> None:
        """See `Greeter` (login.py)."""
        known = arrival.known
        session.first_seen_ms = known.first_seen_ms if known else self._clock.wall_ms()
        has_changed = (
            known is None
            or known.user != session.user
            or known.conditions_see != session.attributes
        )
        recovered = (skip for skips in arrival.recovered.values() for skip in skips)
        was_refused = (
            arrival.was_refused
            or any(skip.reason in OFFERED_AGAIN for skip in recovered)
            or any(cursor.refused for cursor in session.cursors.values())
        )
        owed = known is not None and known.owes_offers
        # What a point of the user was refused may have been on another device.
        session.owes_offers = owed or (was_refused and (has_changed or bool(arrival.shared)))
        if not has_changed:
            return
        try:
            await self._devices.put(session.app, known_of(session))
        except StoreUnavailable:
            # A store that has failed takes no steps of the journal either, and still serves who is
            # new. Of another one the record would say what it no longer is.
            if known is not None:
                raise

    async def arrived(self, session: Session) -> None:
        """See `Greeter` (login.py)."""
        session.online_since_ms = self._clock.wall_ms()
        self._devices.note(session.app, known_of(session))
        for listener in self.on_arrived:
            listener(session)
        if session.owes_offers:
            await self._offer(session)

    def left(self, session: Session) -> None:
        """The session of a device has ended."""
        if not session.online_since_ms:
            # Before its Welcome.
            return
        for listener in self.on_left:
            listener(session)
        gone = known_of(session, offline_since_ms=self._clock.wall_ms())
        self._devices.note(session.app, gone)

    def _has_user_points(self, app: str, heads: Mapping[Channel, Head]) -> bool:
        configs = (self._configs.find(app, channel.biz) for channel in heads)
        return any(config is not None and config.has_user_points for config in configs)

    def _forget_followed(
        self,
        session: Session,
        said: Mapping[Channel, SyncPoint],
        arrival: Arrival,
        targets: Sequence[str],
    ) -> None:
        """A device that is below where it was has followed, or has lost its store: either way it
        gets everything from there."""
        for channel, waiting in list(arrival.replays.items()):
            point = said.get(channel)
            received = point.received if point is not None else 0
            if channel.target in targets and received < waiting.received_before:
                self._replays.done(channel, session.device)

    async def _recover(
        self,
        session: Session,
        said: Mapping[Channel, SyncPoint],
        heads: Mapping[Channel, Head],
        arrival: Arrival,
    ) -> dict[Channel, tuple[Skip, ...]]:
        found = gaps(said, heads, arrival, self._store.lineage)
        if not found:
            return {}
        known = arrival.known
        before = session.viewer
        if known is not None:
            asks = session.viewer.asks_withdrawals
            before = Viewer(session.device, known.user, known.conditions_see, asks)
        recovered: dict[Channel, tuple[Skip, ...]] = {}
        for channel, (recorded, now) in found.items():
            head = heads.get(channel)
            if head is not None:
                skips = await self._offers.recover(channel, recorded, now, head, before)
                recovered[channel] = skips
        return recovered

    async def _passed(
        self, session: Session, said: Mapping[Channel, SyncPoint], arrival: Arrival
    ) -> dict[Channel, tuple[Skip, ...]]:
        """What the device was passed over of ids that it has processed since its last ack, and,
        where it matters what it processes, of those that it has yet to process."""
        passed: dict[Channel, tuple[Skip, ...]] = {}
        for channel, point in said.items():
            known = arrival.points.get(channel)
            if known is None or known.processed >= known.received:
                continue
            config = self._configs.find(channel.app, channel.biz)
            if config is not None and config.consumed_by == "one":
                # What its last session acked may not be in the journal yet.
                with suppress(Refused, OutcomeUnknown):
                    await self._store.put_documents([])
            elif known.processed >= point.processed:
                continue
            low, high = known.processed, known.received
            steps = await self._store.journal(channel, session.device, low, STEPS_MAX)
            words = last_words(steps, low, high)
            passed[channel] = tuple(skips_of([(i, Reason(r)) for i, r in words.items() if r]))
        return passed

    async def _offer(self, session: Session) -> None:
        try:
            points = await self._store.points(session.app, session.device)
            mine = {c: point for c, point in points.items() if c.target in session.targets}
            shared = await self._shared(session)
            refused = [point.refused for point in (*mine.values(), *shared.values())]
            if any(refused) or any(cursor.refused for cursor in session.cursors.values()):
                # The evidence of this very login must be in the journal before it is read.
                await self._store.put_documents([])
                heads = await self._store.heads(session.app, session.targets)
                if session.phase is not Phase.OPEN:
                    return
                await self._offers.offer(session, mine, shared, heads)
            session.owes_offers = False
            if session.phase is Phase.OPEN:
                self._devices.note(session.app, known_of(session))
        except MobilesyncError as error:
            log.warning("not_offered_again", session=session.id, reason=str(error))

    async def _shared(self, session: Session) -> dict[Channel, SyncPoint]:
        """The sync points of the session's user, where they are the user's."""
        if not session.user:
            return {}
        points = await self._store.points(session.app, user_owner(session.user))
        return {
            channel: point
            for channel, point in points.items()
            if (config := self._configs.find(session.app, channel.biz)) is not None
            and config.has_user_points
        }


def known_of(session: Session, offline_since_ms: int = 0) -> KnownDevice:
    """What is to be remembered of the session's device."""
    return KnownDevice(
        device=session.device,
        user=session.user,
        os=session.attributes.os,
        app_version=session.attributes.app_version,
        attributes=dict(session.attributes.custom),
        sdk=session.sdk,
        first_seen_ms=session.first_seen_ms,
        online_since_ms=session.online_since_ms,
        offline_since_ms=offline_since_ms,
        owes_offers=session.owes_offers,
    )
