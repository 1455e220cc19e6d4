"""The feed: each oplog read and encoded once, the right ones chosen, and a cache with a bound."""

import struct

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Attributes, conditions
from mobilesync.domain.oplog import Details, Draft, Origin, Withdrawal, WithdrawalReason
from mobilesync.domain.reasons import Reason
from mobilesync.domain.rules import Viewer
from mobilesync.engine import feed as feeding
from mobilesync.engine.feed import Feed
from mobilesync.engine.tail import Tail
from mobilesync.protocol.codec import decode
from mobilesync.protocol.messages import Push
from mobilesync.storage.contract import Page
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.engine.world import simulated

ALL = Channel("a", "CHAT", "everyone")
MINE = Channel("a", "CHAT", "user:u1")
WIDE = (1 << 20, 1000)


class CountingStore(MemoryStore):
    reads = 0

    async def read(self, channel: Channel, after: int, count_max: int, bytes_max: int) -> Page:
        self.reads += 1
        return await super().read(channel, after, count_max, bytes_max)


class Stock:
    """A store with some oplogs, and a feed over it."""

    def __init__(self, *, push_count: int = 500, push_bytes: int = 1 << 17) -> None:
        self.store = CountingStore(Disk((1,)))
        self.feed = Feed(self.store, Tail(0), push_count=push_count, push_bytes=push_bytes)
        self.count = 0

    async def put(
        self, channel: Channel, *payloads: bytes, expires_at_ms: int = 10**15, os: str = ""
    ) -> None:
        only = conditions((os,)) if os else None
        drafts: list[Draft] = []
        for payload in payloads:
            self.count += 1
            name = f"m{self.count}"
            drafts.append(Draft(channel, payload, name, 5, expires_at_ms, False, only))
        await self.store.append(drafts)


def _push(frame: bytes) -> Push:
    (length,) = struct.unpack_from(">I", frame)
    message = decode(frame[4:])
    assert isinstance(message, Push)
    assert len(frame) == 4 + length
    return message


@simulated
async def test_a_page_is_complete_up_to_upto() -> None:
    stock = Stock()
    await stock.put(MINE, b"1", b"2", b"3")
    page = await stock.feed.page(MINE, 1, 3, WIDE)
    assert (page.after, page.upto) == (1, 3)
    push = _push(page.frame(1, page.judge(_viewer(), 0)[0]))
    assert [(oplog.id, oplog.payload) for oplog in push.oplogs] == [(2, b"2"), (3, b"3")]
    assert (push.biz, push.target, push.after, push.upto) == ("CHAT", "user:u1", 1, 3)
    assert push.oplogs[0].message_id == "m2"
    assert push.oplogs[0].published_at_ms == 5


@simulated
async def test_room_and_options_bound_a_page() -> None:
    stock = Stock(push_count=3, push_bytes=100)
    await stock.put(MINE, *[b"x" * 30] * 10)
    pages = [
        await stock.feed.page(MINE, 0, 10, room)
        for room in (WIDE, (40, 10), (1000, 2), (1, 1), (100, 100))
    ]
    assert [page.upto for page in pages] == [3, 1, 2, 1, 3]


@simulated
async def test_a_payload_over_all_bounds_goes_alone() -> None:
    stock = Stock(push_bytes=100)
    await stock.put(MINE, b"x" * 5000, b"y")
    page = await stock.feed.page(MINE, 0, 2, (10, 10))
    assert (page.upto, len(page.oplogs)) == (1, 1)


@simulated
async def test_what_ended_or_is_for_others_is_not_chosen() -> None:
    stock = Stock()
    await stock.put(ALL, b"all")
    await stock.put(ALL, b"ended", expires_at_ms=1000)
    await stock.put(ALL, b"ios", os="ios")
    page = await stock.feed.page(ALL, 0, 3, WIDE)

    def seen(viewer: Viewer, now_ms: int) -> list[bytes]:
        return [encoded.oplog.payload for encoded in page.judge(viewer, now_ms)[0]]

    assert seen(_viewer("ios"), 999) == [b"all", b"ended", b"ios"]
    assert seen(_viewer("ios"), 1000) == [b"all", b"ios"]
    assert seen(_viewer("android"), 999) == [b"all", b"ended"]
    assert seen(_viewer(), 1000) == [b"all"]
    chosen = page.judge(_viewer("android"), 1000)[0]
    assert _push(page.frame(0, chosen)).upto == 3


