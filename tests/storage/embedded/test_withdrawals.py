"""Rewriting rows: what a plan reads, what readers are shown, and when it is forgotten."""

import asyncio

import pytest

from mobilesync.domain.errors import Overloaded, StoreUnavailable
from mobilesync.domain.oplog import Appended, WithdrawalReason
from mobilesync.storage.embedded import EmbeddedOptions, EmbeddedStore, keys, rows, verify
from mobilesync.storage.embedded.group import Group
from tests.storage.drafts import BIG, CHAT, NEWS, draft, drafts, ids, withdrawal
from tests.storage.embedded.conftest import Opener
from tests.storage.makers import Gate

PREFIX = keys.channel_prefix(CHAT)
CONSUMED = WithdrawalReason.CONSUMED


def stored_payload(store: EmbeddedStore, oplog_id: int) -> bytes:
    """What the row itself holds, durable or not."""
    data = store._tables.get(store._tables.oplogs, PREFIX + keys.id_bytes(oplog_id))
    assert data is not None
    return rows.decode_oplog(oplog_id, data).payload


async def test_readers_see_the_old_row_until_the_new_one_is_durable(opener: Opener) -> None:
    gate = Gate()
    store = await opener(sync=gate.pass_thread)
    await store.append(drafts(3))
    gate.shut()
    call = asyncio.create_task(store.append([withdrawal("w", (1, 2))]))
    await gate.reached()
    assert stored_payload(store, 1) == b""
    page = await store.read(CHAT, 0, 10, BIG)
    assert [len(oplog.payload) for oplog in page.oplogs] == [10, 10, 10]
    assert len(store._withdrawals.durable) == 2
    gate.open()
    await call
    assert not store._withdrawals.durable
    assert not store._withdrawals._coming
    page = await store.read(CHAT, 0, 10, BIG)
    assert [len(oplog.payload) for oplog in page.oplogs] == [0, 0, 10, 0]


async def test_between_two_commits_readers_see_what_the_first_has_left(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Consumed by the first, which is durable; recalled by the second, which is not yet."""
    gate = Gate()
    store = await opener(sync=gate.pass_thread)
    await store.append(drafts(1))
    gate.shut()
    consumption = withdrawal("one", (1, 1), reason=CONSUMED, by="tablet")
    first = asyncio.create_task(store.append([consumption]))
    await gate.reached()
    second = asyncio.create_task(store.append([withdrawal("two", (1, 1))]))
    await asyncio.sleep(0)
    seen: list[int] = []
    settle = store._committer._settled

    def look() -> None:
        row = store._withdrawals.durable.get(PREFIX + keys.id_bytes(1))
        seen.append(row.withdrawn.by_id if row is not None and row.withdrawn else 0)

    def settle_and_look(group: Group) -> None:
        # The second group is written right after the first one has settled.
        settle(group)
        look()

    monkeypatch.setattr(store._committer, "_settled", settle_and_look)
    look()
    gate.open()
    await asyncio.gather(first, second)
    assert seen == [0, 2, 0]
    assert not store._withdrawals.durable
    (left,) = (await store.read(CHAT, 0, 1, BIG)).oplogs
    assert left.withdrawn is not None
    assert (left.withdrawn.by_id, left.payload) == (3, b"")


async def test_a_disk_that_cannot_be_read_stores_nothing_of_the_call(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opener()
    await store.append(drafts(2))

    def scan(*_: object) -> None:
        raise StoreUnavailable("the store cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr(store._tables, "scan", scan)
        with pytest.raises(StoreUnavailable):
            await store.append([draft("new"), withdrawal("w", (1, 2))])
    assert store.stats().queued == 0
    assert await store.append([draft("other")]) == [Appended(3)]
    assert await ids(store) == [1, 2, 3]
    assert await store.append([withdrawal("w", (1, 2))]) == [Appended(4)]


async def test_what_is_rewritten_counts_in_the_queue(opener: Opener) -> None:
    gate = Gate()
    store = await opener(
        sync=gate.pass_thread,
        options=EmbeddedOptions(queue_bytes_max=20_000, group_bytes_max=20_000),
    )
    await store.append(drafts(10, size=2_000))
    gate.shut()
    call = asyncio.create_task(store.append([draft("in flight")]))
    await gate.reached()
    with pytest.raises(Overloaded):
        await store.append([withdrawal("w", (1, 10))])
    gate.open()
    await call
    # Alone it is taken, as any other call that is larger than the queue.
    assert await store.append([withdrawal("w", (1, 10))]) == [Appended(12)]


async def test_a_folder_with_withdrawals_is_sound(opener: Opener) -> None:
    store = await opener()
    await store.append([draft("a", expires_at_ms=1, key="k"), *drafts(3)])
    await store.append([withdrawal("w", (1, 2)), withdrawal("v", (2, 9), reason=CONSUMED)])
    await store.trim(1, 10)
    folder = store._tables.path.parent
    await store.close()
    found = verify(folder)
    assert (found.faults, found.told, found.oplogs) == (0, [], 5)


@pytest.mark.parametrize("first", ["trim", "withdrawal"])
async def test_no_row_that_a_trim_takes_in_the_same_commit_is_left_behind(
    opener: Opener, first: str
) -> None:
    gate = Gate()
    store = await opener(sync=gate.pass_thread)
    await store.append([draft("a", expires_at_ms=1), draft("b", expires_at_ms=1), draft("c")])
    gate.shut()
    in_flight = asyncio.create_task(store.append([draft("in flight", NEWS)]))
    await gate.reached()
    trim, append = store.trim(1, 10), store.append([withdrawal("w", (1, 3))])
    both = (trim, append) if first == "trim" else (append, trim)
    calls = [asyncio.ensure_future(each) for each in both]
    await asyncio.sleep(0)
    gate.open()
    await asyncio.gather(in_flight, *calls)
    assert store.stats().commits == 3, "they shared one"
    folder = store._tables.path.parent
    await store.close()
    # Reading would not show it: what is below the trimmed is not looked at.
    found = verify(folder)
    assert (found.faults, found.told, found.oplogs) == (0, [], 3)
