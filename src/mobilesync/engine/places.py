"""Where in a channel a device goes on when that is not simply where it was.

Strategy: two rules of a sync config move a session's cursor over a range of ids before the pump
reads: a sync point that belongs to the user (what another device of the user got is not repeated)
and a re-push threshold (of the backlog that a device finds when it connects, only the newest N).
Both leave `told` where the device is, so that the next Push says what was passed over; both note
the range and its reason, for the journal.

Not here: rules about single oplogs (domain/rules.py).

Invariant: a cursor's `read` never moves above the head that the caller knows.
"""

from mobilesync.domain.channel import Channel, is_user_target
from mobilesync.domain.clock import Clock
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.domain.sync_point import Skip, resume, user_owner
from mobilesync.engine.feed import Feed
from mobilesync.engine.session import Session
from mobilesync.engine.ticker import pause
from mobilesync.engine.window import Cursor
from mobilesync.storage.contract import Store

CHUNK_IDS_MIN = 64
CHUNK_BYTES_MAX = 1024 * 1024
CHUNKS_BEFORE_OTHERS = 16
"""Looking back for the newest N may have to pass over many that are not for the device."""


class Places:
    """Moves cursors."""

    def __init__(self, store: Store, feed: Feed, clock: Clock) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock

    async def settle(
        self, session: Session, channel: Channel, config: SyncConfig, cursor: Cursor, last: int
    ) -> None:
        """Move `cursor` to where the session goes on, before `channel` is read up to `last`.

        May wait for the store: the session may have changed its user meanwhile.
        """
        if config.has_user_points and is_user_target(channel.target):
            await self._follow_user(session, channel, cursor)
        backlog = session.backlog.pop(channel, 0)
        if config.repush_threshold and backlog > cursor.read:
            await self._cut(session, channel, config.repush_threshold, cursor, backlog)

    async def _follow_user(self, session: Session, channel: Channel, cursor: Cursor) -> None:
        points = await self._store.points(session.app, user_owner(session.user))
        heads = await self._store.heads(session.app, [channel.target])
        head = heads.get(channel)
        place = resume(points.get(channel), head, self._store.lineage)
        if head is not None:
            _pass_over(cursor, min(place.cursor, head.last), Reason.ELSEWHERE)
            cursor.start = max(cursor.start, cursor.read)

    async def _cut(
        self, session: Session, channel: Channel, count: int, cursor: Cursor, backlog: int
    ) -> None:
        """Pass over all of the backlog but the newest `count` that the device may see."""
        generation = session.generation
        step = max(CHUNK_IDS_MIN, 2 * count)
        missing, high, chunks = count, backlog, 0
        while missing and high > cursor.read:
            low = max(cursor.read, high - step)
            ids = await self._ids(session, channel, low, high)
            if session.generation != generation:
                return
            if len(ids) >= missing:
                _pass_over(cursor, ids[-missing] - 1, Reason.OVER_THRESHOLD)
                return
            missing, high, chunks = missing - len(ids), low, chunks + 1
            if chunks % CHUNKS_BEFORE_OTHERS == 0:
                await pause(0)

    async def _ids(self, session: Session, channel: Channel, low: int, high: int) -> list[int]:
        """The ids above `low` up to `high` that the device may see now."""
        found: list[int] = []
        now_ms = self._clock.wall_ms()
        while low < high:
            room = (CHUNK_BYTES_MAX, high - low)
            page = await self._feed.page(channel, low, high, room)
            chosen, _ = page.judge(session.viewer, now_ms)
            found += [each.oplog.id for each in chosen if each.oplog.id <= high]
            if page.upto <= low:
                break
            low = page.upto
        return found


def _pass_over(cursor: Cursor, upto: int, reason: Reason) -> None:
    if upto > cursor.read:
        cursor.skip(Skip(cursor.read + 1, upto, int(reason)))
        cursor.read = upto