@simulated
async def test_one_frame_serves_all_who_want_the_same() -> None:
    stock = Stock()
    await stock.put(ALL, b"1", b"2")
    page = await stock.feed.page(ALL, 0, 2, WIDE)
    assert page is await stock.feed.page(ALL, 0, 2, WIDE)
    chosen = page.judge(_viewer(), 0)[0]
    assert page.frame(0, chosen) is page.frame(0, page.judge(_viewer("ios"), 0)[0])
    # A device that was told less than was read needs a frame of its own.
    await stock.put(ALL, b"3")
    later = await stock.feed.page(ALL, 2, 3, WIDE)
    chosen = later.judge(_viewer(), 0)[0]
    assert _push(later.frame(1, chosen)).after == 1
    assert _push(later.frame(2, chosen)).after == 2
    assert stock.store.reads == 2


@simulated
async def test_a_stale_page_is_read_anew() -> None:
    stock = Stock()
    await stock.put(ALL, b"1")
    await stock.feed.page(ALL, 0, 1, WIDE)
    await stock.put(ALL, b"2")
    page = await stock.feed.page(ALL, 0, 2, WIDE)
    assert page.upto == 2
    assert stock.store.reads == 2


@simulated
async def test_pages_of_one_owner_are_not_kept() -> None:
    stock = Stock()
    await stock.put(MINE, b"1")
    await stock.feed.page(MINE, 0, 1, WIDE)
    await stock.feed.page(MINE, 0, 1, WIDE)
    assert stock.store.reads == 2
    assert not stock.feed._pages


@simulated
async def test_the_cache_is_bounded_in_pages() -> None:
    stock = Stock(push_count=1)
    await stock.put(ALL, *[b"x"] * (feeding.CACHED_PAGES_MAX + 10))
    last = stock.count
    for after in range(last):
        await stock.feed.page(ALL, after, last, WIDE)
    assert len(stock.feed._pages) == feeding.CACHED_PAGES_MAX
    assert (ALL, last - 1) in stock.feed._pages
    assert (ALL, 0) not in stock.feed._pages


@simulated
async def test_the_cache_is_bounded_in_bytes() -> None:
    stock = Stock(push_count=1)
    size = feeding.CACHED_BYTES_MAX // 10
    await stock.put(ALL, *[b"x" * size] * 20)
    for after in range(20):
        await stock.feed.page(ALL, after, 20, WIDE)
    held = sum(page.bytes for _, page in stock.feed._pages.values())
    assert held == stock.feed._cached_bytes <= feeding.CACHED_BYTES_MAX
    assert len(stock.feed._pages) == 9
    # Replacing a page counts it once.
    await stock.put(ALL, b"x")
    for _ in range(20):
        await stock.feed.page(ALL, 19, stock.count, WIDE)
    await stock.feed.page(ALL, 19, 99, WIDE)
    held = sum(page.bytes for _, page in stock.feed._pages.values())
    assert held == stock.feed._cached_bytes


def _viewer(os: str = "") -> Viewer:
    return Viewer("phone", attributes=Attributes(os))


@simulated
async def test_an_offer_is_withdrawn_with_what_it_offers_again() -> None:
    stock = Stock()
    await stock.put(ALL, b"oops")
    own = Channel("a", "CHAT", "device:d1")
    details = Details(origin=Origin("everyone", 1))
    await stock.store.append([Draft(own, b"oops", "offer", 5, 10**15, details=details)])
    page = await stock.feed.page(own, 0, 1, WIDE)
    assert [each.oplog.id for each in page.judge(_viewer(), 0)[0]] == [1]
    withdraws = Details(withdraws=Withdrawal(((1, 1),), WithdrawalReason.RECALLED))
    await stock.store.append([Draft(ALL, b"", "recall", 5, 10**15, details=withdraws)])
    page = await stock.feed.page(own, 0, 1, WIDE)
    assert page.judge(_viewer(), 0) == ([], [(1, Reason.RECALLED)])


@simulated
async def test_whoever_listens_is_told_of_withdrawals() -> None:
    stock = Stock()
    told: list[int] = []
    stock.feed.on_withdrawn.append(lambda: told.append(stock.feed.revision))
    stock.feed.withdrawn(ALL)
    stock.feed.withdrawn(MINE)
    assert told == [1, 2]
