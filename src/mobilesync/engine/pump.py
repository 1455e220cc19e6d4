"""The pump: reads the store from each session's cursors and pushes what is there.

Strategy: a session that was woken, acked or drained is put in one queue; a fixed number of
workers take sessions from it. One turn asks for the heads of the targets that changed, then
pushes at most `push_bytes`, in one write, and puts the session back if there is more. Live,
catching up, slow and reconnecting are this one code.

Invariants:
- a session is in the queue at most once, and is pumped by one worker at a time;
- what is pushed begins exactly at `told`, and `told` moves only with the frame that says so;
- nothing read before the session's user changed is pushed after it (`generation`);
- frames that wait to leave with others leave before what they were judged by changes: the user of
  their session, or a withdrawal (`flush`).
"""

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog
from msgspec import structs

from mobilesync.domain.channel import Channel, is_user_target, user_target
from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import StoreUnavailable
from mobilesync.domain.reasons import Reason
from mobilesync.domain.rules import withheld
from mobilesync.domain.sync_point import Skip
from mobilesync.engine.configs import SyncConfigs
from mobilesync.engine.feed import Feed, FeedPage, skips_of
from mobilesync.engine.metrics import Metrics
from mobilesync.engine.offers import Offers
from mobilesync.engine.places import Places
from mobilesync.engine.session import RETRY_SPREAD_MS, Phase, Session
from mobilesync.engine.waker import Waker
from mobilesync.engine.window import Cursor, UnderWay
from mobilesync.protocol.codes import CloseCode, ResetReason
from mobilesync.protocol.messages import Reset
from mobilesync.storage.contract import Store

log = structlog.get_logger(__name__)

TURNS_BEFORE_OTHERS = 64
"""Turns that a worker takes before the loop serves sockets again: at about 30 us each, 2 ms."""
PUSH_OVERHEAD_BYTES = 48
NO_IDS: frozenset[int] = frozenset()


