"""Group commit: when it begins, what it waits for, and what a failure of the disk does."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from rocksdict import WriteBatch
from structlog.testing import capture_logs

from mobilesync.domain.errors import OutcomeUnknown, StoreUnavailable
from mobilesync.domain.oplog import Draft
from mobilesync.storage.contract import Document
from mobilesync.storage.embedded import EmbeddedOptions, EmbeddedStore, open_embedded
from mobilesync.storage.embedded.commit import LARGE_DRAFTS
from tests.storage.drafts import NEWS, draft, drafts, ids, step
from tests.storage.embedded.conftest import Opener

Sync = Callable[[], None]


async def test_all_of_one_turn_share_one_commit(opener: Opener) -> None:
    store = await opener()
    await asyncio.gather(
        store.append(drafts(1)),
        store.append(drafts(1, begin=2)),
        store.put_documents([Document("k", "a", b"1")]),
        store.append([draft("a", NEWS)]),
    )
    assert store.stats().commits == 1
    assert store.stats().committed == 3
    assert store.stats().commit_s > 0


async def test_a_commit_soon_after_another_waits_for_more(opener: Opener) -> None:
    store = await opener(options=EmbeddedOptions(commit_window_s=0.9))
    await store.append(drafts(1))
    small = [asyncio.create_task(store.append(drafts(1, begin=2)))]
    await asyncio.sleep(0.01)
    small.append(asyncio.create_task(store.append(drafts(1, begin=3))))
    await asyncio.sleep(0.01)
    assert store.stats().commits == 1, "the first one found the store idle, and waited for nobody"

    await store.append(drafts(LARGE_DRAFTS, begin=4))

    assert all(each.done() for each in small)
    assert store.stats().commits == 2, "a large one waits for nobody, and takes others along"


async def test_the_window_ends(opener: Opener) -> None:
    store = await opener(options=EmbeddedOptions(commit_window_s=0.02))
    for number in range(1, 4):
        await store.append(drafts(1, begin=number))
    assert store.stats().commits == 3
    waiting = asyncio.create_task(store.append(drafts(1, begin=4)))
    await asyncio.sleep(0)
    await store.close()
    assert (await waiting)[0].id == 4, "closing does not wait, nor forget"


async def test_a_large_backlog_is_parted_into_groups(opener: Opener) -> None:
    store = await opener(options=EmbeddedOptions(group_bytes_max=10_000))
    await asyncio.gather(
        *(store.append(drafts(1, begin=number, size=4000)) for number in range(30))
    )
    # Three fit into each, since the third goes over the mark.
    assert store.stats().commits == 10
    assert await ids(store) == list(range(1, 31))


async def test_without_syncing_nothing_waits_for_the_disk(opener: Opener) -> None:
    def never(sync: Sync) -> None:
        raise AssertionError

    store = await opener(options=EmbeddedOptions(durability="none"), sync=never)
    await asyncio.gather(store.append(drafts(3)), store.put_documents([Document("k", "a", b"1")]))
    store.advance([step(store.lineage[-1], 2)])
    await store.close()
    store = await opener()
    assert await ids(store) == [1, 2, 3]
    assert len(await store.points("shop", "phone")) == 1


async def test_a_stalled_database_holds_up_commits_and_not_the_loop(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opener()
    answers = [True, True, True]
    asked = 0

    def stalled() -> bool:
        nonlocal asked
        asked += 1
        return bool(answers and answers.pop())

    monkeypatch.setattr(store._tables, "stalled", stalled)
    await store.append(drafts(1))
    assert asked == 4
    answers.append(True)
    await asyncio.gather(store.append(drafts(1, begin=2)), store.close())


async def test_a_write_that_fails_is_as_bad_as_a_sync_that_fails(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opener()
    await store.append(drafts(2))

    def write(batch: WriteBatch) -> None:
        raise OSError("IO error: No space left on device")

    monkeypatch.setattr(store._tables, "write", write)
    with pytest.raises(OutcomeUnknown) as unknown:
        await store.append(drafts(2, begin=3))
    assert "No space left" in unknown.value.hint
    monkeypatch.undo()
    with pytest.raises(StoreUnavailable):
        await store.append(drafts(1, begin=5))
    assert await ids(store) == [1, 2]


async def test_after_a_failed_sync_a_reopened_store_gives_no_id_twice(
    opener: Opener, folder: Path
) -> None:
    broken = False

    def sync(real: Sync) -> None:
        if broken:
            raise OSError("EIO")
        real()

    store = await opener(sync=sync)
    await store.append(drafts(2))
    broken = True
    with pytest.raises(OutcomeUnknown):
        await store.append(drafts(1, begin=3))
    await store.close()
    store = await opener()
    # The kernel had it after all: publishing again is answered as a duplicate.
    again = await store.append(drafts(1, begin=3))
    assert [answer.id for answer in again] == [3]
    assert await ids(store) == [1, 2, 3]


async def test_a_full_disk_refuses_publishes_and_serves_reads(folder: Path) -> None:
    """A real failing write: RocksDB is not allowed to grow its file."""
    resource = pytest.importorskip("resource")
    options = EmbeddedOptions(memtable_bytes=1 << 30, wal_bytes_max=1 << 30)
    store = await open_embedded(folder, random=Random(1), options=options)
    await store.append(drafts(3))
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, old[1]))
    try:
        with capture_logs() as logs:
            outcomes = [
                await asyncio.gather(
                    store.append(random_drafts(10, begin=10 * number + 10)), return_exceptions=True
                )
                for number in range(6)
            ]
        failures = [type(answer) for (answer,) in outcomes if isinstance(answer, Exception)]
        assert failures[0] is OutcomeUnknown
        assert set(failures[1:]) == {StoreUnavailable}
        shown = await ids(store)
        assert shown == list(range(1, len(shown) + 1))
        assert len(shown) == 3 + 10 * (6 - len(failures))
        with pytest.raises(StoreUnavailable):
            await store.append(drafts(1, begin=500))
        said = [(line["event"], line["reason"]) for line in logs]
        assert said == [("store_failed", store.stats().failed)], "once, for the operator"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    await store.close()
    store = await open_embedded(folder, random=Random(1))
    found = await ids(store)
    assert found[: len(shown)] == shown
    assert found == list(range(1, len(found) + 1))
    await store.append(drafts(1, begin=500))
    await store.close()


def random_drafts(count: int, begin: int) -> list[Draft]:
    chance = Random(begin)
    return [
        draft(f"m{begin + number}", payload=chance.randbytes(10_000)) for number in range(count)
    ]


async def test_a_close_that_hurries_a_commit_waits_for_it(opener: Opener) -> None:
    store: EmbeddedStore = await opener()
    calls = [asyncio.create_task(store.append(drafts(5, begin=5 * n))) for n in range(10)]
    await asyncio.sleep(0)
    await store.close()
    assert [len(await call) for call in calls] == [5] * 10
