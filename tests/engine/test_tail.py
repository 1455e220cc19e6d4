"""The tail: exactly what the store would say, or nothing; and never more than it may hold."""

from hypothesis import given
from hypothesis import strategies as st

from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Oplog
from mobilesync.engine.feed import Feed
from mobilesync.engine.tail import CHANNEL_OPLOGS_MAX, Tail
from mobilesync.storage.contract import Page
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore

CHAT = Channel("a", "CHAT", "user:u1")
NEWS = Channel("a", "NEWS", "everyone")
AMPLE = 1 << 20


def oplog(number: int, payload: bytes = b"x") -> Oplog:
    return Oplog(number, payload, f"m{number}", 1, 10**15)


def ids(tail: Tail, after: int, last: int, channel: Channel = CHAT) -> list[int] | None:
    found = tail.after(channel, after, last)
    return None if found is None else [each.oplog.id for each in found]


def test_it_knows_what_was_noted_and_nothing_before() -> None:
    tail = Tail(AMPLE)
    for number in (5, 6, 7):
        tail.note(CHAT, oplog(number))

    assert ids(tail, 4, 7) == [5, 6, 7]
    assert ids(tail, 6, 7) == [7]
    assert ids(tail, 4, 6) == [5, 6]
    assert ids(tail, 7, 7) == []
    assert ids(tail, 3, 7) is None
    assert ids(tail, 6, 8) is None
    assert ids(tail, 0, 1, NEWS) is None


@given(st.lists(st.integers(1, 30), max_size=60))
def test_whatever_order_things_are_noted_in_an_answer_has_no_hole(noted: list[int]) -> None:
    tail = Tail(AMPLE)
    for number in noted:
        tail.note(CHAT, oplog(number))

    for after in range(30):
        for last in range(after, 31):
            found = ids(tail, after, last)
            assert found is None or found == list(range(after + 1, last + 1))


def test_a_channel_keeps_only_its_newest() -> None:
    tail = Tail(1 << 30)
    for number in range(1, CHANNEL_OPLOGS_MAX + 3):
        tail.note(CHAT, oplog(number))

    assert ids(tail, 1, CHANNEL_OPLOGS_MAX + 2) is None
    assert len(ids(tail, 2, CHANNEL_OPLOGS_MAX + 2) or []) == CHANNEL_OPLOGS_MAX


def test_the_bound_holds_and_the_channel_that_was_quiet_longest_goes_first() -> None:
    tail = Tail(3_000)
    tail.note(CHAT, oplog(1, b"x" * 500))
    for number in range(1, 50):
        tail.note(NEWS, oplog(number, b"x" * 10))
        assert tail.bytes <= 3_000

    assert ids(tail, 0, 1) is None


def test_without_room_it_holds_nothing() -> None:
    tail = Tail(0)
    tail.note(CHAT, oplog(1))

    assert tail.bytes == 0
    assert ids(tail, 0, 1) is None


class NoReads(MemoryStore):
    async def read(self, channel: Channel, after: int, count_max: int, bytes_max: int) -> Page:
        raise AssertionError("the tail has it")


async def test_a_page_of_the_tail_is_cut_like_one_of_the_store() -> None:
    tail = Tail(AMPLE)
    for number in range(1, 6):
        tail.note(CHAT, oplog(number, b"x" * 100))
    feed = Feed(NoReads(Disk((1,))), tail, push_count=3, push_bytes=250)

    by_bytes = await feed.page(CHAT, 0, 5, (1000, 1000))
    by_count = await feed.page(CHAT, 0, 5, (1000, 1))
    one_at_least = await feed.page(CHAT, 3, 5, (10, 10))
    rest = await feed.page(CHAT, 4, 5, (1000, 1000))

    assert [each.oplog.id for each in by_bytes.oplogs] == [1, 2]
    assert by_bytes.upto == 2
    assert [each.oplog.id for each in by_count.oplogs] == [1]
    assert [each.oplog.id for each in one_at_least.oplogs] == [4]
    assert (rest.upto, len(rest.oplogs)) == (5, 1)