class Pump:
    """A queue of sessions and the workers that serve it."""

    def __init__(
        self,
        store: Store,
        feed: Feed,
        places: Places,
        offers: Offers,
        configs: SyncConfigs,
        waker: Waker,
        clock: Clock,
        metrics: Metrics,
        *,
        push_bytes: int,
        buffered_bytes_max: int,
    ) -> None:
        self._store = store
        self._feed = feed
        self._places = places
        self._offers = offers
        self._configs = configs
        self._waker = waker
        self._clock = clock
        self._metrics = metrics
        self._push_bytes = push_bytes
        self._buffered_bytes_max = buffered_bytes_max
        self._queue: deque[Session] = deque()
        """Bounded by the number of sessions, because each is in it at most once."""
        self._idle: list[asyncio.Future[None]] = []
        """Of workers that wait for a session."""
        self._workers: list[asyncio.Task[None]] = []
        self._frames: dict[Session, list[tuple[str, bytes]]] = {}
        """Of the turns that are under way: made and not written yet, with their targets."""
        feed.on_withdrawn.append(self._flush_all)

    def start(self, workers: int) -> None:
        """Begin. With a store that answers without waiting, one worker does all the work."""
        loop = asyncio.get_running_loop()
        self._workers = [loop.create_task(self._run()) for _ in range(workers)]

    async def stop(self) -> None:
        """End; what was not pushed stays in the store."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers = []

    def ready(self, session: Session) -> None:
        """Have `session` pumped soon."""
        if not session.queued:
            session.queued = True
            # Whoever pumps it now puts it back afterwards.
            if not session.pumping:
                self._enqueue(session)

    def _enqueue(self, session: Session) -> None:
        self._queue.append(session)
        if self._idle and not (idle := self._idle.pop()).done():
            idle.set_result(None)

    def flush(self, session: Session) -> None:
        """The user of `session` changes: write what waits to be written, and drop what is the
        user's, for the device drops it too."""
        frames = self._frames.get(session, [])
        self._write(session, [frame for frame in frames if not is_user_target(frame[0])])
        frames.clear()

    def _flush_all(self) -> None:
        """Some of what waits may be withdrawn, and must have left before anybody is told so."""
        for session, frames in self._frames.items():
            self._write(session, frames)
            frames.clear()

    async def _run(self) -> None:
        turns = 0
        while True:
            while not self._queue:
                idle = asyncio.get_running_loop().create_future()
                self._idle.append(idle)
                await idle
            session = self._queue.popleft()
            session.queued = False
            session.pumping = True
            try:
                await self._turn(session)
            except StoreUnavailable as refusal:
                session.close_for_now(refusal)
            except Exception:
                log.exception("pump_failed", session=session.id)
                session.close(CloseCode.INTERNAL, retry_spread_ms=RETRY_SPREAD_MS)
            finally:
                session.pumping = False
            if session.queued and session.phase is Phase.OPEN:
                self._enqueue(session)
            # Or the worker would keep an ended session until its next one.
            del session
            turns += 1
            if turns % TURNS_BEFORE_OTHERS == 0:
                await asyncio.sleep(0)

    async def _turn(self, session: Session) -> None:
        """One session's turn: one look at the heads, one write."""
        if session.phase is not Phase.OPEN or session.changing:
            # After the Welcome it is pumped anyway.
            return
        self._metrics.pump_turns += 1
        generation = session.generation
        if targets := session.take_dirty():
            heads = await self._store.heads(session.app, targets)
            if session.generation != generation:
                # The user changed meanwhile; what is still the session's is read again.
                session.dirty.update(dict.fromkeys(targets))
                self.ready(session)
                return
            session.compare(heads)
        frames = self._frames[session] = []
        try:
            await self._fill(session, generation, frames)
        finally:
            del self._frames[session]
        self._write(session, frames)

    def _write(self, session: Session, frames: Sequence[tuple[str, bytes]]) -> None:
        if frames and session.phase is Phase.OPEN:
            alone = len(frames) == 1
            session.write(frames[0][1] if alone else b"".join([frame for _, frame in frames]))

    async def _fill(
        self, session: Session, generation: int, frames: list[tuple[str, bytes]]
    ) -> None:
        budget = self._push_bytes
        behind = session.behind
        while behind:
            room = session.window.room()
            if not room[0] or session.link.buffered_bytes() > self._buffered_bytes_max:
                # The next ack, or the link's `drained`, calls the pump again.
                return
            if budget <= 0:
                self.ready(session)
                return
            channel = self._next(session)
            # To the end of the row: page by page in turn, so that among equals a channel with a
            # long backlog holds up no other.
            last = behind.pop(channel)
            config = self._configs.find(channel.app, channel.biz)
            is_simple = config is None or config.is_simple
            if not is_simple and self._rests(session, channel):
                # What is found when the channel opens again is a backlog.
                session.backlog[channel] = last
                continue
            behind[channel] = last
            cursor = session.cursors.get(channel)
            if is_simple and cursor is not None:
                fresh = self._feed.fresh(channel, cursor.read, last, room)
                if fresh is not None:
                    # As most often: nothing was waited for, so nothing has changed meanwhile.
                    budget -= self._push(session, channel, fresh, NO_IDS, frames)
                    continue
            revision = self._feed.revision
            page, offered = await self._page(session, channel, last, room)
            if session.phase is not Phase.OPEN or session.generation != generation:
                self.ready(session)
                return
            if revision != self._feed.revision:
                # An oplog may have been recalled while the page was read.
                continue
            if page is not None and not self._rests(session, channel):
                budget -= self._push(session, channel, page, offered, frames)

    async def _page(
        self, session: Session, channel: Channel, last: int, room: tuple[int, int]
    ) -> tuple[FeedPage | None, frozenset[int]]:
        """What the session is due next of `channel`, if anything, and which of it offers what it
        has already."""
        cursor = session.cursors.get(channel)
        if cursor is None:
            cursor = session.cursors[channel] = Cursor(0)
        config = self._configs.find(channel.app, channel.biz)
        if config is not None and (config.has_user_points or config.repush_threshold):
            generation = session.generation
            await self._places.settle(session, channel, config, cursor, last)
            if session.generation != generation:
                return None, NO_IDS
            if cursor.read >= last:
                session.behind.pop(channel, None)
                self._skip_to(session, channel, cursor, cursor.read)
                return None, NO_IDS
        page = await self._feed.page(channel, cursor.read, last, room)
        offered = await self._offers.judge(session, page) if page.has_origins else NO_IDS
        return page, offered

    def _rests(self, session: Session, channel: Channel) -> bool:
        """Whether a rule withholds the channel from the session for now. Whatever ends that wakes
        the session."""
        config = self._configs.find(channel.app, channel.biz)
        if config is None or config.is_open:
            return False
        viewer = session.viewer
        if config.has_user_points:
            newest = self._waker.newest(session.app, user_target(session.user))
            viewer = structs.replace(viewer, is_newest=newest is session)
        return withheld(config, channel, viewer) is not None

    def _next(self, session: Session) -> Channel:
        """Whose turn it is: the highest priority's, and among equals whoever waits longest."""
        behind = session.behind
        if len(behind) == 1:
            return next(iter(behind))
        priority = self._configs.priority
        return max(behind, key=lambda channel: priority(channel.app, channel.biz))

    def _push(
        self,
        session: Session,
        channel: Channel,
        page: FeedPage,
        offered: frozenset[int],
        frames: list[tuple[str, bytes]],
    ) -> int:
        """Add the page's frame for this session, if it has to see any; answer its size."""
        cursor = session.cursors[channel]
        assert page.after == cursor.read, "the page continues where the last one ended"
        # A page that brings nothing ends it too, or a store whose reads lag would make this spin.
        if page.upto >= session.behind[channel] or page.upto == page.after:
            del session.behind[channel]
        now_ms = self._clock.wall_ms()
        if page.gone > page.after:
            cursor.skip(Skip(page.after + 1, page.gone, int(Reason.EXPIRED)))
        floor = page.floor if now_ms < page.ends_at_ms else max(page.floor, page.lapsed(now_ms))
        if floor > cursor.read and cursor.told > 0:
            frames.append((channel.target, self._reset(session, channel, cursor, floor)))
        chosen, refused = page.judge(session.viewer, now_ms, offered)
        for skip in skips_of(refused) if refused else ():
            cursor.skip(skip)
        if not chosen:
            self._skip_to(session, channel, cursor, page.upto)
            return PUSH_OVERHEAD_BYTES
        frame = page.frame(cursor.told, chosen)
        newest = chosen[-1].oplog.published_at_ms
        if not session.window.count:
            session.progress_at_s = self._clock.monotonic_s()
        under_way = UnderWay(page.upto, len(frame), len(chosen), newest, now_ms)
        session.window.push(cursor, under_way)
        session.skipped.pop(channel, None)
        frames.append((channel.target, frame))
        metrics = self._metrics
        metrics.pushes += 1
        metrics.oplogs_pushed += len(chosen)
        metrics.bytes_pushed += len(frame)
        return len(frame)

    def _skip_to(self, session: Session, channel: Channel, cursor: Cursor, upto: int) -> None:
        """Nothing up to `upto` is for the device: it is told when it is awake anyway."""
        cursor.read = max(cursor.read, upto)
        if cursor.read > cursor.told:
            session.skipped[channel] = None

    def _reset(self, session: Session, channel: Channel, cursor: Cursor, floor: int) -> bytes:
        """Retention has overtaken a session that is behind: say so, and continue above it."""
        cursor.told = cursor.read = floor
        session.skipped.pop(channel, None)
        self._metrics.resets += 1
        epoch = self._store.lineage[-1]
        reason = int(ResetReason.TRIMMED)
        reset = Reset(channel.biz, channel.target, epoch, floor, reason)
        return session.conversation.send(reset)
