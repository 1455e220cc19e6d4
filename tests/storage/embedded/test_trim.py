"""Trims free the disk while the store serves, and survive being cut off."""

import asyncio
import shutil
from pathlib import Path
from random import Random

from mobilesync.domain.channel import Channel
from mobilesync.storage.embedded import EmbeddedOptions, EmbeddedStore, verify
from tests.storage.drafts import CHAT, NEWS, draft, drafts, ids, step
from tests.storage.embedded.conftest import Opener

SMALL = EmbeddedOptions(
    memtable_bytes=1 << 18, wal_bytes_max=1 << 20, compact_trimmed_bytes=1 << 20
)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def fill(store: EmbeddedStore, count: int, size: int, channels: int) -> None:
    """Random payloads, since others would be compressed away."""
    for begin in range(0, count, 100):
        await store.append(
            [
                draft(
                    f"m{number}",
                    Channel("shop", "CHAT", f"user:{number % channels}"),
                    payload=Random(number).randbytes(size),
                    expires_at_ms=1,
                )
                for number in range(begin, begin + 100)
            ]
        )


async def shrinks(opener: Opener, folder: Path, channels: int) -> None:
    store = await opener(options=SMALL)
    await fill(store, 3000, 2048, channels)
    full = size_of(folder)
    assert full > 5_000_000
    appended = 0

    async def append_on() -> None:
        nonlocal appended
        while not trimming.done():
            await store.append(drafts(1, NEWS, begin=appended))
            appended += 1

    async def trim() -> int:
        count = 0
        while True:
            report = await store.trim(1, 40)
            count += report.oplogs
            if report.finished:
                return count

    trimming = asyncio.create_task(trim())
    await append_on()
    assert await trimming == 3000
    assert appended > 5
    assert len(await ids(store, NEWS)) == min(appended, 1000)
    await store.close()
    assert size_of(folder) < full / 5
    found = verify(folder)
    assert (found.faults, found.oplogs, found.message_ids) == (0, appended, appended)


async def test_one_large_channel_frees_the_disk_while_appends_go_on(
    opener: Opener, folder: Path
) -> None:
    await shrinks(opener, folder, channels=1)


async def test_many_small_channels_free_the_disk_while_appends_go_on(
    opener: Opener, folder: Path
) -> None:
    await shrinks(opener, folder, channels=300)


async def test_others_have_their_turn_during_a_long_trim(opener: Opener) -> None:
    store = await opener()
    await store.append([draft(f"m{n}", expires_at_ms=1) for n in range(5000)])
    trimming = asyncio.create_task(store.trim(1, 10))
    seen = []
    while not trimming.done():
        head = (await store.heads("shop", ["user:ada"]))[CHAT]
        page = await store.read(CHAT, 0, 1, 1)
        # What is shown is one state: the first oplog is the one after what was trimmed.
        if page.oplogs:
            assert page.oplogs[0].id == head.trimmed + 1
        seen.append(head.trimmed)
        await asyncio.sleep(0)
    assert len(set(seen)) > 5
    assert (await trimming).oplogs == 5000


async def test_a_kill_in_the_middle_leaves_whole_slices(
    opener: Opener, folder: Path, tmp_path: Path
) -> None:
    store = await opener()
    await store.append([draft(f"m{n}", expires_at_ms=1) for n in range(3000)])
    epoch = store.lineage[-1]
    for received in range(1, 3000, 100):
        store.advance([step(epoch, received)])
    await store.append([draft("commits the steps", NEWS)])
    trimming = asyncio.create_task(store.trim(1, 10))
    copies: list[Path] = []
    trimmed = -1
    while not trimming.done():
        head = (await store.heads("shop", ["user:ada"]))[CHAT]
        if head.trimmed != trimmed:
            trimmed = head.trimmed
            copy = tmp_path / f"copy-{len(copies)}"
            shutil.copytree(folder, copy)
            copies.append(copy)
        await asyncio.sleep(0)
    await trimming
    assert len(copies) > 3
    for copy in copies:
        again = await opener(copy)
        await again.close()
        found = verify(copy)
        assert found.told == []
        again = await opener(copy)
        await again.trim(1, 10)
        assert await ids(again) == []
        await again.close()


async def test_a_journal_of_many_devices_is_trimmed(opener: Opener) -> None:
    store = await opener()
    epoch = store.lineage[-1]
    await store.append([draft("a", NEWS, expires_at_ms=1), draft("b", NEWS)])
    devices = [f"device-{number}" for number in range(1200)]
    for device in devices:
        store.advance(
            [
                step(epoch, 1, 0, channel=NEWS, device=device),
                step(epoch, 1, 1, channel=NEWS, device=device),
                step(epoch, 2, 1, channel=NEWS, device=device),
            ]
        )
    await store.append([draft("commits the steps")])
    assert (await store.trim(1, 10)).oplogs == 1
    for device in devices[::100]:
        steps = await store.journal(NEWS, device, 0, 10)
        assert [(each.received, each.processed) for each in steps] == [(2, 1)]


async def test_two_trims_at_once_take_turns(opener: Opener) -> None:
    store = await opener()
    await store.append([draft(f"m{n}", expires_at_ms=1) for n in range(1000)])
    reports = await asyncio.gather(*(store.trim(1, 10) for _ in range(3)))
    assert [report.oplogs for report in reports] == [1000, 0, 0]
