"""What the embedded store does beyond the contract suite."""

import asyncio
import shutil
from pathlib import Path

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import StoreUnavailable
from mobilesync.domain.oplog import Appended
from mobilesync.storage.embedded import EmbeddedOptions
from tests.storage.drafts import CHAT, draft, drafts, ids
from tests.storage.embedded.conftest import Opener


async def test_a_clean_close_leaves_an_empty_log(opener: Opener, folder: Path) -> None:
    store = await opener()
    await store.append(drafts(100))
    await store.close()
    assert sum(path.stat().st_size for path in (folder / "rocksdb").glob("*.log")) == 0


async def test_closing_lets_the_next_one_in(opener: Opener) -> None:
    for number in range(3):
        store = await opener()
        assert await store.append([draft(f"m{number}")]) == [Appended(number + 1)]
        await store.close()


async def test_reading_from_a_closed_store_is_told(opener: Opener) -> None:
    store = await opener()
    await store.append(drafts(1))
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.points("shop", "phone")
    with pytest.raises(StoreUnavailable):
        await store.documents("kind")
    assert store.stats().committed == 1


async def test_closing_during_a_trim_ends_it(opener: Opener) -> None:
    store = await opener(options=EmbeddedOptions(compact_trimmed_bytes=1))
    await store.append([draft(f"m{n}", expires_at_ms=1) for n in range(5000)])
    trimming = asyncio.create_task(store.trim(1, 10))
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await trimming
    store = await opener()
    assert await ids(store) != []
    assert (await store.trim(1, 10)).finished
    assert await ids(store) == []


async def test_a_disk_that_cannot_be_read_is_told_and_stores_nothing(
    opener: Opener, folder: Path
) -> None:
    store = await opener()
    await store.append([*drafts(200, size=1000), draft("a", Channel("a", "A", "user:first"))])
    await store.close()
    for file in (folder / "rocksdb").glob("*.sst"):
        data = bytearray(file.read_bytes())
        data[10] ^= 1  # the first block; the end is needed for opening
        file.write_bytes(data)
    store = await opener()
    with pytest.raises(StoreUnavailable):
        await ids(store)
    with pytest.raises(StoreUnavailable):
        await store.append([draft("new", Channel("b", "B", "user:x")), draft("m1")])
    assert store.stats().queued == 0
    with pytest.raises(StoreUnavailable):
        await store.heads("shop", ["user:ada"])


async def test_stats_are_figures_of_the_disk(opener: Opener) -> None:
    store = await opener()
    await store.append(drafts(100, size=10_000))
    stats = store.stats()
    assert (stats.commits, stats.committed, stats.queued, stats.failed) == (1, 100, 0, "")
    assert stats.disk_bytes > 900_000


async def test_a_store_found_after_a_kill_at_any_moment_is_whole(
    opener: Opener, folder: Path, tmp_path: Path
) -> None:
    """The folder is copied while appends run: each copy is what a killed process leaves."""
    store = await opener()
    acknowledged = 0
    copies: list[tuple[Path, int]] = []

    async def publish() -> None:
        nonlocal acknowledged
        for number in range(60):
            await store.append(drafts(5, begin=5 * number, size=50))
            acknowledged += 5

    publishing = asyncio.create_task(publish())
    while not publishing.done():
        known = acknowledged
        copy = tmp_path / f"copy-{len(copies)}"
        # The loop stands still meanwhile; only the writer's thread may be at work.
        shutil.copytree(folder, copy)
        copies.append((copy, known))
        for _ in range(50):
            await asyncio.sleep(0)
    await publishing
    for copy, known in copies[:20]:
        again = await opener(copy)
        found = await ids(again)
        assert found == list(range(1, len(found) + 1))
        assert known <= len(found) <= known + 5
        head = (await again.heads("shop", ["user:ada"])).get(CHAT)
        assert (head.last if head else 0) == len(found)
        await again.close()
