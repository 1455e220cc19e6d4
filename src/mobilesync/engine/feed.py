"""Parts of channels, ready to be pushed: each oplog is read and encoded once.

Strategy: a page is what there is of a channel after an id, encoded for the wire: from the tail of
what was just appended, else from the store. Pages of `everyone` channels are kept in a cache,
bounded in pages and bytes, because all sessions want the same ones; a user's or a device's page is
wanted once. A cached page is only used while the channel's head is the one it was read under, so
a stale page cannot be served.
"""

from collections import OrderedDict

from mobilesync.domain.channel import EVERYONE, Channel
from mobilesync.domain.conditions import Attributes
from mobilesync.engine.tail import Encoded, Tail, encoded
from mobilesync.protocol.codec import encode_push
from mobilesync.storage.contract import Store

CACHED_PAGES_MAX = 256
CACHED_BYTES_MAX = 16 * 1024 * 1024
"""Of oplogs as they are on the wire; payloads and whole frames make it three times that."""


class FeedPage:
    """All of a channel after `after` up to `upto`, encoded."""

    __slots__ = (
        "_frame",
        "after",
        "bytes",
        "channel",
        "ends_at_ms",
        "floor",
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
        self.bytes = sum(len(encoded.wire) for encoded in oplogs)
        self.same_for_all = all(encoded.oplog.conditions is None for encoded in oplogs)
        self.ends_at_ms = min((e.oplog.expires_at_ms for e in oplogs), default=2**63)
        self._frame: bytes | None = None

    def choose(self, attributes: Attributes, now_ms: int) -> list[Encoded]:
        """The oplogs that a device with `attributes` may see now."""
        if self.same_for_all and now_ms < self.ends_at_ms:
            return self.oplogs
        return [
            encoded
            for encoded in self.oplogs
            if now_ms < encoded.oplog.expires_at_ms
            and (encoded.oplog.conditions is None or encoded.oplog.conditions.admits(attributes))
        ]

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


class Feed:
    """Makes pages, from the tail or from the store."""

    def __init__(self, store: Store, tail: Tail, *, push_count: int, push_bytes: int) -> None:
        self._store = store
        self._tail = tail
        self._count = push_count
        self._bytes = push_bytes
        self._pages: OrderedDict[tuple[Channel, int], tuple[int, FeedPage]] = OrderedDict()
        self._cached_bytes = 0

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
        page = await self._read(channel, after, last, self._count, self._bytes)
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
            return _page_of_tail(channel, after, fresh, count, size)
        page = await self._store.read(channel, after, count, size)
        oplogs = [encoded(oplog) for oplog in page.oplogs]
        return FeedPage(channel, after, page.upto, page.floor, oplogs)


def _page_of_tail(
    channel: Channel, after: int, fresh: list[Encoded], count: int, size: int
) -> FeedPage:
    """As `Store.read` would cut it. Nothing is missing between, so no floor is above `after`."""
    taken = 0
    for taken, each in enumerate(fresh):
        size -= len(each.oplog.payload)
        if taken and (taken == count or size < 0):
            break
    else:
        taken = len(fresh)
    oplogs = fresh[:taken]
    return FeedPage(channel, after, oplogs[-1].oplog.id if oplogs else after, 0, oplogs)
