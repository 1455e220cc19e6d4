"""Parts of channels, ready to be pushed: each oplog is read and encoded once.

Strategy: a page is what there is of a channel after an id, encoded for the wire: from the tail of
what was just appended, else from the store. Pages of `everyone` channels are kept in a cache,
bounded in pages and bytes, because all sessions want the same ones; a user's or a device's page is
wanted once. A cached page is only used while the channel's head is the one it was read under, so
a stale page cannot be served: a withdrawal, too, is an oplog and moves the head.

Which of a page's oplogs a device gets is judged by domain/rules.py; most pages hold only plain
oplogs, and are for everybody.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from mobilesync.domain.channel import EVERYONE, Channel
from mobilesync.domain.oplog import Oplog, withdrawn_oplog
from mobilesync.domain.reasons import Reason
from mobilesync.domain.rules import Look, Viewer, is_plain, refusal
from mobilesync.domain.sync_point import Skip
from mobilesync.engine.encoded import Encoded, encoded
from mobilesync.engine.tail import Tail
from mobilesync.protocol.codec import encode_push
from mobilesync.storage.contract import Store

CACHED_PAGES_MAX = 256
CACHED_BYTES_MAX = 16 * 1024 * 1024
"""Of oplogs as they are on the wire; payloads and whole frames make it three times that."""
NEWER_MAX = 16
"""Newer oplogs of a key that are looked at. Were all of them not for the device, and one before
them were, the device would get a value too many, in order, and end with the right one."""
_ONE_BYTES = 1
_NEVER_MS = 2**63


class FeedPage:
    """All of a channel after `after` up to `upto`, encoded."""

    __slots__ = (
        "_frame",
        "after",
        "bytes",
        "channel",
        "ends_at_ms",
        "floor",
        "gone",
        "has_origins",
        "newer",
        "oplogs",
        "same_for_all",
        "upto",
    )

    def __init__(
        self, channel: Channel, after: int, upto: int, floor: int, oplogs: list[Encoded]
    ) -> None:
        self.channel = channel
        self.after = after
        self.upto = upto
        self.floor = floor
        self.oplogs = oplogs
        self.gone = oplogs[0].oplog.id - 1 if oplogs else upto
        """All after `after` up to this one were trimmed: nobody gets them any more."""
        size, ends_at_ms, same_for_all = 0, _NEVER_MS, True
        for each in oplogs:
            oplog = each.oplog
            size += len(each.wire)
            if oplog.expires_at_ms < ends_at_ms:
                ends_at_ms = oplog.expires_at_ms
            if not is_plain(oplog):
                same_for_all = False
        self.bytes = size
        self.same_for_all = same_for_all
        self.ends_at_ms = ends_at_ms
        self.has_origins = not same_for_all and any(map(_has_origin, oplogs))
        self.newer: Mapping[int, Sequence[Oplog]] = {}
        """By id: the newer oplogs of its key, newest first."""
        self._frame: bytes | None = None

    def judge(
        self, viewer: Viewer, now_ms: int, offered: frozenset[int] = frozenset()
    ) -> tuple[list[Encoded], list[tuple[int, Reason]]]:
        """The oplogs that `viewer` gets now, and the others with the reasons against them.

        `offered` are the ids of those that offer what the device gets, or got, at its origin.
        """
        if self.same_for_all and now_ms < self.ends_at_ms:
            return self.oplogs, []
        chosen: list[Encoded] = []
        refused: list[tuple[int, Reason]] = []
        for each in self.oplogs:
            oplog = each.oplog
            look = Look(now_ms, self.newer.get(oplog.id, ()), oplog.id in offered)
            reason = refusal(oplog, viewer, look)
            if reason is None:
                chosen.append(each)
            else:
                refused.append((oplog.id, reason))
        return chosen, refused

    def lapsed(self, now_ms: int) -> int:
        """The highest id that retention has ended, and nothing before it still valid; or 0.

        Such oplogs count as missed, whether or not the store has trimmed them yet.
        """
        highest = 0
        if now_ms < self.ends_at_ms:
            return highest
        for each in self.oplogs:
            if each.oplog.expires_at_ms > now_ms:
                break
            if each.oplog.expires_by_retention:
                highest = each.oplog.id
        return highest

    def frame(self, after: int, chosen: list[Encoded]) -> bytes:
        """The Push frame of `chosen` for a device that is at `after`."""
        whole = chosen is self.oplogs and after == self.after
        if whole and self._frame is not None:
            return self._frame
        _, biz, target = self.channel
        frame = encode_push(biz, target, after, self.upto, [encoded.wire for encoded in chosen])
        if whole:
            self._frame = frame
        return frame


def skips_of(refused: Sequence[tuple[int, Reason]]) -> list[Skip]:
    """Neighbours with one reason, as one skip."""
    skips: list[Skip] = []
    for oplog_id, reason in refused:
        if skips and skips[-1].last + 1 == oplog_id and skips[-1].reason == reason:
            skips[-1] = Skip(skips[-1].first, oplog_id, int(reason))
        else:
            skips.append(Skip(oplog_id, oplog_id, int(reason)))
    return skips


class Feed:
    """Makes pages, from the tail or from the store."""

    def __init__(self, store: Store, tail: Tail, *, push_count: int, push_bytes: int) -> None:
        self._store = store
        self._tail = tail
        self._count = push_count
        self._bytes = push_bytes
        self._pages: OrderedDict[tuple[Channel, int], tuple[int, FeedPage]] = OrderedDict()
        self._cached_bytes = 0
        self.revision = 0
        """Grows with each withdrawal: a page read before one may hold what is withdrawn."""
        self.on_withdrawn: list[Callable[[], None]] = []
        """Called with each withdrawal. Must not raise."""

    def withdrawn(self, channel: Channel) -> None:
        """Oplogs of `channel` were withdrawn, durably."""
        self.revision += 1
        self._tail.forget(channel)
        for listener in self.on_withdrawn:
            listener()

    def fresh(
        self, channel: Channel, after: int, last: int, room: tuple[int, int]
    ) -> FeedPage | None:
        """As `page`, when it needs no waiting and no more than what was just appended to one
        target; else None."""
        if channel.target == EVERYONE:
            return None
        fresh = self._tail.after(channel, after, last)
        if not fresh:
            return None
        size, count = min(room[0], self._bytes), min(room[1], self._count)
        page = _page_of_tail(channel, after, fresh, count, size)
        return page if page.same_for_all else None

    async def page(
        self, channel: Channel, after: int, last: int, room: tuple[int, int]
    ) -> FeedPage:
        """The page of `channel` after `after`, where `last` is the head that the caller knows and
        `room` the bytes and oplogs that it has room for. May hold more oplogs than there is room
        for, by less than one page, when the page is shared.
        """
        if channel.target != EVERYONE:
            size, count = min(room[0], self._bytes), min(room[1], self._count)
            return await self._read(channel, after, last, count, size)
        key = (channel, after)
        cached = self._pages.get(key)
        if cached is not None and cached[0] == last:
            self._pages.move_to_end(key)
            return cached[1]
        revision = self.revision
        page = await self._read(channel, after, last, self._count, self._bytes)
        if revision == self.revision:
            self._keep(key, last, page)
        return page

    def _keep(self, key: tuple[Channel, int], last: int, page: FeedPage) -> None:
        stale = self._pages.pop(key, None)
        if stale is not None:
            self._cached_bytes -= stale[1].bytes
        self._pages[key] = (last, page)
        self._cached_bytes += page.bytes
        while len(self._pages) > CACHED_PAGES_MAX or self._cached_bytes > CACHED_BYTES_MAX:
            _, (_, oldest) = self._pages.popitem(last=False)
            self._cached_bytes -= oldest.bytes

    async def _read(
        self, channel: Channel, after: int, last: int, count: int, size: int
    ) -> FeedPage:
        fresh = self._tail.after(channel, after, last)
        if fresh is not None:
            page = _page_of_tail(channel, after, fresh, count, size)
        else:
            stored = await self._store.read(channel, after, count, size)
            oplogs = [encoded(oplog) for oplog in stored.oplogs]
            page = FeedPage(channel, after, stored.upto, stored.floor, oplogs)
        if page.has_origins:
            # A copy: the tail's own list is not this page's to change.
            page.oplogs = [await self._as_its_origin(channel, each) for each in page.oplogs]
        if not page.same_for_all:
            page.newer = await self._newer(page, last)
        return page

    async def _as_its_origin(self, channel: Channel, each: Encoded) -> Encoded:
        """`each`, withdrawn if what it offers again was: whoever recalls that means this, too."""
        origin = each.oplog.details.origin if each.oplog.details is not None else None
        if origin is None or each.oplog.withdrawn is not None:
            return each
        place = Channel(channel.app, channel.biz, origin.target)
        page = await self._store.read(place, origin.id - 1, 1, _ONE_BYTES)
        root = page.oplogs[0] if page.oplogs else None
        if root is None or root.id != origin.id or root.withdrawn is None:
            return each
        return Encoded(withdrawn_oplog(each.oplog, root.withdrawn), each.wire)

    async def _newer(self, page: FeedPage, last: int) -> dict[int, Sequence[Oplog]]:
        """What the channel holds that is newer, for each oplog of the page that has a key."""
        newest: dict[tuple[Channel, str], list[Oplog]] = {}
        newer: dict[int, Sequence[Oplog]] = {}
        for each in page.oplogs:
            oplog = each.oplog
            if not oplog.key:
                continue
            channel, place = page.channel, oplog.id
            origin = oplog.details.origin if oplog.details is not None else None
            if origin is not None:
                # It must not come after a newer value that the device has from the origin.
                channel, place = Channel(channel.app, channel.biz, origin.target), origin.id
            elif place == last:
                continue
            if (channel, oplog.key) not in newest:
                found = await self._store.newest_of_key(channel, oplog.key, NEWER_MAX)
                newest[channel, oplog.key] = found
            newer[oplog.id] = [n for n in newest[channel, oplog.key] if n.id > place]
        return newer


def _has_origin(each: Encoded) -> bool:
    details = each.oplog.details
    return details is not None and details.origin is not None


def _page_of_tail(
    channel: Channel, after: int, fresh: list[Encoded], count: int, size: int
) -> FeedPage:
    """As `Store.read` would cut it. Nothing is missing between, so no floor is above `after`."""
    oplogs = fresh
    if len(fresh) > 1:
        for taken, each in enumerate(fresh):
            size -= len(each.oplog.payload)
            if taken and (taken == count or size < 0):
                oplogs = fresh[:taken]
                break
    return FeedPage(channel, after, oplogs[-1].oplog.id if oplogs else after, 0, oplogs)
