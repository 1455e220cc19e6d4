"""What an ack does: it frees the window, moves sync points, and is the proof of delivery.

Strategy: one step for each channel that an ack names, with when its pushes left and what was passed
over since the last one: so the journal alone can tell the fate of every id. A sync point that
belongs to a user moves along with the device's. What was sent and never acked is known to the
session alone, and goes into the journal when it ends.

Not here: what others make of it (`Progress` is for them), when to push again (session.py).
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import structs

from mobilesync.domain.channel import Channel, is_user_target
from mobilesync.domain.clock import Clock
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import Advance, Sent, Skip, user_owner
from mobilesync.engine.configs import SyncConfigs
from mobilesync.engine.metrics import Metrics
from mobilesync.engine.window import Cursor, UnderWay, Window
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.errors import ProtocolFault
from mobilesync.protocol.messages import Ack
from mobilesync.storage.contract import Store


class Progress(NamedTuple):
    """How an ack has moved a device's sync point in a channel."""

    channel: Channel
    received_before: int
    received: int
    processed_before: int
    processed: int
    skipped: tuple[Skip, ...]
    """What of the newly received the device did not get."""
    passed: tuple[Skip, ...] = ()
    """What of the newly processed the device did not get."""
    lap: int = 0
    """How often the point was put back before."""


class House(Protocol):
    """What is needed of those around the session."""

    store: Store
    clock: Clock
    metrics: Metrics
    configs: SyncConfigs


class Acking(Protocol):
    """What is needed of a session (session.py)."""

    app: str
    user: str
    device: str
    window: Window
    last_heard_s: float
    progress_at_s: float

    @property
    def house(self) -> House:
        """Those around it."""

    @property
    def cursors(self) -> dict[Channel, Cursor]:
        """Where it is in each of its channels."""

    def attends(self, target: str) -> bool:
        """Whether acks of `target` count now."""


def take_ack(session: Acking, ack: Ack) -> list[Progress]:
    """Carry out `ack`, and answer what it has moved, in the turn in which the points advance.

    Raises ProtocolFault for an ack of what was never pushed; then nothing has moved.
    """
    house = session.house
    now_ms = house.clock.wall_ms()
    epoch = house.store.lineage[-1]
    house.metrics.acks += 1
    advances: list[Advance] = []
    progress: list[Progress] = []
    for acked in ack.acked:
        if not session.attends(acked.target):
            continue
        channel = Channel(session.app, acked.biz, acked.target)
        cursor = session.cursors.get(channel)
        if cursor is None or acked.received > cursor.told:
            raise ProtocolFault(CloseCode.INVALID_FIELD, "an ack of what was never pushed")
        assert acked.processed <= acked.received, "the protocol's rules let no other in"
        before, processed_before = cursor.received, cursor.processed
        answered = session.window.ack(cursor, acked.received)
        if answered:
            session.progress_at_s = session.last_heard_s
            _observe(house.metrics, answered, now_ms)
        sends = tuple([Sent(each.upto, each.sent_at_ms) for each in answered])
        received = cursor.received
        skips = cursor.covered(received) if cursor.skips is not None else ()
        passed = cursor.process(acked.processed)
        processed = cursor.processed
        advances.append(
            Advance(
                channel,
                session.device,
                epoch,
                received,
                processed,
                now_ms,
                cursor.told,
                sends,
                skips,
                acked.waits,
            )
        )
        progress.append(
            Progress(
                channel, before, received, processed_before, processed, skips, passed, cursor.lap
            )
        )
    _advance(session, advances)
    return progress


def _observe(metrics: Metrics, answered: Sequence[UnderWay], now_ms: int) -> None:
    for under_way in answered:
        latency_s = max(0, now_ms - under_way.published_at_ms) / 1000
        metrics.publish_to_ack_s.observe(latency_s, under_way.oplogs)


def note_sends(session: Acking) -> None:
    """Have the journal tell what was sent and not acked."""
    now_ms = session.house.clock.wall_ms()
    epoch = session.house.store.lineage[-1]
    advances: list[Advance] = []
    for channel, cursor in session.cursors.items():
        if cursor.pushes:
            place = (epoch, cursor.received, cursor.processed, now_ms, cursor.told)
            sends = tuple(Sent(each.upto, each.sent_at_ms) for each in cursor.pushes)
            advances.append(Advance(channel, session.device, *place, sends))
    _advance(session, advances)


def _advance(session: Acking, advances: Sequence[Advance]) -> None:
    """Move the device's points, and those that the user's devices share."""
    shared = shared_steps(session, advances)
    session.house.store.advance([*advances, *shared] if shared else advances)


def shared_steps(session: Acking, advances: Sequence[Advance]) -> list[Advance]:
    """The same steps of those points that the user's devices share."""
    configs = session.house.configs
    shared: list[Advance] = []
    for advance in advances:
        channel = advance.channel
        config = configs.find(session.app, channel.biz)
        if config is None or config.multi_device:
            continue
        if is_user_target(channel.target):
            # What the user has from another device was not missed by the user.
            skips = tuple(each for each in advance.skips if each.reason != Reason.ELSEWHERE)
            owner = user_owner(session.user)
            shared.append(structs.replace(advance, device=owner, skips=skips))
    return shared


def given_ids(before: int, upto: int, skipped: Sequence[Skip]) -> list[tuple[int, int]]:
    """The ids above `before` up to `upto` without those that were skipped, as ranges."""
    found: list[tuple[int, int]] = []
    first = before + 1
    for skip in skipped:
        if skip.last < first:
            continue
        if skip.first > upto:
            break
        if skip.first > first:
            found.append((first, skip.first - 1))
        first = skip.last + 1
    if first <= upto:
        found.append((first, upto))
    return found
